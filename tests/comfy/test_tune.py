"""Tuning, and sampling with what was tuned, in the real host: its model, conditions, guidance and masks.

Twelve samples, a teacher of few calls and two rounds: enough to run every stage, not to be worth using.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fewstep
import pytest
import torch
from fewstep.samplers.profile_folder import profile_path
from harness import rms
from test_nodes import WIRES, base, latent, node, refusal, report, saved

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("data")]
Tensor = torch.Tensor
Graph = dict[str, Any]
Run = Callable[[Graph], Any]

FEW = "teacher_calls=15, rounds=2"


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Profiles of each test in a folder of its own."""
    monkeypatch.setenv("FEWSTEP_DATA", str(tmp_path))
    return tmp_path


def tune(**inputs: Any) -> Graph:
    given = {"cfg": 2.0, "calls": "5", "samples": 12, "seed": 3, "name": "mine", "run": "tune", "options": FEW}
    return {
        "tune": node("FewstepTune", **{**WIRES, **given, **inputs}),
        "told": node("PreviewAny", source=["tune", 1]),
    }


def tuned(**inputs: Any) -> Graph:
    given = {"model": ["demo", 0], "profile": "mine", "steps": 5}
    return {
        "tuned": node("FewstepTunedSampler", **{**given, **inputs}),
        "text": node("PreviewAny", source=["tuned", 2]),
        "run": node(
            "SamplerCustom", **WIRES, add_noise=True, noise_seed=11, cfg=2.0, sampler=["tuned", 0], sigmas=["tuned", 1]
        ),
        **saved("run"),
    }


@pytest.mark.parametrize("network", ["vp", "flow"])
def test_a_profile_is_made_and_sampled_with_in_one_graph(
    host: types.SimpleNamespace, run_graph: Run, network: str
) -> None:
    done = run_graph(base(network, 1, "bag") | tune() | tuned(name=["tune", 0], profile="(none yet)"))
    assert report(done).startswith("Profile 'mine'"), done
    print(report(done, "told"))
    assert bool(latent(host, done, "run").isfinite().all())
