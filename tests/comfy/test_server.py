"""The pack on a running server: progress, previews, interruption, the plot's route and events, without a browser."""

from __future__ import annotations

import json
import time
import uuid
from typing import Any

import pytest
import websocket
from harness import rms
from safetensors.torch import load_file
from test_nodes import SETTINGS, WIRES, base, node, ours, python_door, saved

pytestmark = pytest.mark.filterwarnings("ignore")
Graph = dict[str, Any]


class Listener:
    """A client of the server's websocket: queues a prompt and collects its events until it ends."""

    def __init__(self, server: Any) -> None:
        self.server, self.id = server, uuid.uuid4().hex
        self.socket = websocket.create_connection(f"ws://{server.address}/ws?clientId={self.id}", timeout=60)

    def run(self, graph: Graph, interrupt_at: int = 0) -> tuple[str, list[tuple[str, Any]]]:
        """(how it ended, [(event, data)]); binary messages are previews."""
        status, answer = self.server.post("/prompt", {"prompt": graph, "client_id": self.id})
        assert status == 200, answer
        events: list[tuple[str, Any]] = []
        while True:
            message = self.socket.recv()
            if isinstance(message, bytes):
                events.append(("preview", len(message)))
                continue
            found = json.loads(message)
            events.append((found["type"], found["data"]))
            if found["type"] == "progress" and found["data"]["value"] == interrupt_at:
                self.server.post("/interrupt", b"{}")
            if found["type"] in ("execution_success", "execution_error", "execution_interrupted"):
                return found["type"], events


@pytest.fixture
def listener(server: Any) -> Any:
    made = Listener(server)
    yield made
    made.socket.close()


def pictures(graph: Graph) -> Graph:
    return graph | {
        "decode": node("VAEDecode", samples=["sample", 0], vae=["demo", 3]),
        "save": node("SaveImage", images=["decode", 0], filename_prefix="server"),
    }


@pytest.mark.parametrize("network", ["vp", "flow"])
@pytest.mark.parametrize("kind", ["node", "menu", "custom"])
def test_n_steps_are_n_progress_events_and_n_previews(listener: Any, network: str, kind: str) -> None:
    scheduler, n = "karras" if network == "vp" else "simple", 7
    settings = SETTINGS | {"steps": n, "scheduler": scheduler, "seed": n + len(kind), "sampler_name": "dpmpp_3s"}
    graph = base(network) | {
        "node": {"sample": ours(**settings)},
        "menu": {"sample": node("KSampler", **WIRES, **settings | {"sampler_name": "fewstep_dpmpp_3s"})},
        "custom": {
            "sigmas": node("FewstepScheduler", model=["demo", 0], scheduler=scheduler, steps=n, denoise=1.0),
            "sampler": node("FewstepSampler", sampler_name="dpmpp_3s"),
            "sample": node(
                "SamplerCustom", **WIRES, add_noise=True, noise_seed=5, cfg=2.0, sampler=["sampler", 0],
                sigmas=["sigmas", 0],
            ),
        },
    }[kind]  # fmt: skip
    how, events = listener.run(pictures(graph))
    assert how == "execution_success", events[-1]
    steps = [data for event, data in events if event == "progress" and data["node"] == "sample"]
    progress = [(data["value"], data["max"]) for data in steps]
    assert progress == [(i, n) for i in range(1, n + 1)]
    assert sum(event == "preview" for event, _ in events) >= n


@pytest.mark.parametrize("network", ["vp", "flow"])
def test_an_api_workflow_gives_the_latent_of_the_python_door(server: Any, network: str) -> None:
    scheduler = "karras" if network == "vp" else "simple"
    entry = server.finish(base(network, 3) | {"sample": ours(scheduler=scheduler)} | saved("sample"))
    (found,) = entry["outputs"]["save sample"]["latents"]
    latent = load_file(server.base / "output" / found["subfolder"] / found["filename"])["latent_tensor"]
    python = python_door(network, scheduler, "dpmpp_3m", 2.0)
    assert rms(latent - python) <= 1e-5 * rms(python)


def test_a_sampler_node_tells_the_page_the_levels_it_ran_on(listener: Any) -> None:
    graph = base("flow") | {
        "7": node("FewstepSampler", sampler_name="flow_ab3", final="on"),
        "sigmas": node("FewstepScheduler", model=["demo", 0], scheduler="simple", steps=6, denoise=0.5),
        "sample": node(
            "SamplerCustom", **WIRES, add_noise=True, noise_seed=5, cfg=2.0, sampler=["7", 0], sigmas=["sigmas", 0]
        ),
    }
    how, events = listener.run(pictures(graph))
    assert how == "execution_success"
    told = [data for event, data in events if event == "fewstep.plot"]
    assert [each["node"] for each in told] == ["7"]
    plot = told[0]["plot"]
    assert plot["total"] == 6
    assert plot["sigma"][0] == pytest.approx(0.5)
    assert not plot["range"]["assumed"]
    # the page asks again on these levels by the range's id
    status, answer = listener.server.post(
        "/fewstep/plan",
        {"sampler_name": "flow_ab3", "solver_options": {"final": "on"}, "scheduler": "simple", "steps": 6,
         "denoise": 0.5, "range": plot["range"]["id"]},
    )  # fmt: skip
    assert status == 200
    assert answer["sigma"] == plot["sigma"]
    assert answer["order_of"] == plot["order_of"]


def test_the_page_is_told_what_auto_took(listener: Any) -> None:
    """At cfg 7 by the node and by the sampler, whose scheduler knows no cfg."""
    graph = base("flow") | {
        "whole": ours(sampler_name="auto", scheduler="auto", cfg=7.0, steps=5, seed=21),
        "kept": node("SaveLatent", samples=["whole", 0], filename_prefix="auto"),
        "7": node("FewstepSampler", sampler_name="auto"),
        "sigmas": node("FewstepScheduler", model=["demo", 0], scheduler="auto", steps=5, denoise=1.0),
        "sample": node(
            "SamplerCustom", **WIRES, add_noise=True, noise_seed=21, cfg=7.0, sampler=["7", 0], sigmas=["sigmas", 0]
        ),
    }
    how, events = listener.run(pictures(graph))
    assert how == "execution_success", events[-1]
    outputs = {data["node"]: data["output"] for event, data in events if event == "executed"}
    assert outputs["whole"]["fewstep_plot"][0]["chosen"] == ["auto: flow_ab2", "auto: sgm_uniform"]
    assert outputs["sigmas"]["fewstep_plot"][0]["chosen"] == ["auto: beta"]
    (told,) = [data["plot"] for event, data in events if event == "fewstep.plot"]
    assert (told["chosen"], told["total"]) == (["auto: flow_ab2"], 5)
    # and before the run the page is answered the same
    body = {"sampler_name": "auto", "scheduler": "auto", "steps": 5, "cfg": 7.0, "range": "flow"}
    status, answer = listener.server.post("/fewstep/plan", body)
    assert (status, answer["chosen"]) == (200, ["auto: flow_ab2", "auto: sgm_uniform"])


def test_nodes_give_the_page_their_plots(listener: Any) -> None:
    graph = base() | {"sample": ours(end_at_step=5, return_with_leftover_noise="enable")} | {
        "sigmas": node("FewstepScheduler", model=["demo", 0], scheduler="karras", steps=6, denoise=1.0),
        "text": node("FewstepSigmasInfo", sigmas=["sigmas", 0]),
        "shown": node("PreviewAny", source=["text", 0]),
    }  # fmt: skip
    how, events = listener.run(pictures(graph))
    assert how == "execution_success"
    outputs = {data["node"]: data["output"] for event, data in events if event == "executed"}
    plot = outputs["sample"]["fewstep_plot"][0]
    assert (plot["total"], plot["begin"], plot["end"]) == (8, 0, 5)
    schedule = outputs["sigmas"]["fewstep_plot"][0]
    assert schedule["total"] == 6
    assert schedule["solver"] is None


def test_an_interrupted_run_leaves_the_next_one_clean(server: Any, listener: Any) -> None:
    graph = pictures(base(batch=10) | {"sample": ours(steps=200, seed=11)})
    before = server.finish(pictures(base() | {"sample": ours(seed=12)}))
    how, events = listener.run(graph, interrupt_at=5)
    assert how == "execution_interrupted"
    last = max(data["value"] for event, data in events if event == "progress")
    assert last < 200
    print(f"interrupted after event 5, the last one seen was {last}")
    after = server.finish(pictures(base() | {"sample": ours(seed=12)}))
    assert before["status"]["status_str"] == after["status"]["status_str"] == "success"
    again = server.finish(pictures(base(batch=2) | {"sample": ours(seed=13)}))
    assert again["outputs"]["save"]["images"]


GOOD = {"sampler_name": "dpmpp_3m", "scheduler": "karras", "steps": 10}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (GOOD, 200),
        ({}, 200),
        ({"scheduler": "simple", "range": "flux"}, 200),
        (GOOD | {"steps": 1000}, 200),
        (GOOD | {"steps": 1001}, 400),
        (GOOD | {"steps": 0}, 400),
        (GOOD | {"steps": "10"}, 400),
        (GOOD | {"denoise": 0.0}, 200),
        (GOOD | {"denoise": float("nan")}, 400),
        (GOOD | {"sampler_name": []}, 400),
        ({"sampler_name": "auto", "scheduler": "auto", "cfg": 7.0}, 200),
        (GOOD | {"cfg": "7"}, 400),
        (GOOD | {"solver_options": {"start": []}}, 400),
        (GOOD | {"range": {}}, 400),
        (GOOD | {"range": "seen-000000000000"}, 200),
        (GOOD | {"unknown": 1}, 400),
        (GOOD | {"options": "rho=1e400"}, 400),
        ([1, 2], 400),
        (b"{", 400),
        (b"", 400),
        (b"[" * 20000, 400),
        (b'"' + b"x" * 70000 + b'"', 400),
    ],
)
def test_the_route_answers_with_a_plan_or_with_what_is_wrong(server: Any, body: Any, status: int) -> None:
    began = time.perf_counter()
    found, answer = server.post("/fewstep/plan", body)
    assert found == status, answer
    assert time.perf_counter() - began < 5
    if status == 400:
        assert isinstance(answer["error"], str)
        assert answer["error"]
    elif answer["total"]:
        assert len(answer["lam"]) == len(answer["sigma"]) == len(answer["order_of"]) == answer["total"]


def test_the_server_knows_our_nodes_as_the_snapshot_does(server: Any) -> None:
    from snapshot import SNAPSHOT

    for id, wanted in SNAPSHOT.items():
        found = server.get(f"/object_info/{id}")[id]
        names = [*found["input_order"].get("required", []), *found["input_order"].get("optional", [])]
        assert names == [name for group in ("required", "optional") for name in wanted["inputs"].get(group, {})]
        assert found["output"] == wanted["outputs"]
        assert found["category"] == "sampling/fewstep"
        assert found["display_name"].startswith("Fewstep ")
