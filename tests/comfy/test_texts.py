"""What the real host serves of our texts, translations and help, and what its page makes of them."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from node_classes import node_classes

pytestmark = pytest.mark.filterwarnings("ignore")

ROOT = Path(__file__).resolve().parents[2]
LANGUAGES = sorted(path.name for path in (ROOT / "locales").iterdir())

SHOWN = """() => Object.fromEntries(app.graph._nodes.map((node) => [node.type, {
  title: node.title,
  inputs: Object.fromEntries(node.inputs.map((each) => [each.name, each.label ?? each.localized_name])),
  outputs: node.outputs.map((each) => each.label ?? each.localized_name),
  widgets: Object.fromEntries((node.widgets ?? []).map((each) => [each.name, each.label])),
}]))"""


def texts(language: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ROOT / "locales" / language / "nodeDefs.json").read_text(encoding="utf-8"))
    return found


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_host_serves_the_translations(server: Any, language: str) -> None:
    served = server.get("/i18n")[language]["nodeDefs"]
    assert {id: served[id] for id in texts(language)} == texts(language)


@pytest.mark.parametrize("id", node_classes())
@pytest.mark.parametrize("page", ["{}.md", "{}/zh.md"])
def test_the_host_serves_the_help(server: Any, id: str, page: str) -> None:
    name = page.format(id)
    with urllib.request.urlopen(f"{server.url}/extensions/fewstep/docs/{name}", timeout=10) as answer:
        assert answer.read() == (ROOT / "web" / "docs" / name).read_bytes()


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_shows_the_names(open_page: Callable[..., Any], language: str) -> None:
    page = open_page({"Comfy.Locale": language})
    page.evaluate(
        "ids => { app.graph.clear(); for (const id of ids) app.graph.add(LiteGraph.createNode(id)) }",
        list(node_classes()),
    )
    shown = page.evaluate(SHOWN)
    for id, wanted in texts(language).items():
        found = shown[id]
        assert found["title"] == wanted["display_name"]
        names = {name: each["name"] for name, each in wanted["inputs"].items()}
        assert {name: found["inputs"].get(name) or found["widgets"].get(name) for name in names} == names
        assert found["outputs"] == [each["name"] for each in wanted["outputs"].values()]
    page.close()
