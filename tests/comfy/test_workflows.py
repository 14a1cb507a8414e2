"""The example workflows in the real host: the API files run, and the page makes the same graphs of the UI files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.filterwarnings("ignore")

FOLDER = Path(__file__).resolve().parents[2] / "example_workflows"
NAMES = sorted(path.stem for path in (FOLDER / "api").glob("*.json"))

Graph = dict[str, Any]


def read(path: Path) -> Graph:
    graph: Graph = json.loads(path.read_text(encoding="utf-8"))
    return graph


@pytest.fixture
def pictures(host: Any, run_graph: Callable[[Graph], Any]) -> Callable[[str], dict[str, list[np.ndarray]]]:
    """Runs an API file: {title of a saving node: its pictures as arrays of whole numbers}."""

    def run(name: str) -> dict[str, list[np.ndarray]]:
        graph = read(FOLDER / "api" / f"{name}.json")
        done = run_graph(graph)
        assert done.ok, getattr(done, "node_errors", None) or done.messages
        saved: dict[str, list[np.ndarray]] = {}
        for node, shown in done.history["outputs"].items():
            files = [host.base / "output" / each["subfolder"] / each["filename"] for each in shown.get("images", [])]
            if files:
                saved[graph[node]["_meta"]["title"]] = [np.asarray(Image.open(file)).astype(int) for file in files]
        return saved

    return run


def batch(graph: Graph) -> int:
    return next(node["inputs"]["batch_size"] for node in graph.values() if node["class_type"] == "EmptyLatentImage")


@pytest.mark.parametrize("name", NAMES)
def test_api_file_runs(pictures: Any, name: str) -> None:
    graph, saved = read(FOLDER / "api" / f"{name}.json"), pictures(name)
    assert len(saved) == sum(node["class_type"] == "SaveImage" for node in graph.values())
    for title, found in saved.items():
        assert len(found) == (1 if title.split()[-1] in ("plan", "grid", "plot") else batch(graph))
        for picture in found:
            assert picture.shape[0] >= 256
            assert picture.std() > 10  # of 255: something is drawn


def test_two_parts_are_the_whole(pictures: Any) -> None:
    for picture in pictures("two_pass")["Save"]:
        seen, parts, whole = (picture[:, left : left + 250] for left in (0, 272, 544))  # 3 x 256 and 2 x 16 wide
        assert abs(parts - whole).max() <= 1
        assert abs(seen - whole).mean() > 5


def test_inpainting_keeps_what_is_not_masked(pictures: Any) -> None:
    for picture in pictures("inpaint")["Save"]:
        start, result = picture[:, :256], picture[:, 272:]
        assert abs(start - result)[128:].max() <= 1
        assert abs(start - result)[:128].mean() > 5


def test_image_to_image_changes_a_part(pictures: Any) -> None:
    for picture in pictures("img2img")["Save"]:
        start, result = picture[:, :256], picture[:, 272:]
        assert 3 < abs(start - result).mean() < 60
        assert np.corrcoef(start.ravel(), result.ravel())[0, 1] > 0.6


def test_more_order_is_nearer_to_the_reference(pictures: Any) -> None:
    batch = np.stack(pictures("compare_grid")["Save"])
    *columns, reference = (batch[:, :, left : left + 256] for left in (0, 272, 544, 816))
    far = [float(((column - reference) ** 2).mean()) for column in columns]
    assert far == sorted(far, reverse=True)


# --- the page --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def page(open_page: Callable[[], Any]) -> Any:
    return open_page()


@pytest.mark.parametrize("name", NAMES)
def test_the_page_makes_the_api_graph(server: Any, page: Any, name: str) -> None:
    graph, infos = read(FOLDER / "api" / f"{name}.json"), server.get("/object_info")
    page.evaluate("async graph => { await app.loadGraphData(graph) }", read(FOLDER / f"{name}.json"))
    made = page.evaluate("async () => (await app.graphToPrompt()).output")
    assert set(made) == set(graph)
    for id, node in graph.items():
        assert (made[id]["class_type"], made[id]["_meta"]) == (node["class_type"], node["_meta"])
        given = made[id]["inputs"]
        assert {each: given.get(each) for each in node["inputs"]} == node["inputs"]
        groups = infos[node["class_type"]]["input"]
        defined = groups.get("required", {}) | groups.get("optional", {})
        # what the API file leaves out has its default; a widget that the page itself adds is no input of the node
        rest = {each for each in given if each not in node["inputs"] and each in defined}
        assert {each: given[each] for each in rest} == {each: defined[each][1]["default"] for each in rest}


@pytest.mark.parametrize("name", NAMES)
def test_nodes_do_not_overlap_on_the_page(page: Any, name: str) -> None:
    """With the sizes that the page gives them, whose widgets may need more room than the file says."""
    page.evaluate("async graph => { await app.loadGraphData(graph) }", read(FOLDER / f"{name}.json"))
    page.wait_for_timeout(200)
    rows = page.evaluate(
        "() => app.graph._nodes.map(n => [n.title, n.pos[0], n.pos[1] - 30, n.size[0], n.size[1] + 30])"
    )
    assert len(rows) == len(read(FOLDER / f"{name}.json")["nodes"])
    for i, (one, x, y, w, h) in enumerate(rows):
        for other, left, top, width, height in rows[:i]:
            apart = x >= left + width or left >= x + w or y >= top + height or top >= y + h
            assert apart, f"{one} overlaps {other}"


def test_the_server_lists_them(server: Any) -> None:
    assert sorted(server.get("/workflow_templates")["fewstep"]) == NAMES
