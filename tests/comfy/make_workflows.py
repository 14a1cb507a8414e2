"""Makes example_workflows/NAME.json and NAME.jpg from example_workflows/api/NAME.json, with a running ComfyUI.

    python tests/comfy/make_workflows.py http://127.0.0.1:8188 [NAME ...]

The API files are written by hand and are the one truth about a graph. The server says in which order a node's widgets
stand and what their defaults are; it runs each graph, and its pictures become the thumbnail. Needs Pillow.
"""

from __future__ import annotations

import io
import json
import math
import sys
import time
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

from PIL import Image

FOLDER = Path(__file__).resolve().parents[2] / "example_workflows"
OWN = "To use your own checkpoint, put Load Checkpoint and two CLIP Text Encode nodes in the place of the demo model"
SIZE = " and choose its picture size in the empty latent."
#: what the note in a workflow says: what it shows, and what to replace
NOTES = {
    "txt2img": f"Text to image with one node: 8 steps are exactly 8 calls of the model. {OWN}{SIZE}",
    "img2img": "A sampled dress is decoded, encoded again and sampled as a coat at denoise 0.5, with exactly 8 calls. "
    "For a picture of your own put Load Image in the place of the first sampler and its decoder, and Load Checkpoint "
    "and CLIP Text Encode in the place of the demo models.",
    "inpaint": "Only the upper half of a sneaker is sampled again, as an ankle boot; the noise mask keeps the rest. "
    "For a picture of your own use Load Image with a mask painted on it and VAE Encode, and Load Checkpoint and CLIP "
    "Text Encode in the place of the demo models.",
    "two_pass": "Two nodes share one run of 8 calls: the second goes on with the history of the first, so the pictures "
    "of both parts (second column) equal those of one node (third), and the first column is what the model saw after "
    f"4 calls. {OWN}{SIZE}",
    "custom_sampler": "A solver with its own options, a schedule and their plan as a picture, for the host's Sampler "
    f"Custom nodes. {OWN}{SIZE}",
    "menu": "The host's own KSampler, with a Fewstep solver from its sampler menu; there its options have their "
    f"defaults. {OWN}{SIZE}",
    "tune": "A plan of 4 calls is fitted to the demo network, with few samples so that it takes seconds, and sampled "
    f"with. {OWN}{SIZE} For a model of your own use the batch size and the guidance that you sample with, 32 samples "
    "or more and no options, a name of its own, and set run to count only first: it says how long it will take.",
    "compare": "Four solvers on the flow network from the same noise, beside a run of 60 calls: pictures, error over "
    f"calls, and a sentence that says what to use. {OWN}{SIZE} Then give reference_calls 200 and 32 samples or more, "
    "and for a model that is no flow model karras for beta and dpm_solver_3m for flow_ab3.",
    "compare_grid": "From left to right ddim, dpmpp_2m and flow_ab3 with 6 calls each, and a reference with 100, all "
    f"from the same noise. {OWN}; on a model that is no flow model choose dpm_solver_3m and karras for flow_ab3 and "
    "sgm_uniform.",
    "demo_model": "The two demo networks, noise prediction on the left and flow on the right, each with a solver and a "
    "schedule that suit its kind. Keep the sampler that is of your checkpoint's kind and put Load Checkpoint and two "
    "CLIP Text Encode nodes in the place of its demo model.",
}

WIDGETS = ("INT", "FLOAT", "STRING", "BOOLEAN", "COMBO")
WIDTH, TITLE, ROW, GAP = 300, 30, 26, 60
#: room that nodes take beyond their sockets and widgets, for the plot, a picture or a text
EXTRA = {
    "FewstepKSampler": 180, "FewstepSampler": 180, "FewstepScheduler": 180, "SaveImage": 280, "PreviewAny": 200,
}  # fmt: skip
WIDE = {"FewstepKSampler": 340, "PreviewAny": 460, "SaveImage": 420}

Nodes = dict[str, Any]


def linked(value: Any) -> bool:
    return isinstance(value, list)


def columns(api: Nodes) -> dict[str, int]:
    """node -> the length of the longest chain of nodes that leads to it."""
    found: dict[str, int] = {}

    def depth(name: str) -> int:
        if name not in found:
            found[name] = max([depth(v[0]) + 1 for v in api[name]["inputs"].values() if linked(v)], default=0)
        return found[name]

    return {name: depth(name) for name in api}


def ui_node(name: str, node: Nodes, info: Nodes, order: int) -> Nodes:
    """A node of the UI format, without links and place."""
    defined = info["input"].get("required", {}) | info["input"].get("optional", {})
    names = [each for group in ("required", "optional") for each in info["input_order"].get(group, [])]
    sockets, values = [], []
    for each in names:
        kind, *rest = defined[each]
        settings = rest[0] if rest else {}
        if (linked(kind) or kind in WIDGETS) and not settings.get("forceInput"):
            choices = kind if linked(kind) else settings.get("options", [None])
            values.append(node["inputs"].get(each, settings.get("default", choices[0])))
            if settings.get("control_after_generate"):
                values.append("fixed")
        else:
            sockets.append({"name": each, "type": kind, "link": None})
    outputs = zip(info["output_name"], info["output"], strict=True)
    height = ROW * (max(len(sockets), len(info["output"])) + len(values)) + 20 + EXTRA.get(node["class_type"], 0)
    return {
        "id": int(name),
        "type": node["class_type"],
        "pos": [0, 0],
        "size": [WIDE.get(node["class_type"], WIDTH), height],
        "flags": {},
        "order": order,
        "mode": 0,
        "inputs": sockets,
        "outputs": [{"name": label, "type": kind, "links": None} for label, kind in outputs],
        "title": node["_meta"]["title"],
        "properties": {"Node name for S&R": node["class_type"]},
        "widgets_values": values,
    }


def ui(api: Nodes, infos: Nodes, note: str) -> Nodes:
    """The UI format of a graph: nodes in columns by depth, in the order of the API file."""
    depth = columns(api)
    names = sorted(api, key=lambda name: (depth[name], int(name)))
    nodes = {name: ui_node(name, api[name], infos[api[name]["class_type"]], i) for i, name in enumerate(names)}
    links: list[list[Any]] = []
    for name, node in nodes.items():
        for slot, socket in enumerate(node["inputs"]):
            if socket["name"] in api[name]["inputs"]:
                source, output = api[name]["inputs"][socket["name"]]
                socket["link"] = len(links) + 1
                out = nodes[source]["outputs"][output]
                out["links"] = [*(out["links"] or []), len(links) + 1]
                links.append([len(links) + 1, int(source), output, int(name), slot, socket["type"]])
    last = max(map(int, api)) + 1
    remark = {
        "id": last, "type": "MarkdownNote", "pos": [0, 0], "size": [WIDTH, 240], "flags": {}, "order": len(nodes),
        "mode": 0, "inputs": [], "outputs": [], "title": "About this workflow", "properties": {},
        "widgets_values": [note],
    }  # fmt: skip
    put(nodes, remark, depth, {name: [v[0] for v in api[name]["inputs"].values() if linked(v)] for name in api})
    return {
        "last_node_id": last, "last_link_id": len(links), "nodes": [remark, *nodes.values()], "links": links,
        "groups": [], "config": {}, "extra": {}, "version": 0.4,
    }  # fmt: skip


def put(nodes: Nodes, remark: Nodes, depth: dict[str, int], sources: dict[str, list[str]]) -> None:
    """Sets the positions: a column for each depth, the note above the first, none above all of what feeds it."""
    x = 0
    for at in range(max(depth.values()) + 1):
        column = [name for name in nodes if depth[name] == at]
        y = remark["size"][1] + TITLE + GAP if at == 0 else 0
        for name in column:
            y = max(y, min((nodes[each]["pos"][1] for each in sources[name] if depth[each] == at - 1), default=0))
            nodes[name]["pos"] = [x, y]
            y += nodes[name]["size"][1] + TITLE + GAP
        x += max(nodes[name]["size"][0] for name in column) + GAP


def get(url: str | urllib.request.Request) -> bytes:
    with urllib.request.urlopen(url, timeout=60) as answer:
        data: bytes = answer.read()
    return data


def pictures(url: str, api: Nodes) -> list[list[Image.Image]]:
    """Runs a graph on the server: the pictures of each saving node."""
    body = json.dumps({"prompt": api}).encode()
    request = urllib.request.Request(f"{url}/prompt", body, {"Content-Type": "application/json"})
    job = json.loads(get(request))["prompt_id"]
    while not (done := json.loads(get(f"{url}/history/{job}")).get(job)):
        time.sleep(0.2)
    if done["status"]["status_str"] != "success":
        raise SystemExit(f"the graph failed: {done['status']['messages'][-1]}")
    found = [done["outputs"][name].get("images", []) for name in sorted(done["outputs"], key=int)]
    return [
        [Image.open(io.BytesIO(get(f"{url}/view?{urllib.parse.urlencode(file)}"))).convert("RGB") for file in files]
        for files in found
        if files
    ]


def sheet(groups: list[list[Image.Image]], width: int = 512) -> Image.Image:
    """All pictures on one sheet: a grid for each saving node, one below the other."""
    grids = []
    for group in groups:
        w, h = group[0].size
        across = max(1, int(math.sqrt(len(group) * h / w) + 0.65))
        grid = Image.new("RGB", (across * (w + 24) - 24, math.ceil(len(group) / across) * (h + 24) - 24), "white")
        for i, picture in enumerate(group):
            grid.paste(picture, (i % across * (w + 24), i // across * (h + 24)))
        grids.append(grid.resize((width, round(grid.height * width / grid.width)), Image.Resampling.LANCZOS))
    whole = Image.new("RGB", (width, sum(grid.height + 8 for grid in grids) - 8), "white")
    y = 0
    for grid in grids:
        whole.paste(grid, (0, y))
        y += grid.height + 8
    return whole


def main(url: str, *names: str) -> None:
    infos = json.loads(get(f"{url}/object_info"))
    for name in names or NOTES:
        api = json.loads((FOLDER / "api" / f"{name}.json").read_text(encoding="utf-8"))
        text = json.dumps(ui(api, infos, NOTES[name]), indent=1, ensure_ascii=False)
        (FOLDER / f"{name}.json").write_text(text + "\n", encoding="utf-8")
        sheet(pictures(url, api)).save(FOLDER / f"{name}.jpg", quality=80, optimize=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
