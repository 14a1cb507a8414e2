"""docs/benchmarks.md is what its results say, and the measures behind it measure."""

from __future__ import annotations

import json
import math
from pathlib import Path

import fewstep
import pytest
import torch
from fewstep.benchmarks import first_order, results, sde
from fewstep.benchmarks.claim_distributions import mixture_moments
from fewstep.benchmarks.claim_row import DEIS, Measured, less, ratio, spread
from fewstep.benchmarks.exact import SEEDS, SETS, Class, Ranking
from fewstep.benchmarks.guided import Conditional, Guided
from fewstep.benchmarks.hosts import given_hosts
from fewstep.benchmarks.page import PARTS, ROOT, page, readme
from fewstep.benchmarks.page_claims import numbers_of
from fewstep.benchmarks.page_parts import failed_everywhere, failures
from fewstep.benchmarks.peer import Denoiser, Peer, Ready
from fewstep.benchmarks.peer_samplers import sampler_peers
from fewstep.benchmarks.peers import peers
from fewstep.benchmarks.problems import PROBLEMS
from fewstep.benchmarks.results import FOLDER
from test_sde import variance_error


def test_the_page_is_made_of_the_results(tmp_path: Path) -> None:
    """And its plots are small and there; `make bench-page` writes both again."""
    assert (ROOT / "docs" / "benchmarks.md").read_text() == page(tmp_path)
    for plot in tmp_path.iterdir():
        kept = ROOT / "docs" / "img" / plot.name
        assert kept.exists(), plot.name
        assert plot.stat().st_size < 120_000, plot.name
        assert kept.stat().st_size < 120_000, plot.name


def test_the_readme_has_their_figures() -> None:
    assert readme() == (ROOT / "README.md").read_text()


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.json")), ids=lambda path: path.stem)
def test_results_say_where_and_with_what(path: Path) -> None:
    assert path.stem in PARTS
    for group, found in json.loads(path.read_text()).items():
        assert found["rows"], group
        assert {"date", "machine", "python", "fewstep", "torch"} <= found["made"].keys(), group


def test_a_peer_that_fails_is_listed_with_its_error() -> None:
    rows = [
        {"library": "a", "solver": "b", "calls": 6, "failed": "ValueError: no"},
        {"library": "a", "solver": "c", "calls": 6, "variance": 0.1},
    ]
    assert failures(rows) == ["Failed:\n\n- a, b at 6 calls: ValueError: no"]
    assert failures(rows[1:]) == []
    assert failed_everywhere([*rows, {**rows[0], "calls": 8}], "variance") == [
        "Failed at every number of calls:\n\n- a, b: ValueError: no"
    ]
    assert failed_everywhere([*rows, {**rows[1], "solver": "b", "calls": 8}], "variance") == []


@pytest.mark.parametrize("id", ["ddim", "dpmpp_2s_sde", "dpmpp_3m_sde", "deis_tab_sde", "sa_solver"])
@pytest.mark.parametrize("name", sde.CLASSES)
def test_the_law_of_a_run_is_that_of_its_plan(id: str, name: str) -> None:
    """By unit vectors through the run, and by the algebra of tests/test_sde.py: sums of some 50 numbers, in float64."""
    frame, end, levels = sde.CLASSES[name]
    wanted, found = ("fewstep", id, 0.5), sde.methods(frame, end, levels)
    (method,) = [each for each in found if (each.library, each.solver, each.eta) == wanted]
    mean, variance = sde.law(method.make(8), frame)
    plan = fewstep.plan(id, fewstep.schedule(levels, 8, frame=frame, end=end), frame, eta=0.5)
    assert abs(mean) < 1e-13
    assert variance == pytest.approx(variance_error(plan, sde.WIDTH), abs=1e-11)


def test_noises_of_overlapping_levels_have_a_part_in_common() -> None:
    noise, like = sde.UnitNoise(), torch.zeros(1, 4)
    noise.note(4.0, 2.0, like)
    noise.note(4.0, 1.0, like)
    assert noise.settle() == 2
    part, whole = noise(4.0, 2.0, like), noise(4.0, 1.0, like)
    assert part.norm() == whole.norm() == pytest.approx(1.0, abs=1e-6)  # float32
    assert float((part * whole).sum()) == pytest.approx(math.sqrt(2.0 / 3.0), abs=1e-6)


def test_the_distance_of_samples() -> None:
    """True samples are as far as so many are; moved ones as far as they were moved along the directions."""
    problem, level = PROBLEMS[1], fewstep.frame("ve").level(0.0)
    x = problem.start("ve", 0.0, 4096)
    # E|F_n - F| is at most 1/(2 sqrt(n)) everywhere, over an interval of 12
    assert sde.sliced(x, problem, level) < 12.0 / (2.0 * math.sqrt(len(x)))
    moved = torch.zeros(problem.dim, dtype=torch.float64)
    moved[0] = 1.0
    expected = float((sde.directions_of(problem.dim) @ moved).abs().mean())
    # the distance moves by at most that of the true samples
    assert sde.sliced(x + moved, problem, level) == pytest.approx(expected, abs=sde.sliced(x, problem, level))


def test_moments_of_a_mixture_are_those_that_its_denoiser_tells() -> None:
    """Without signal D is the mean, and its slope in x, over alpha/sigma^2, the covariance (Tweedie's formula)."""
    problem, alpha, sigma = PROBLEMS[1], 1e-8, 0.5
    zero = torch.zeros(problem.dim, dtype=torch.float64)
    told = torch.autograd.functional.jacobian(lambda x: problem.denoise(x[None], alpha, 1.0)[0], zero) / alpha
    mean, covariance = mixture_moments(problem, sigma)
    # sums over 8 modes of numbers of size 1, in float64: measured 1.2e-16 and 4.5e-16; the slope is off by alpha^2 too
    torch.testing.assert_close(mean, problem.denoise(zero[None], 0.0, 1.0)[0], rtol=0.0, atol=1e-14)
    noise = sigma**2 * torch.eye(problem.dim, dtype=torch.float64)
    torch.testing.assert_close(covariance, told + noise, rtol=0.0, atol=1e-14)


def test_a_guided_mixture_is_between_all_modes_and_the_first_half() -> None:
    problem = PROBLEMS[1]
    of = (problem.seed, problem.dim, problem.modes, problem.widths)
    x = problem.start("ve", 0.8, 16)
    given = Conditional(*of)
    means, widths, weights = problem.parts
    for mine, all_of_them in zip(given.parts, (means, widths, weights / weights[:4].sum()), strict=True):
        assert torch.equal(mine, all_of_them[:4])
    conditional, free = (each.denoise(x, 1.0, 0.8) for each in (given, problem))
    assert float((conditional - free).abs().max()) > 0.1
    assert torch.equal(Guided(*of, 0.0).denoise(x, 1.0, 0.8), free)
    # free + (given - free) rounds twice, numbers of size 1: two times 2.3e-16, and a rounding of the difference
    torch.testing.assert_close(Guided(*of, 1.0).denoise(x, 1.0, 0.8), conditional, rtol=0.0, atol=1e-15)


@pytest.mark.parametrize("time", ["vp", None], ids=["linear beta", "table"])
@pytest.mark.parametrize("levels", ["time_uniform", "time_quadratic"])
def test_first_order_forms_are_exact_where_the_claims_say_so(levels: str, time: str | None) -> None:
    """The noise form for a point, the score form and Euler's method for a Gaussian of variance 1."""
    frame = fewstep.frame("ve", time)
    sigmas = fewstep.schedule(levels, 6, frame=frame, end="sigma_min")
    start = torch.linspace(-2.0, 2.0, 9, dtype=torch.float64)[:, None] * sigmas[0]
    grow = math.sqrt((1.0 + sigmas[-1] ** 2) / (1.0 + sigmas[0] ** 2))
    end = 0.3 + (start - 0.3) * sigmas[-1] / sigmas[0]
    point: first_order.Solved = (lambda y, rho: torch.full_like(y, 0.3)), start, end
    gaussian: first_order.Solved = (lambda y, rho: y / (1.0 + rho**2)), start, start * grow
    forms = (first_order.noise_form, first_order.score_form, first_order.euler)
    (noise, wrong_noise), (wrong_score, score), (wrong_euler, euler) = (
        first_order.errors(frame, [point, gaussian], form, levels, 6) for form in forms
    )
    # rounding of sums of states of size sigma_max, 152 at most
    assert max(noise, score, euler) < 1e-12
    # six steps with a constant that is none: 0.01 at least, measured
    assert min(wrong_noise, wrong_score, wrong_euler) > 1e-3


def test_a_claim_is_shown_where_it_holds_in_every_case() -> None:
    measured = Measured()
    measured.add("tAB", 5, ratio([1.0, 4.0], [2.0, 2.0]), less([1.0, 4.0], [2.0, 2.1]))
    measured.add("tAB", 10, spread([0.5]), True)
    measured.add("to compare", "chance", spread([0.3]))
    row = measured.row(DEIS, "experiments", "it is better", "error over the other's", "Always true.")
    assert measured.numbers["tAB"] == {"5": [pytest.approx(1.0), 0.5, 2.0], "10": [0.5]}
    assert (row["shown"], row["conclusion"]) == ("yes", "It holds in every case measured. Always true.")
    # one number alone has no spread
    assert numbers_of(row).split("<br>")[1:] == ["tAB: **5** 1 (0.5 to 2), **10** 0.5", "to compare: **chance** 0.3"]
    measured.add("rhoRK", 5, [3.0], False)
    measured.add("rhoRK", 10, [0.7], True)
    measured.add("score", 5, [3.0], False)
    row = measured.row(DEIS, "experiments", "it is better", "error over the other's")
    assert row["shown"] == "partly"
    assert row["conclusion"] == "It holds in part: for tAB; for rhoRK at 10 calls alone; not for score."
    measured.holds = {"score": {"5": False}}
    row = measured.row(DEIS, "experiments", "it is better", "error over the other's")
    assert (row["shown"], row["conclusion"]) == ("no", "Our measurement does not show it: it holds in no case.")
    measured.holds = {}
    with pytest.raises(ValueError, match="no case was measured"):
        measured.row(DEIS, "experiments", "it is better", "error over the other's")


def test_a_group_is_put_in_the_place_of_its_own_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "FOLDER", tmp_path / "results")
    assert results.get("some") == {}
    results.put("some", "b", [{"x": 1.0}, {"x": 2.0}])
    results.put("some", "a", [{"x": 3.0}])
    results.put("some", "b", [{"x": 4.0}])
    rows = {name: group["rows"] for name, group in results.get("some").items()}
    assert rows == {"a": [{"x": 3.0}], "b": [{"x": 4.0}]}
    with pytest.raises(ValueError, match="Out of range float"):
        results.put("some", "a", [{"x": float("nan")}])
    assert results.get("some")["a"]["rows"] == [{"x": 3.0}]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the hosts' own, from their use of numpy
@pytest.mark.parametrize("library", ["k-diffusion", *given_hosts()])
@pytest.mark.parametrize(("name", "frame", "end"), [("VP to 0", "ve", 0), ("flow 1 to 0", "flow", 0)])
def test_samplers_of_others_run_within_their_calls(library: str, name: str, frame: str, end: int) -> None:
    """COMFYUI_PATH and WEBUI_PATH add the hosts'. All but one schedule begin where the class does."""
    where, solvers, ran, failed = Class(name, SETS["judge"][:1]), set(), set(), {}
    for peer in sampler_peers(frame, end):
        if peer.library == library:
            solvers.add(peer.solver)
            try:
                where.theirs(peer, 8)
                ran.add(peer.solver)
            except ValueError as error:
                failed[peer.levels] = str(error)
    assert ran == solvers
    assert failed.keys() == {"ddim_uniform"}, failed
    assert "goes from sigma" in failed["ddim_uniform"]
    assert "sample_euler" in ran


def test_one_method_under_two_names_has_one_error() -> None:
    where, (euler, *_) = Class("VP to 0", SETS["judge"][:2]), sampler_peers("ve", 0)
    theirs = where.theirs(euler, 6)
    assert (euler.solver, theirs.shape) == ("sample_euler", (2, len(SEEDS), 2))
    # float64, some ten operations on states of size 15
    torch.testing.assert_close(theirs, where.ours("ddim", euler.levels, 6, {}, {}), rtol=1e-9, atol=0)


@pytest.mark.parametrize(
    ("scheduler", "sampler"),
    [("EulerDiscrete", "sample_euler"), ("HeunDiscrete", "sample_heun"), ("KDPM2Discrete", "sample_dpm_2")],
)
def test_schedulers_are_asked_where_the_samplers_of_the_same_method_are(scheduler: str, sampler: str) -> None:
    where = Class("VP to 0", SETS["judge"][:1])
    found = {
        (peer.solver, peer.levels): peer for peer in peers("ve", 0) if peer.library in ("diffusers", "k-diffusion")
    }
    theirs, ours = (where.theirs(found[solver, "karras"], 9) for solver in (scheduler, sampler))
    # float32 of states of size 15, against errors of size 0.05
    torch.testing.assert_close(theirs, ours, rtol=1e-3, atol=0)


def test_a_peer_that_asks_too_often_has_failed() -> None:
    def asks_twice(model: Denoiser, x: torch.Tensor) -> torch.Tensor:
        return model(model(x, 1.0), 1.0)

    where = Class("VP to 0", SETS["judge"][:1])
    first = fewstep.schedule("karras", 1, frame="ve")[0]
    with pytest.raises(ValueError, match="makes more than 1 calls"):
        where.theirs(Peer("a", "b", "c", lambda n: Ready(first, 0.0, asks_twice)), 1)
    with pytest.raises(ValueError, match=r"goes from sigma 1 to 0, the class from 14\.6146 to 0"):
        where.theirs(Peer("a", "b", "c", lambda n: Ready(1.0, 0.0, asks_twice)), 2)


def test_ratios_are_taken_seed_by_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two methods the better one is the best, with the same noise on both sides; what fails keeps its reason."""
    where = Class("flow 1 to 0", SETS["judge"][:2])
    errors = torch.tensor([[[1.0, 2.0], [2.0, 4.0], [4.0, 8.0]], [[4.0, 4.0], [2.0, 2.0], [1.0, 1.0]]]).double()

    def fails(n: int) -> torch.Tensor:
        raise FloatingPointError(f"ends in NaN at {n}")

    methods = [
        ("fewstep", "good", "karras", lambda n: errors),
        ("fewstep", "good", "beta", lambda n: 3.0 * errors),
        ("others", "fair", "karras", lambda n: 2.0 * errors),
        ("others", "bad", "karras", fails),
    ]
    monkeypatch.setattr(where, "methods", lambda: iter(methods))
    found = Ranking(where, 5)
    row = found.beside(torch.stack([errors[:, 0], 2.0 * errors[:, 1], 4.0 * errors[:, 2]], 1))
    # medians of each seed: 2 in the geometric mean over the two problems, whatever the seed
    assert row["ratio"] == pytest.approx(2.0)
    assert row["ratio_spread"] == pytest.approx([1.0, 4.0])
    assert row["others_ratio"] == pytest.approx(1.0)
    assert row["rms_ratio_spread"] == pytest.approx([1.0, 4.0])
    assert row["worst"] == pytest.approx(2.0)
    assert (row["best"], row["others"]) == ("fewstep good, karras", "others fair, karras")
    good, fair, bad = found.solvers()
    assert (good["solver"], good["levels"], good["median"]) == ("good", "karras", pytest.approx(2.0))
    assert fair["rms"] == pytest.approx(2.0 * math.sqrt(8.0))
    assert bad["failed"] == "FloatingPointError: ends in NaN at 5"
    with pytest.raises(LookupError, match="not here: others, gone, karras"):
        Ranking(where, 5, {("fewstep", "good", "karras"), ("others", "gone", "karras")})


def test_plans_are_tuned_for_each_problem() -> None:
    """On other noise than that of the seeds, and far better than the best that is published (0.1 of it on the page)."""
    where = Class("flow 1 to 0", SETS["judge"][:2])
    tuned = where.tuned([6])[6]
    assert tuned.shape == (2, len(SEEDS), 2)
    assert (tuned[..., 0] < 0.5 * where.ours("auto", "auto", 6, {}, {})[..., 0]).all()
