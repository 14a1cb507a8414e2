"""Analytic-DPM: exact variance on Gaussian data, the paper's formulas, statistics and their file."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import fewstep
import numpy as np
import pytest
import torch
from fewstep.benchmarks.problems import SMOOTH
from fewstep.commands import cli
from fewstep.samplers.choices import moved
from fewstep.samplers.statistics import Statistics, check_name, statistics_folder, statistics_path
from harness import MEASURED, exact_statistics
from test_sde import variance_error

FRAMES = ("ve", "vp", "flow")
Tensor = torch.Tensor


def gaussian(frame: str, data: float) -> Callable[..., Tensor]:
    """The exact denoiser of N(0, data^2)."""

    def model(x: Tensor, sigma: Tensor, **_: Any) -> Tensor:
        level = fewstep.frame(frame).level(float(sigma[0]))
        return x * (level.alpha * data**2 / (level.alpha**2 * data**2 + level.sigma**2))

    return model


# --- the method ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [0.1, 1.0, 3.0])
@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("id", MEASURED)
def test_every_step_has_the_exact_variance_on_gaussian_data(id: str, frame: str, data: float) -> None:
    """From flow sigma 1 too, where the size of the noise prediction says nothing. Rounding is below 1e-12."""
    options = {"statistics": exact_statistics(frame, data)}
    for n in (1, 2, 5, 12, 50):
        sigmas = fewstep.schedule("sgm_uniform", n, frame=frame, end="sigma_min")
        for i in range(1, n + 1):
            assert abs(variance_error(fewstep.plan(id, sigmas[: i + 1], frame, **options), data)) < 1e-12


@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_the_variance_is_the_papers(eta: float) -> None:
    """arXiv 2201.06503, theorem 1, in its own symbols, on DDPM's linear chain: a step from index n to m."""
    alphas_bar = np.cumprod(1.0 - np.linspace(1e-4, 0.02, 1000))
    n, m, gamma = 700, 500, 0.4
    (an, am), (bn, bm) = alphas_bar[[n, m]], 1.0 - alphas_bar[[n, m]]
    base = eta * bm / bn * (1.0 - an / am)
    expected = base + (math.sqrt(am) - math.sqrt((bm - base) * an / bn)) ** 2 * bn / an * (1.0 - gamma)
    sigmas = [math.sqrt(bn / an), math.sqrt(bm / am)]
    found = Statistics("vp", (sigmas[0],), (bn / an * (1.0 - gamma),), 1)
    (call,) = fewstep.plan("analytic_ddpm" if eta else "analytic_ddim", sigmas, "vp", statistics=found)
    assert call.added**2 == pytest.approx(expected, rel=1e-12)
    assert call.noise**2 == pytest.approx(base, rel=1e-12)


@pytest.mark.parametrize("frame", FRAMES)
def test_between_its_base_and_the_upper_bound(frame: str) -> None:
    """V = 0 is DDIM or DDPM, call by call; V = rho^2 is theorem 2's bound: base + (w rho)^2."""
    sigmas = fewstep.schedule("time_uniform", 9, frame=frame, sigma_max=0.9)
    top = fewstep.frame(frame).level(0.9).rho
    for id, base in (("analytic_ddpm", "ddpm"), ("analytic_ddim", "ddim")):
        plain = fewstep.plan(base, sigmas, frame)
        none = fewstep.plan(id, sigmas, frame, statistics=Statistics(frame, (0.9,), (0.0,), 1))
        for a, b in zip(none, plain, strict=True):  # ddim writes the same numbers in another order
            assert (a.scale, *a.weights, a.added) == pytest.approx((b.scale, *b.weights, b.noise), rel=1e-12)
        for call, most in zip(plain, fewstep.plan(id, sigmas, frame, statistics=flat(frame, 0.9, top)), strict=True):
            assert call.spread == 0.0 <= most.spread <= abs(call.weights[0]) * call.level.rho * (1.0 + 1e-12)
            assert call.noise == most.noise


def flat(frame: str, sigma: float, rho: float) -> Statistics:
    """Nothing is known of x0: its variance is that of the noise."""
    return Statistics(frame, (sigma,), (rho**2,), 1)


@pytest.mark.parametrize("id", MEASURED)
def test_weak_accuracy_on_a_mixture(id: str) -> None:
    """The variance of a smooth mixture after 10 calls, from statistics of the model's own samples.

    Measured: analytic_ddpm 5.5 %, ddpm 34 %; analytic_ddim 3.4 %, ddim 23 %. 20,000 samples scatter by 0.5 %.
    """
    x = SMOOTH.start("ve", 14.61, 20000)
    exact = float(SMOOTH.start("ve", 0.03, 20000, seed=1).var(0).sum())
    found = fewstep.measure_statistics(SMOOTH.model("ve"), SMOOTH.noise(512))
    sigmas = fewstep.schedule("exponential", 10, end="sigma_min", sigma_min=0.03)

    def error(id: str, **options: Any) -> float:
        out = fewstep.sample(SMOOTH.model("ve"), x, sigmas, id, seed=3, **options)
        return abs(float(out.var(0).sum()) / exact - 1.0)

    ours, plain = error(id, statistics=found), error(id.removeprefix("analytic_"))
    print(f"{id} {100 * ours:.1f} %, {id.removeprefix('analytic_')} {100 * plain:.1f} %")
    assert ours < 0.25 * plain


def test_the_step_to_zero_and_s_noise() -> None:
    for frame in FRAMES:
        sigmas = fewstep.schedule("sgm_uniform", 7, frame=frame)
        options = {"statistics": exact_statistics(frame)}
        for id in MEASURED:
            plan = fewstep.plan(id, sigmas, frame, **options)
            final = plan.calls[-1]
            assert (final.scale, final.weights, final.added) == (0.0, (1.0,), 0.0)
            assert all(update.noise for update in plan.updates[:-1])
            assert not fewstep.plan(id, sigmas, frame, s_noise=0.0, **options).stochastic
    assert "noise" in str(plan)
    assert copy.deepcopy(plan) == plan


# --- statistics ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16], ids=str)
def test_measured_on_gaussian_data(frame: str, dtype: torch.dtype) -> None:
    """32 samples of 1024 numbers: ||x0||^2/dim scatters by sqrt(2/32768) = 0.8 %; four times that is allowed.

    Measured: 2.6 % at flow sigma 0.02, below 0.6 % elsewhere; half precision adds less than 0.1 %.
    """
    noise = torch.randn(32, 4, 16, 16, generator=torch.Generator().manual_seed(1), dtype=torch.float64).to(dtype)
    told: list[tuple[int, int]] = []
    seen = fewstep.measure_statistics(
        gaussian(frame, 0.5), noise, frame=frame, calls=30, callback=lambda *each: told.append(each)
    )
    assert (seen.dims, seen.samples, seen.calls, seen.frame) == (1024, 32, 30, frame)
    assert told == [(i, 30) for i in range(1, 31)]
    for sigma, variance in zip(seen.sigmas, seen.variances, strict=True):
        level = fewstep.frame(frame).level(sigma)
        expected = 0.25 * level.sigma**2 / (level.alpha**2 * 0.25 + level.sigma**2)
        assert variance == pytest.approx(expected, rel=0.032)


def test_batches_are_joined_and_held_one_at_a_time() -> None:
    noise = torch.randn(12, 64, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    asked: list[int] = []

    def model(x: Tensor, sigma: Tensor, cond: int) -> Tensor:
        asked.append(len(x))
        return gaussian("ve", 1.0)(x, sigma) + 0.0 * cond

    whole = fewstep.measure_statistics(model, noise, calls=8, extra_args={"cond": 1})
    parts = fewstep.measure_statistics(model, iter(noise.split(5)), calls=8, extra_args={"cond": 1})
    assert whole.variances == pytest.approx(parts.variances, rel=1e-12)
    assert (asked, parts.samples) == ([12] * 8 + [5] * 16 + [2] * 8, 12)


@pytest.mark.parametrize(
    ("noise", "model", "error", "words"),
    [
        (torch.ones(1, 4), gaussian("ve", 1.0), ValueError, "got noise for 1 sample.*at least 2"),
        (torch.ones(4), gaussian("ve", 1.0), ValueError, r"shape \(4,\), expected \[batch"),
        ([torch.ones(2, 4), torch.ones(2, 5)], gaussian("ve", 1.0), ValueError, "as many numbers"),
        (torch.ones(2, 4), lambda x, s: x * math.nan, FloatingPointError, "NaN, infinite or too large.*float16"),
    ],
)
def test_what_cannot_be_measured(noise: Any, model: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        fewstep.measure_statistics(model, noise, calls=3)


def test_between_and_beyond_the_levels() -> None:
    """Monotone between two levels, the prior's variance beyond; at flow sigma 1, with rho infinite, it is finite."""
    found = Statistics("flow", (1.0, 0.9, 0.5), (2.0, 1.9, 0.3), 4)
    at = [found.variance(fewstep.frame("flow").level(sigma)) for sigma in (1.0, 0.95, 0.9, 0.7, 0.5, 0.2, 0.0)]
    assert at[0] == 2.0
    assert at[2] == pytest.approx(1.9, rel=1e-12)
    assert at[4] == pytest.approx(0.3, rel=1e-12)
    assert all(a >= b for a, b in pairwise(at))
    assert at[-1] == 0.0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"frame": "flux"}, "unknown frame 'flux'"),
        ({"sigmas": (1.0,)}, "1 sigmas and 2 variances"),
        ({"sigmas": (), "variances": ()}, "0 sigmas"),
        ({"sigmas": (1.0, 2.0)}, "must decrease"),
        ({"sigmas": (1.0, -2.0)}, "sigma -2.0 is no level"),
        ({"variances": (0.5, math.nan)}, "variance at sigma 1 is nan"),
        ({"variances": (0.5, 1.5)}, r"variance at sigma 1 is 1.5, expected a number in 0..1"),
    ],
)
def test_statistics_that_cannot_be(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Statistics(**{"frame": "ve", "sigmas": (2.0, 1.0), "variances": (0.7, 0.5), "dims": 4, **change})


# --- the file --------------------------------------------------------------------------------------------------------

FOUND = Statistics("vp", (14.6, 1.0, 0.1), (0.24, 0.2, 0.0096), 1024, 32, 50)


def test_what_is_saved_is_what_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEWSTEP_DATA", str(tmp_path / "new"))
    assert FOUND.save("my model-2") == statistics_folder() / "my model-2.safetensors" == statistics_path("my model-2")
    assert fewstep.load_statistics("my model-2") == FOUND
    assert FOUND.save(tmp_path / "x.safetensors") == tmp_path / "x.safetensors"
    assert [each.name for each in tmp_path.iterdir() if each.is_file()] == ["x.safetensors"]
    sigmas = fewstep.schedule("karras", 5)
    for where in ("my model-2", "my model-2.safetensors", tmp_path / "x.safetensors", str(tmp_path / "x.safetensors")):
        plan = fewstep.plan("analytic_ddpm", sigmas, "vp", statistics=where)
        assert plan.calls == fewstep.plan("analytic_ddpm", sigmas, "vp", statistics=FOUND).calls
        assert plan.options["statistics"] == str(where)
        json.dumps(dict(plan.options))
    with pytest.raises(ValueError, match=r"there are no statistics .*mine.safetensors; in that folder: my model-2\."):
        fewstep.plan("analytic_ddpm", sigmas, "vp", statistics="mine")


def test_a_file_that_was_written_again_is_read_again(tmp_path: Path) -> None:
    for found in (FOUND, Statistics("vp", (1.0,), (0.3,), 2)):
        assert fewstep.load_statistics(found.save(tmp_path / "a.safetensors")) == found


@pytest.mark.parametrize(
    "name", ["", "../x", "a/b", "/etc/passwd", "..", ".hidden", "a\\b", "-x", "a\0b", "a.", "C:x", 3]
)
def test_names_cannot_leave_the_data_folder(name: Any) -> None:
    with pytest.raises(ValueError, match="expected the name of a file in"):
        check_name(name)
    if name:  # an empty field is the default
        with pytest.raises(ValueError, match=r"^statistics: got .*expected the name of a file"):
            moved(fewstep.solvers()["analytic_ddpm"], {"statistics": name})


def test_files_that_hold_no_statistics(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    good = FOUND.save(tmp_path / "good.safetensors").read_bytes()
    facts = {"kind": "fewstep statistics 1", "frame": "vp", "dims": "4", "samples": "2", "calls": "3"}
    tensors = {"sigmas": np.array([2.0, 1.0]), "variances": np.array([0.7, 0.5])}

    def written(name: str, facts: dict[str, str], **changed: Any) -> Path:
        path = tmp_path / f"{name}.safetensors"
        save_file({name: each for name, each in {**tensors, **changed}.items() if each is not None}, path, facts)
        return path

    for path, words in (
        (written("model", {}), "holds 2 tensors and no statistics"),
        (written("half", facts, variances=None), "lacks variances"),
        (written("frameless", {key: facts[key] for key in ("kind", "dims")}), "lacks frame, samples, calls"),
        (written("rising", facts, sigmas=np.array([1.0, 2.0])), "is damaged: .*must decrease"),
        (written("count", {**facts, "dims": "many"}), "is damaged: .*many"),
        (tmp_path / "cut.safetensors", "no safetensors file, or is damaged"),
        (tmp_path / "text.safetensors", "no safetensors file, or is damaged"),
        (tmp_path / "empty.safetensors", "no safetensors file, or is damaged"),
    ):
        if path.stem in ("cut", "text", "empty"):
            path.write_bytes({"cut": good[:-8], "text": b"sigmas: 1, 2, 3\n" * 9, "empty": b""}[path.stem])
        with pytest.raises(ValueError, match=words):
            fewstep.load_statistics(path)


def test_errors_say_what_to_do() -> None:
    sigmas = fewstep.schedule("karras", 5)
    for id in MEASURED:
        with pytest.raises(ValueError, match=f"{id} needs the option statistics: what fewstep.measure_statistics"):
            fewstep.plan(id, sigmas)
        with pytest.raises(ValueError, match="measured in frame 'flow', but the levels are of frame 've'"):
            fewstep.plan(id, sigmas, statistics=exact_statistics("flow"))
        assert fewstep.plan(id, sigmas, "vp", statistics=exact_statistics("ve")).stochastic
        with pytest.raises(ValueError, match=r"option .statistics.: got 3, expected fewstep\.Statistics, a name"):
            fewstep.plan(id, sigmas, statistics=3)
        with pytest.raises(ValueError, match="no option 'eta': the method settles its noise"):
            fewstep.plan(id, sigmas, statistics=exact_statistics("ve"), eta=1.0)


def test_the_command(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEWSTEP_DATA", str(tmp_path))
    assert cli.main(["statistics", "--model", "vp", "--count", "4", "--calls", "6", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    found = fewstep.load_statistics("demo_vp")
    assert facts["path"] == str(statistics_folder() / "demo_vp.safetensors")
    assert (facts["samples"], facts["dims"]) == (4, 1024)
    assert tuple(facts["variances"]) == found.variances
    # the pictures lie in -1..1
    assert all(0.0 <= variance <= 1.0 for variance in found.variances)
    made = ["sample", "--model", "vp", "--solver", "analytic_ddim", "--count", "1", "--calls", "3", "--json"]
    assert cli.main([*made, "--option", "statistics=demo_vp", "--out", str(tmp_path / "a.png")]) == 0
    assert json.loads(capsys.readouterr().out)["options"] == {"statistics": "demo_vp", "s_noise": 1.0}
    for words in (["--count", "1"], ["--out=-x"], ["--model", "vq"]):
        assert cli.main(["statistics", *words]) == 2
