"""What a workflow made: its files copied from the server, and its texts."""

from __future__ import annotations

import filecmp
import itertools
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .comfy_client import Server


def files_of(outputs: Mapping[str, Any]) -> list[tuple[str, dict[str, str]]]:
    """(node, {filename, subfolder, type}) of every output file, each file once; of previews where there is no other."""
    found: dict[tuple[str, ...], tuple[str, dict[str, str]]] = {}
    for node, output in outputs.items():
        for each in _entries(output):
            entry = {name: str(each.get(name) or "") for name in ("filename", "subfolder", "type")}
            found.setdefault(tuple(entry.values()), (node, entry))
    for kind in ("output", "temp"):  # "input" files were there before
        chosen = [each for each in found.values() if each[1]["type"] == kind]
        if chosen:
            return chosen
    return []


def _entries(value: Any) -> Iterator[dict[str, Any]]:
    """Records of files, under whatever names the nodes file them: images, gifs, audio, 3d, ..."""
    if isinstance(value, dict):
        if isinstance(value.get("filename"), str) and value["filename"] and "type" in value:
            yield value
            return
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from _entries(each)


def texts_of(outputs: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(node, text) of what nodes show as text."""
    found = []
    for node, output in outputs.items():
        shown = output.get("text") if isinstance(output, dict) else None
        found += [(node, str(text)) for text in (shown if isinstance(shown, list) else [shown]) if text is not None]
    return found


def save(server: Server, entry: Mapping[str, str], folder: Path) -> Path:
    """Copies one file into the folder and returns where it is.

    A file of that name with other content stays: the new one gets a number. The same content is not stored twice.
    """
    wanted = folder.joinpath(*_parts(entry["subfolder"]), (_parts(entry["filename"]) or ["unnamed"])[-1])
    wanted.parent.mkdir(parents=True, exist_ok=True)
    piece = wanted.with_name(f".{wanted.name}.part")
    try:
        with piece.open("wb") as target:
            server.download(entry, target)
        for path in _names(wanted):
            if not path.exists():
                os.replace(piece, path)
                return path
            if path.is_file() and filecmp.cmp(piece, path, shallow=False):
                return path
    finally:
        piece.unlink(missing_ok=True)
    raise AssertionError("the names never end")


def _names(path: Path) -> Iterator[Path]:
    yield path
    for number in itertools.count(2):
        yield path.with_name(f"{path.stem}-{number}{path.suffix}")


def _parts(text: str) -> list[str]:
    """The parts of a server's path that stay inside a folder here, whatever system the server runs on."""
    parts = text.replace("\\", "/").split("/")
    return [part.replace(":", "_") for part in parts if part not in ("", ".", "..")]
