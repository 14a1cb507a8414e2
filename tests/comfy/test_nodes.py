"""Our nodes in the real host, in process: graphs that run, latents that agree, parts that join."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.filterwarnings("ignore")

Graph = dict[str, Any]


def ksampler(model: str = "vp", **inputs: Any) -> Graph:
    return {
        "demo": {"class_type": "FewstepDemoModel", "inputs": {"network": model, "positive_class": "one of each"}},
        "empty": {"class_type": "EmptyLatentImage", "inputs": {"width": 256, "height": 256, "batch_size": 2}},
        "sample": {
            "class_type": "FewstepKSampler",
            "inputs": {
                "model": ["demo", 0],
                "positive": ["demo", 1],
                "negative": ["demo", 2],
                "latent_image": ["empty", 0],
                "seed": 1,
                "steps": 6,
                "cfg": 2.0,
                "sampler_name": "dpmpp_2m",
                "scheduler": "beta",
                "denoise": 1.0,
                **inputs,
            },
        },
        "decode": {"class_type": "VAEDecode", "inputs": {"samples": ["sample", 0], "vae": ["demo", 3]}},
        "save": {"class_type": "SaveImage", "inputs": {"images": ["decode", 0], "filename_prefix": "test"}},
    }


@pytest.mark.parametrize("model", ["vp", "flow"])
def test_the_all_in_one_node_runs(run_graph: Callable[[Graph], Any], model: str) -> None:
    done = run_graph(ksampler(model))
    assert done.ok, getattr(done, "node_errors", None) or done.messages
    assert len(done.history["outputs"]["save"]["images"]) == 2
