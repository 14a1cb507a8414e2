"""The example workflows without the host: both formats hold the same graph, which our nodes can take."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from fewstep.samplers.menu import PREFIX, menu
from node_classes import inputs_of, node_classes
from PIL import Image

FOLDER = Path(__file__).resolve().parents[1] / "example_workflows"
NAMES = sorted(path.stem for path in (FOLDER / "api").glob("*.json"))
TITLE = 30  # the bar above a node's place
#: what the page puts behind a seed
AFTER = ("fixed", "increment", "decrement", "randomize")

Graph = dict[str, Any]


def read(path: Path) -> Graph:
    graph: Graph = json.loads(path.read_text(encoding="utf-8"))
    return graph


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def api(name: str) -> Graph:
    return read(FOLDER / "api" / f"{name}.json")


@pytest.fixture
def ui(name: str) -> Graph:
    return read(FOLDER / f"{name}.json")


def drawn(ui: Graph) -> dict[str, Graph]:
    """The nodes of a UI file that are not notes, by their id in an API file."""
    return {str(node["id"]): node for node in ui["nodes"] if node["type"] != "MarkdownNote"}


def test_every_api_file_has_its_ui_file_and_picture() -> None:
    assert NAMES
    assert sorted(path.stem for path in FOLDER.glob("*.json")) == NAMES
    assert sorted(path.stem for path in FOLDER.glob("*.jpg")) == NAMES


def test_the_nodes_are_the_same(api: Graph, ui: Graph) -> None:
    nodes = drawn(ui)
    assert {id: (node["class_type"], node["_meta"]["title"]) for id, node in api.items()} == {
        id: (node["type"], node["title"]) for id, node in nodes.items()
    }


def test_the_links_are_the_same(api: Graph, ui: Graph) -> None:
    nodes, links = drawn(ui), {link[0]: link[1:] for link in ui["links"]}
    assert len(links) == len(ui["links"]) == ui["last_link_id"]
    found = {}
    for id, node in nodes.items():
        for slot, socket in enumerate(node["inputs"]):
            if socket["link"] is not None:
                source, output, target, target_slot, kind = links.pop(socket["link"])
                assert (str(target), target_slot, kind) == (id, slot, socket["type"])
                out = nodes[str(source)]["outputs"][output]
                assert socket["link"] in out["links"]
                assert kind in (out["type"], "*")
                found[id, socket["name"]] = [str(source), output]
    assert not links
    given = {(id, name): value for id, node in api.items() for name, value in node["inputs"].items()}
    assert found == {at: value for at, value in given.items() if isinstance(value, list)}


def test_the_widget_values_are_the_same(api: Graph, ui: Graph) -> None:
    ours = node_classes()
    for id, node in drawn(ui).items():
        inputs, values = api[id]["inputs"], [value for value in node["widgets_values"] if value not in AFTER]
        given = {name: value for name, value in inputs.items() if not isinstance(value, list)}
        if node["type"] in ours:
            widgets = {name: w[1]["default"] for name, w in inputs_of(ours[node["type"]]).items() if "default" in w[1]}
            assert values == list((widgets | given).values())
        else:  # the API files name every widget of the host's nodes, in its order
            assert values == list(given.values())


def test_our_nodes_take_the_inputs(api: Graph) -> None:
    ours = node_classes()
    assert any(node["class_type"] in ours for node in api.values())
    for node in api.values():
        if node["class_type"] not in ours:
            continue
        defined = inputs_of(ours[node["class_type"]])
        required = set(ours[node["class_type"]].INPUT_TYPES()["required"])
        assert required <= set(node["inputs"]) <= set(defined)
        for each, value in node["inputs"].items():
            kind, settings = defined[each]
            if isinstance(kind, list):
                assert value in kind
            elif "min" in settings:
                assert settings["min"] <= value <= settings["max"]


def test_menu_names_exist(api: Graph) -> None:
    for node in api.values():
        chosen = node["inputs"].get("sampler_name", "")
        assert not chosen.startswith(PREFIX) or chosen in menu()


def test_nodes_do_not_overlap(ui: Graph) -> None:
    for one, other in combinations(ui["nodes"], 2):
        (x, y), (w, h), (left, top), (width, height) = one["pos"], one["size"], other["pos"], other["size"]
        apart = x >= left + width or left >= x + w or y - TITLE >= top + height or top - TITLE >= y + h
        assert apart, f"{one['title']} overlaps {other['title']}"


def test_a_note_says_what_it_shows(ui: Graph) -> None:
    (note,) = [node for node in ui["nodes"] if node["type"] == "MarkdownNote"]
    (text,) = note["widgets_values"]
    assert text.count(". ") >= 1
    assert "Load Checkpoint" in text


def test_the_picture_is_small(name: str) -> None:
    path = FOLDER / f"{name}.jpg"
    assert path.stat().st_size < 60_000
    with Image.open(path) as picture:
        assert picture.width == 512
