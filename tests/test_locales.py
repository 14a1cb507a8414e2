"""What ComfyUI's page shows of our nodes: English equal to the classes, Chinese with the same keys."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from make_locale import ENGLISH, english, text

FOLDER = Path(__file__).resolve().parents[1] / "locales"
LANGUAGES = sorted(path.name for path in FOLDER.iterdir())


def read(language: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / language / "nodeDefs.json").read_text(encoding="utf-8"))
    return found


def leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    if isinstance(value, dict):
        for key, each in value.items():
            yield from leaves(each, (*path, key))
    else:
        yield path, value


def test_english_is_what_the_classes_say() -> None:
    assert ENGLISH.read_text(encoding="utf-8") == text(english()), "run python tests/make_locale.py"


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_has_the_same_keys_in_the_same_order(language: str) -> None:
    assert [path for path, _ in leaves(read(language))] == [path for path, _ in leaves(read("en"))]


@pytest.mark.parametrize("language", LANGUAGES)
def test_nothing_that_the_page_would_read_as_syntax(language: str) -> None:
    """Some frontends compile these texts: a pipe starts a plural, braces and @ refer to other texts. Others do not, so
    that escaping them shows. A dot in a key is a level."""
    for path, value in leaves(read(language)):
        assert value.strip() == value != ""
        assert not re.search(r"[{}@|$<]", value), value
        assert not any("." in key for key in path)


def test_chinese_is_chinese() -> None:
    texts = dict(leaves(read("zh")))
    assert not [path for path, value in texts.items() if path[-1] != "name" and not re.search("[一-鿿]", value)]
    names = {path[0]: value for path, value in texts.items() if path[-1] == "display_name"}
    assert all(value.startswith("Fewstep ") for value in names.values())


def test_chinese_names_every_choice_and_option_that_english_names() -> None:
    """The words that a person chooses in a widget are not translated, so a tooltip must give them as they are."""
    english, chinese = dict(leaves(read("en"))), dict(leaves(read("zh")))
    for path, value in english.items():
        # "name: what it means"
        for word in re.findall(r"(?:^|[;.,/] )([a-z0-9_]+): ", value):
            assert word in chinese[path], (path, word)
