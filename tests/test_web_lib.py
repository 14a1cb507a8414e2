"""The page's modules of web/lib, run in node: their own tests, and the lambda axis against numpy on real plans."""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fewstep.samplers.level import frame
from fewstep.samplers.report import outline
from fewstep.samplers.schedules import schedule
from fewstep.samplers.solvers import plan
from fewstep.samplers.times import FlowShift

ROOT = Path(__file__).resolve().parents[1]
WEB = ROOT / "tests" / "web"


@pytest.fixture(scope="module")
def node() -> str:
    found = shutil.which("node")
    if found:
        return found
    if os.environ.get("FEWSTEP_REQUIRE_HOSTS") == "1":
        pytest.fail("node is not installed, and FEWSTEP_REQUIRE_HOSTS asks for it")
    return pytest.skip("node is not installed: the tests of web/lib are left out")


def test_their_own_tests_pass(node: str) -> None:
    files = sorted(str(path) for path in WEB.glob("*.test.mjs"))
    assert files
    done = subprocess.run([node, "--test", *files], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]


def test_every_module_is_read_by_a_test() -> None:
    tests = "".join(path.read_text() for path in WEB.glob("*.mjs"))
    for path in (ROOT / "web" / "lib").glob("*.js"):
        assert f"web/lib/{path.name}" in tests, f"no test imports {path.name}"


def test_only_one_file_acts() -> None:
    """The page imports every file of web/ by itself: the others must not touch it when they are imported."""
    for path in (ROOT / "web").rglob("*.js"):
        text = path.read_text()
        acts = "registerExtension" in text or "scripts/" in text
        assert acts == (path.name == "fewstep.js"), path
        if path.parent.name == "lib":
            assert not any(word in text for word in ("document.", "window.", "app.")), path


FRAMES = {
    "sd": frame("ve", "scaled_linear"),
    "zero_snr": frame("ve", "zero_snr"),
    "flow": frame("flow", FlowShift(3.0)),
}
PLOTS = [
    (where, name, steps, end)
    for where in FRAMES
    for name in ("dpmpp_2m", "dpmpp_2s", "dpmpp_3m")
    for steps, end in ((1, 0), (2, 0), (10, 0), (10, "sigma_min"), (1000, 0))
]


def test_the_axis_agrees_with_numpy(node: str) -> None:
    given, columns, seen = [], [], set()
    for where, name, steps, end in PLOTS:
        levels = schedule("sgm_uniform", steps, frame=FRAMES[where], end=end)
        found = plan(name, levels, frame=FRAMES[where])
        given.append({"plot": outline(found), "min": 18.0, "max": 318.5})
        lam, to = [call.level.lam for call in found], [call.target.lam for call in found]
        seen |= {value for value in (*lam, *to) if math.isinf(value)}
        columns.append((lam, to))
    assert seen == {-math.inf, math.inf}, "the plans must reach both ends"
    done = subprocess.run([node, str(WEB / "pixels.mjs")], input=json.dumps(given), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    for row, answer, (lam, to) in zip(PLOTS, told["plots"], columns, strict=True):
        x, to_x = _pixels(lam, to, 18.0, 318.5, told["margin"])
        np.testing.assert_allclose(answer["x"], x, rtol=0, atol=1e-9, err_msg=str(row))
        np.testing.assert_allclose(answer["to"], to_x, rtol=0, atol=1e-9, err_msg=str(row))
        assert len(answer["ticks"]) <= 6, row


def _pixels(lam: list[float], to: list[float], low: float, high: float, margin: float) -> tuple[Any, Any]:
    """Both columns on one axis: interpolated between the ends of what is finite, infinite ends at the borders."""
    both = np.array([lam, to])
    finite = both[np.isfinite(both)]
    left = low + (margin if -math.inf in both else 0)
    right = high - (margin if math.inf in both else 0)
    span = (finite.min(), finite.max()) if finite.size else (0.0, 0.0)
    inner = np.interp(both, span, (left, right)) if span[0] < span[1] else np.full_like(both, (left + right) / 2)
    x = np.where(both == -math.inf, low, np.where(both == math.inf, high, inner))
    return x[0], x[1]
