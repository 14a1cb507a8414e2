"""The plot on our nodes in the real page, in headless Chromium, drawn on the classic canvas and in Nodes 2.0.

FEWSTEP_SCREENSHOTS=1 writes the pictures of docs/img/ that show the page; without it the tests write nothing.
"""

from __future__ import annotations

import io
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import pytest

pytestmark = pytest.mark.filterwarnings("ignore")

IMAGES = Path(__file__).resolve().parents[2] / "docs" / "img"
KSAMPLER, SAMPLER, SCHEDULER = "FewstepKSampler", "FewstepSampler", "FewstepScheduler"
#: the oldest frontend whose Nodes 2.0 was tested
NODES2 = (1, 35)
#: milliseconds that the page may take for what it does at once on an idle machine
PATIENCE = 8000

# What the tests ask the page for. `plot` finds the element where it lives, on the node's last widget.
HELPERS = """
window.t = {
  node: (id) => app.canvas.graph.getNodeById(id),
  plot: (id) => t.node(id)?.widgets?.find((widget) => widget.name === 'fewstep_plot')?.element,
  /** How many pixels of the drawing are not transparent, of an element that can be seen; otherwise 0. */
  drawn(id) {
    const element = t.plot(id);
    const canvas = element?.querySelector('canvas');
    const seen = element?.isConnected && element.checkVisibility() && element.getBoundingClientRect().width > 50;
    if (!seen || !canvas.width || !canvas.checkVisibility()) return 0;
    const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    let count = 0;
    for (let i = 0; i < data.length; i += 4) {
      count += data[i + 3] > 0 && Math.max(data[i], data[i + 1], data[i + 2]) > 60;
    }
    return count;
  },
  picture: (id) => t.plot(id).querySelector('canvas').toDataURL(),
  set(id, values, quietly) {
    for (const [name, value] of Object.entries(values)) {
      const widget = t.node(id).widgets.find((each) => each.name === name);
      widget.value = value;
      if (!quietly) widget.callback?.(value);
    }
  },
  /** {name: [type, x, y, {widget: value}, size]}, [[from, output, to, input]] -> {name: id} */
  build(nodes, links) {
    const made = {};
    for (const [name, [type, x, y, values, size]] of Object.entries(nodes)) {
      const node = made[name] = LiteGraph.createNode(type);
      node.pos = [x, y];
      app.graph.add(node);
      if (size) node.setSize(size);
      t.set(node.id, values ?? {});
    }
    for (const [from, output, to, input] of links) {
      made[from].connect(made[from].findOutputSlot(output), made[to], made[to].findInputSlot(input));
    }
    return Object.fromEntries(Object.entries(made).map(([name, node]) => [name, node.id]));
  },
};
"""


@dataclass
class Page:
    """A page of the host, with this test's graph in it."""

    page: Any
    server: Any
    nodes2: bool

    def open(self) -> None:
        self.page.goto(self.server.url)
        self.page.wait_for_function(
            f"!!window.app?.graph && !!window.LiteGraph?.registered_node_types?.{KSAMPLER} && !!app.canvas?.graph",
            timeout=60000,
        )
        self.page.evaluate(HELPERS)
        # the page opens its own default workflow a little later
        self.page.wait_for_timeout(1500)

    def js(self, text: str, argument: Any = None) -> Any:
        return self.page.evaluate(text, argument)

    def wait(self, text: str, argument: Any = None) -> None:
        self.page.wait_for_function(text, arg=argument, timeout=PATIENCE)

    def build(self, nodes: dict[str, Any], links: list[list[str]] = []) -> dict[str, int]:
        return self.js("([nodes, links]) => t.build(nodes, links)", [nodes, links])

    def add(self, kind: str, x: int = 60, y: int = 60, **values: Any) -> int:
        return self.build({"one": [kind, x, y, values]})["one"]

    def set(self, id: int, **values: Any) -> None:
        self.js("([id, values]) => t.set(id, values)", [id, values])

    def expect(self, id: int, **data: Any) -> None:
        """Waits until the plot is drawn and has these data-... attributes."""
        wanted = {key: json.dumps(value).strip('"') for key, value in data.items()}
        try:
            self.wait(
                "([id, wanted]) => t.drawn(id) > 100 && "
                "Object.entries(wanted).every(([key, value]) => t.plot(id).dataset[key] === value)",
                [id, wanted],
            )
        except Exception as error:
            shown = self.js("(id) => [t.drawn(id), {...t.plot(id)?.dataset}, t.plot(id)?.innerText]", id)
            raise AssertionError(f"node {id}: expected a plot with {wanted}, got {shown}") from error

    @contextmanager
    def asked(self) -> Iterator[list[dict[str, Any]]]:
        """What the page asks the plan's route meanwhile."""
        found: list[dict[str, Any]] = []

        def listen(request: Any) -> None:
            if urlparse(request.url).path.endswith("/fewstep/plan"):
                found.append(json.loads(request.post_data))

        self.page.on("request", listen)
        yield found
        self.page.remove_listener("request", listen)

    def settle(self) -> dict[str, Any]:
        """The workflow, once the page has stopped changing it."""
        found = self.js("app.graph.serialize()")
        for _ in range(20):
            self.page.wait_for_timeout(300)
            last, found = found, self.js("app.graph.serialize()")
            if last == found:
                return found
        raise AssertionError("the page goes on changing the workflow")

    def saved(self) -> dict[str, Any]:
        """The workflow as it is saved after it was opened: the first opening settles the order of execution, the
        workflow's id, and on some pages the places of nodes for the renderer."""
        self.settle()
        self.js("() => app.loadGraphData(app.graph.serialize())")
        return self.settle()

    def run(self) -> None:
        """Queues the graph and waits until the host has finished it."""
        before = set(self.server.get("/history"))
        self.js("app.queuePrompt(0, 1)")
        until = time.monotonic() + 120
        while time.monotonic() < until:
            new = {key: entry for key, entry in self.server.get("/history").items() if key not in before}
            if new and all(entry["status"]["completed"] for entry in new.values()):
                return
            self.page.wait_for_timeout(200)
        raise AssertionError(self.server.log.read_text()[-3000:])

    def place(self, id: int, x: float, y: float) -> tuple[float, float]:
        """Where a point of a node stands in the window."""
        found = self.js(
            "([id, x, y]) => { const [a, b] = t.node(id).pos; const { scale, offset } = app.canvas.ds;"
            "const box = app.canvas.canvas.getBoundingClientRect();"
            "return [(a + x + offset[0]) * scale + box.x, (b + y + offset[1]) * scale + box.y]; }",
            [id, x, y],
        )
        return found[0], found[1]

    def click_empty(self) -> None:
        self.page.mouse.click(640, 820)
        self.page.wait_for_timeout(600)  # two of them are no double click

    def open_search(self, x: float, y: float) -> None:
        for _ in range(5):  # a busy page takes the two clicks for single ones
            self.page.mouse.dblclick(x, y)
            self.page.wait_for_timeout(1000)
            if self.js("() => document.activeElement?.tagName === 'INPUT'"):
                return
        raise AssertionError("a double click on the canvas opens no search")

    def type_steps(self, id: int, steps: int) -> None:
        """As a person does it, with mouse and keys."""
        if self.nodes2:
            row = self.page.locator(f'[data-node-id="{id}"]').get_by_label("steps", exact=True)
            field = row.locator("input").first if row.locator("input").count() else row.first
            box = field.bounding_box()  # what receives the click lies over the field
            self.page.mouse.dblclick(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
            self.page.keyboard.press("Control+a")
        else:
            y = self.js("(id) => t.node(id).widgets.find((widget) => widget.name === 'steps').last_y + 10", id)
            x, y = self.place(id, self.js("(id) => t.node(id).size[0] / 2", id), y)
            self.page.mouse.dblclick(x, y)
            field = self.page.locator(".graphdialog input").first
            field.wait_for(timeout=PATIENCE)
            field.fill("")
        self.page.keyboard.type(str(steps))
        self.page.keyboard.press("Enter")


@pytest.fixture(scope="module", params=[False, True], ids=["classic", "nodes2"])
def opened(request: pytest.FixtureRequest, server: Any, browser: Any) -> Iterator[Page]:
    status, _ = server.post("/settings/Comfy.VueNodes.Enabled", request.param)
    assert status == 200
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(f"{error}\n{error.stack or ''}"))

    def local_only(route: Any) -> None:
        if urlparse(route.request.url).hostname == "127.0.0.1":
            route.continue_()
        else:
            route.abort()

    page.route("**/*", local_only)
    found = Page(page, server, request.param)
    found.open()
    version = found.js("() => window.__COMFYUI_FRONTEND_VERSION__ ?? '1.0'")
    if request.param and tuple(map(int, version.split(".")[:2])) < NODES2:
        context.close()
        pytest.skip(f"Nodes 2.0 of frontend {version} is a first sketch that shows no DOM widgets")
    yield found
    page.unroute_all(behavior="ignoreErrors")
    context.close()
    assert not [error for error in errors if "fewstep" in error], errors


@pytest.fixture
def page(opened: Page) -> Page:
    """Each test begins with an empty workflow. Its ids are new: newer pages keep a widget's value by its node's id."""
    opened.js(
        "async () => { app.canvas.setGraph?.(app.rootGraph ?? app.graph);"
        "const free = Math.max(...app.graph.nodes.map((node) => Number(node.id)), 0) + 100;"
        "const empty = { id: crypto.randomUUID(), version: 0.4, revision: 0, nodes: [], links: [], groups: [] };"
        "const blank = { ...empty, config: {}, extra: {}, last_node_id: free, last_link_id: 0 };"
        "await app.loadGraphData(blank, true, true, app.extensionManager?.workflow?.activeWorkflow);"  # in the same tab
        "app.canvas.ds.reset(); }"
    )
    opened.page.wait_for_timeout(300)
    return opened


#: both ways to sample, with the demo model
GRAPH: dict[str, Any] = {
    "demo": ["FewstepDemoModel", -300, 40, {"network": "vp", "positive_class": "pullover"}],
    "empty": ["EmptyLatentImage", -300, 270, {"width": 256, "height": 256}],
    "whole": [KSAMPLER, 10, 40, {"steps": 8, "cfg": 2.0, "scheduler": "karras", "control_after_generate": "fixed"}],
    "decode": ["VAEDecode", 370, 40, {}, [210, 46]],
    "save": ["PreviewImage", 370, 150, {}, [210, 260]],
    "sampler": [SAMPLER, 630, 40, {"sampler_name": "deis_tab3"}],
    "scheduler": [SCHEDULER, 630, 540, {"steps": 6}],
    "custom": ["SamplerCustom", 950, 40, {"noise_seed": 1, "cfg": 2.0, "control_after_generate": "fixed"}, [270, 440]],
    "decode2": ["VAEDecode", 950, 540, {}, [210, 46]],
    "save2": ["PreviewImage", 950, 650, {}, [210, 260]],
}
LINKS = [
    ["demo", "model", "whole", "model"],
    ["demo", "positive", "whole", "positive"],
    ["demo", "negative", "whole", "negative"],
    ["empty", "LATENT", "whole", "latent_image"],
    ["whole", "latent", "decode", "samples"],
    ["demo", "vae", "decode", "vae"],
    ["decode", "IMAGE", "save", "images"],
    ["demo", "model", "scheduler", "model"],
    ["demo", "model", "custom", "model"],
    ["demo", "positive", "custom", "positive"],
    ["demo", "negative", "custom", "negative"],
    ["empty", "LATENT", "custom", "latent_image"],
    ["sampler", "sampler", "custom", "sampler"],
    ["scheduler", "sigmas", "custom", "sigmas"],
    ["custom", "output", "decode2", "samples"],
    ["demo", "vae", "decode2", "vae"],
    ["decode2", "IMAGE", "save2", "images"],
]


def test_found_by_search_drawn_and_redrawn(page: Page) -> None:
    page.open_search(400, 200)
    page.page.keyboard.type("few", delay=50)
    page.page.get_by_role("option").filter(has_text="Fewstep KSampler").first.click(timeout=PATIENCE)
    page.page.wait_for_timeout(300)
    page.page.mouse.move(420, 230)  # newer pages hang the node on the pointer until the next click
    page.page.mouse.click(420, 230)
    page.wait("() => app.graph.nodes.length === 1")
    id = page.js("() => app.graph.nodes[0].id")
    assert page.js("(id) => t.node(id).comfyClass", id) == KSAMPLER
    page.expect(id, points=10, total=10, assumed=True, range="sd")
    before = page.js("(id) => t.picture(id)", id)
    page.js("(id) => { t.node(id).pos = [60, 40]; app.canvas.ds.reset(); app.canvas.setDirty(true, true); }", id)
    page.page.wait_for_timeout(500)
    page.type_steps(id, 5)
    page.expect(id, points=5, total=5)
    assert page.js("(id) => t.picture(id)", id) != before
    assert "5 model calls" in page.js("(id) => t.plot(id).getAttribute('aria-label')", id)


def test_a_value_that_is_set_without_a_callback_is_seen(page: Page) -> None:
    id = page.add(KSAMPLER)
    page.expect(id, points=10)
    page.js("(id) => t.set(id, { steps: 4 }, true)", id)
    page.expect(id, points=4)


def test_what_is_wrong_is_said_in_the_plot(page: Page) -> None:
    id = page.add(KSAMPLER)
    page.expect(id, points=10)
    page.set(id, options="rhoo=5")
    page.wait("(id) => t.plot(id).innerText.includes('rhoo')", id)
    assert page.js("(id) => t.plot(id).dataset.points", id) == "0"
    page.set(id, options="")
    page.expect(id, points=10)
    assert "rhoo" not in page.js("(id) => t.plot(id).innerText", id)


def test_what_auto_takes_is_named_under_the_cfg_of_the_node(page: Page) -> None:
    id = page.add(KSAMPLER)
    for cfg, solver in ((7, "dpm_solver_2m"), (1, "dpm_solver_3m")):
        page.set(id, cfg=cfg)
        page.wait("([id, words]) => t.plot(id).innerText.includes(words)", [id, f"auto: {solver} \u00b7 auto: karras"])
    page.expect(id, points=10)
    page.set(id, sampler_name="dpmpp_2m", scheduler="karras")
    page.wait("(id) => !t.plot(id).innerText.includes('auto: ')", id)


def test_a_range_is_chosen(page: Page) -> None:
    id = page.add(KSAMPLER)
    page.expect(id, points=10, range="sd")
    page.js("(id) => { app.canvas.ds.reset(); }", id)
    page.page.get_by_label("range of noise levels").first.select_option("flux")
    page.expect(id, range="flux", assumed=True)
    assert "assumed: Flux" in page.js("(id) => t.plot(id).innerText", id)


def test_the_pointer_is_told_the_call_and_the_wheel_zooms(page: Page) -> None:
    id = page.add(KSAMPLER)
    page.expect(id, points=10)
    page.settle()
    box = page.js("(id) => t.plot(id).querySelector('canvas').getBoundingClientRect().toJSON()", id)
    width = page.js("(id) => t.plot(id).querySelector('canvas').width", id)
    page.page.mouse.move(box["x"] + 19, box["y"] + box["height"] / 2)
    page.wait("(id) => t.plot(id).title.startsWith('call 1 of 10')", id)
    page.page.mouse.wheel(0, -200)
    page.wait("() => app.canvas.ds.scale > 1")
    # and the drawing is made anew, sharp at that size
    page.wait("([id, width]) => t.plot(id).querySelector('canvas').width > width", [id, width])


def test_a_sampler_follows_the_schedule_it_meets(page: Page) -> None:
    ids = page.build(
        {
            "sampler": [SAMPLER, 0, 0, {}],
            "host": ["BasicScheduler", 300, 0, {"scheduler": "simple", "steps": 7}],
            "custom": ["SamplerCustom", 600, 0, {}],
        }
    )
    page.expect(ids["sampler"], points=10)
    assert "assumed: beta, 10 calls" in page.js("(id) => t.plot(id).innerText", ids["sampler"])
    connect = "([a, b]) => t.node(a).connect(0, t.node(b), t.node(b).findInputSlot({}))"
    page.js(connect.replace("{}", "'sampler'"), [ids["sampler"], ids["custom"]])
    page.js(connect.replace("{}", "'sigmas'"), [ids["host"], ids["custom"]])
    page.expect(ids["sampler"], points=7)
    assert "beta" not in page.js("(id) => t.plot(id).innerText", ids["sampler"])
    page.set(ids["host"], steps=12)
    page.expect(ids["sampler"], points=12)
    page.js("(id) => t.node(id).disconnectInput(t.node(id).findInputSlot('sigmas'))", ids["custom"])
    page.expect(ids["sampler"], points=10)


def test_a_run_shows_the_models_own_levels_and_a_reload_the_plan(page: Page) -> None:
    ids = page.build(GRAPH, LINKS)
    # a node that the host finds in its cache tells nothing (before ComfyUI 0.18): other numbers for each renderer
    page.set(ids["whole"], seed=8 + page.nodes2)
    page.set(ids["scheduler"], steps=4 + page.nodes2)
    shown = {"whole": 8, "sampler": 4 + page.nodes2, "scheduler": 4 + page.nodes2}
    for name, calls in shown.items():
        page.expect(ids[name], points=calls, assumed=True)
    page.run()
    for name, calls in shown.items():
        page.expect(ids[name], points=calls, assumed=False)
        assert page.js("(id) => t.plot(id).dataset.range", ids[name]).startswith("seen-")
    page.set(ids["whole"], steps=9)
    page.expect(ids["whole"], points=9, assumed=False)
    page.set(ids["scheduler"], steps=7)
    page.expect(ids["scheduler"], points=7, assumed=False)
    page.expect(ids["sampler"], points=7, assumed=False)
    screenshots(page, ids)
    saved = page.settle()
    page.js("() => app.extensionManager?.workflow?.activeWorkflow?.changeTracker?.checkState?.()")
    page.click_empty()
    page.page.wait_for_timeout(1500)  # the page keeps drafts with a delay
    page.open()
    if page.js("app.graph.nodes.length") != len(GRAPH):
        page.js("(saved) => app.loadGraphData(saved)", saved)
    page.expect(ids["whole"], points=9)
    page.expect(ids["sampler"], points=7)


def test_opening_and_saving_leave_the_workflow_unchanged(page: Page) -> None:
    ids = page.build(GRAPH, LINKS)
    page.expect(ids["whole"], points=8)
    page.js("() => app.graph.nodes.forEach((node) => node.comfyClass === 'SamplerCustom' && node.setSize([333, 444]))")
    saved = page.saved()
    page.js("(saved) => app.loadGraphData(structuredClone(saved))", saved)
    page.expect(ids["whole"], points=8)
    assert changes(saved, page.settle()) == []
    for node in saved["nodes"]:
        if node["type"] in (KSAMPLER, SAMPLER, SCHEDULER):
            names = page.js("(id) => t.node(id).widgets.map((widget) => widget.name)", node["id"])
            assert names[-1] == "fewstep_plot"
            assert len(node["widgets_values"]) == len(names) - 1
            assert "fewstep_plot" not in json.dumps(node)
    prompt = page.js("async () => (await app.graphToPrompt()).output")
    assert "fewstep_plot" not in json.dumps(prompt)
    assert prompt[str(ids["whole"])]["inputs"]["steps"] == 8


def test_a_node_that_was_made_larger_or_smaller_keeps_its_size(page: Page) -> None:
    id = page.add(KSAMPLER)
    page.expect(id, points=10)
    width, height = page.js("(id) => [...t.node(id).size]", id)
    page.js("([id, size]) => t.node(id).setSize(size)", [id, [width + 90, height + 120]])
    page.expect(id, points=10)
    saved = page.saved()
    assert saved["nodes"][0]["size"][0] >= width + 90
    page.js("(saved) => app.loadGraphData(structuredClone(saved))", saved)
    page.expect(id, points=10)
    assert changes(saved, page.settle()) == []


def test_copies_have_their_own_plot(page: Page) -> None:
    id = page.add(KSAMPLER, steps=6)
    page.expect(id, points=6)
    page.js("(id) => { app.canvas.deselectAll?.(); app.canvas.selectNode(t.node(id)); }", id)
    page.js("() => { app.canvas.copyToClipboard(); app.canvas.pasteFromClipboard(); }")
    page.wait("() => app.graph.nodes.length === 2")
    other = page.js("(id) => app.graph.nodes.find((node) => node.id !== id).id", id)
    page.js("(id) => { t.node(id).pos = [500, 60]; app.canvas.setDirty(true, true); }", other)
    page.expect(other, points=6)
    page.set(other, steps=3)
    page.expect(other, points=3)
    page.expect(id, points=6)


def test_a_node_that_is_not_in_the_workflow_asks_nothing(page: Page) -> None:
    id = page.add(KSAMPLER, steps=6)
    page.expect(id, points=6)
    change = "const steps = node.widgets.find(({ name }) => name === 'steps'); steps.value = 5; steps.callback?.(5);"
    with page.asked() as bodies:
        page.js("(id) => { const node = t.node(id).clone(); " + change + "}", id)  # as the clipboard does
        page.js("(id) => { const node = t.node(id); node.graph.remove(node); " + change + "}", id)
        page.page.wait_for_timeout(1000)
    assert bodies == []


def test_a_server_that_does_not_answer_is_asked_once_and_again_later(page: Page) -> None:
    ids = page.build(
        {
            "sampler": [SAMPLER, 0, 0, {}],
            "host": ["BasicScheduler", 300, 0, {"scheduler": "simple", "steps": 7}],
            "custom": ["SamplerCustom", 600, 0, {}],
        },
        [["sampler", "sampler", "custom", "sampler"], ["host", "SIGMAS", "custom", "sigmas"]],
    )
    page.expect(ids["sampler"], points=7)
    page.page.route("**/fewstep/plan", lambda route: route.abort())
    with page.asked() as bodies:
        page.set(ids["host"], steps=12)
        page.wait("(id) => t.plot(id).innerText.includes('no plan from the server')", ids["sampler"])
        page.page.wait_for_timeout(1000)
    page.page.unroute("**/fewstep/plan")
    assert [body["steps"] for body in bodies] == [12]
    page.expect(ids["sampler"], points=12)


def test_undo_keeps_the_plot_and_the_range(page: Page) -> None:
    id = page.add(KSAMPLER, steps=6)
    page.expect(id, points=6)
    page.click_empty()
    page.page.get_by_label("range of noise levels").first.select_option("edm")
    page.expect(id, range="edm")
    page.click_empty()
    page.page.wait_for_timeout(300)
    page.type_steps(id, 9)
    page.expect(id, points=9)
    page.click_empty()
    page.page.wait_for_timeout(500)
    page.page.keyboard.press("Control+z")
    page.expect(id, points=6, range="edm")


def test_a_collapsed_node_shows_no_plot_until_it_is_opened(page: Page) -> None:
    id = page.add(KSAMPLER)
    page.expect(id, points=10)
    page.js("(id) => { t.node(id).collapse(); app.canvas.setDirty(true, true); }", id)
    page.wait("(id) => t.drawn(id) === 0", id)
    page.set(id, steps=5)
    page.js("(id) => { t.node(id).collapse(); app.canvas.setDirty(true, true); }", id)
    page.expect(id, points=5)


def test_a_subgraph_keeps_the_plot(page: Page) -> None:
    ids = page.build(GRAPH, LINKS)
    page.expect(ids["sampler"], points=6)
    if not page.js("() => typeof app.canvas.graph.convertToSubgraph === 'function'"):
        pytest.skip("this page has no subgraphs")
    inside = [ids["whole"], ids["sampler"]]
    holder = page.js("(ids) => app.canvas.graph.convertToSubgraph(new Set(ids.map(t.node))).node.id", inside)
    page.js(
        "(id) => { const node = app.graph.getNodeById(id); app.canvas.openSubgraph?.(node.subgraph, node); "
        "if (app.canvas.graph !== node.subgraph) app.canvas.setGraph(node.subgraph); }",
        holder,
    )
    page.wait("() => app.canvas.graph !== app.graph || app.canvas.graph !== app.rootGraph")
    found = page.js("() => Object.fromEntries(app.canvas.graph.nodes.map((node) => [node.comfyClass, node.id]))")
    page.expect(found[KSAMPLER], points=8)
    page.expect(found[SAMPLER], points=6)  # its scheduler has stayed outside
    page.set(found[KSAMPLER], steps=4)
    page.expect(found[KSAMPLER], points=4)
    page.run()
    page.expect(found[KSAMPLER], points=4, assumed=False)
    # shown on the subgraph's own node as well, the widget there has the value that is run
    page.js(
        "([holder, id]) => { const node = t.node(id), graph = app.canvas.graph;"
        "graph.addInput('count', 'INT').connect(node.inputs[node.findInputSlot('steps')], node);"
        "const outside = (app.rootGraph ?? app.graph).getNodeById(holder);"
        "const widget = outside.widgets.find((each) => each.name === 'count');"
        "widget.value = 3; widget.callback?.(3); }",
        [holder, found[KSAMPLER]],
    )
    page.expect(found[KSAMPLER], points=3, assumed=False)
    page.expect(found[SAMPLER], points=6, assumed=False)
    page.js("() => app.canvas.setGraph(app.rootGraph ?? app.graph)")
    page.wait("(id) => app.canvas.graph.getNodeById(id) !== null", holder)


def changes(one: Any, two: Any, at: str = "") -> list[str]:
    """Where two JSON values differ."""
    if isinstance(one, dict) and isinstance(two, dict):
        return [found for key in {**one, **two} for found in changes(one.get(key), two.get(key), f"{at}.{key}")]
    if isinstance(one, list) and isinstance(two, list) and len(one) == len(two):
        return [found for i, (a, b) in enumerate(zip(one, two, strict=True)) for found in changes(a, b, f"{at}[{i}]")]
    return [] if one == two else [f"{at}: {one} became {two}"]


def screenshots(page: Page, ids: dict[str, int]) -> None:
    """The pictures of the documentation, when they are asked for."""
    if os.environ.get("FEWSTEP_SCREENSHOTS") != "1":
        return
    from PIL import Image

    def keep(data: bytes, name: str) -> None:
        picture = Image.open(io.BytesIO(data)).convert("RGB")
        picture.save(IMAGES / name, optimize=True)

    def look(scale: float, x: float, y: float) -> None:
        page.js(
            "([scale, x, y]) => { app.canvas.ds.scale = scale; app.canvas.ds.offset = [x, y];"
            "app.canvas.setDirty(true, true); }",
            [scale, x, y],
        )
        page.page.wait_for_timeout(1000)

    page.js("() => { app.canvas.deselectAll?.(); app.extensionManager?.setting.set('Comfy.Minimap.Visible', false); }")
    page.page.mouse.move(640, 860)
    page.page.wait_for_timeout(6000)  # the page's messages go away
    look(0.79, 382, 125)
    keep(page.page.screenshot(), "comfyui_nodes2.png" if page.nodes2 else "comfyui.png")
    if not page.nodes2:
        page.page.set_viewport_size({"width": 1280, "height": 1400})
        look(1.4, 120, 80)
        x, y = page.place(ids["whole"], -8, -38)
        size = page.js("(id) => [...t.node(id).size]", ids["whole"])
        right, bottom = page.place(ids["whole"], size[0] + 8, size[1] + 8)
        box = {"x": x, "y": y, "width": right - x, "height": bottom - y}
        keep(page.page.screenshot(clip=box), "node_plot.png")
        page.page.set_viewport_size({"width": 1280, "height": 900})
    look(1.0, 0, 0)
