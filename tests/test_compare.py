"""Comparisons: the truth on exact problems, what cannot be told, what is refused, resume, pictures and files."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import fewstep
import pytest
import torch
from fewstep.benchmarks.problems import PROBLEMS, median_error
from fewstep.samplers.comparison import Comparison
from fewstep.samplers.judgement import interval
from fewstep.samplers.noise_range import NoiseRange
from fewstep.samplers.profile_folder import profile_folder
from fewstep.samplers.settings import candidates
from fewstep.samplers.teacher import check_plan, teacher_plan
from PIL import Image

Tensor = torch.Tensor
RANGES = {"ve": (14.61, 0.0292), "vp": (14.61, 0.0292), "flow": (1.0, 0.01)}
PROBLEM = PROBLEMS[3]
VE = NoiseRange(fewstep.frame("ve"), *RANGES["ve"])


def compared(
    frame: str, settings: Any, samples: int = 32, model: Callable[..., Tensor] | None = None, **more: Any
) -> Comparison:
    """On the exact model; the reference keeps its order to sigma 0, as the exact solution does."""
    top, low = RANGES[frame]
    found: Comparison = fewstep.compare(
        model or PROBLEM.model(frame), more.pop("noise", PROBLEM.start(frame, top, samples, 1)), settings, frame=frame,
        sigma_max=top, sigma_min=low, **{"reference_last": "regular", **more},
    )  # fmt: skip
    return found


SETTINGS = {
    "ve": ("dpmpp_2m,dpm_solver_3m,ddim karras 6,12 ", "deis_tab2 karras 6"),
    "flow": ("flow_ab1,flow_ab2,flow_ab3 sgm_uniform,beta 6,12", "dpmpp_2m beta 12"),
}


@cache
def usual(frame: str) -> Comparison:
    return compared(frame, SETTINGS[frame], batch=12, keep=3)


def by_name(found: Comparison) -> dict[str, dict[str, Any]]:
    return {row["setting"]: row for row in found.table}


# --- the truth -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("frame", ["ve", "flow"])
def test_errors_and_ranks_are_those_of_the_exact_solution(frame: str) -> None:
    """The reference is 3e-6 off at most, the smallest error here 3e-3: they differ by 5e-4 at most (measured)."""
    found = usual(frame)
    top = RANGES[frame][0]
    x = PROBLEM.start(frame, top, 32, 1)
    exact = PROBLEM.exact(x, frame, [top, 0.0])[-1]
    true = {}
    for each in candidates(SETTINGS[frame], found.range, 0.0):
        assert each.plan is not None
        true[each.name] = median_error(fewstep.run(each.plan, PROBLEM.model(frame), x), exact)
    rows = by_name(found)
    assert list(rows) == list(true)
    # median_error takes the lower of the middle two samples
    for row in found.rows:
        assert row.errors is not None
        assert float(row.errors.median()) == pytest.approx(true[row.name], rel=2e-3)
    for calls in (6, 12):
        ranked = [name for name in sorted(true, key=lambda name: rows[name]["error"]) if rows[name]["calls"] == calls]
        assert ranked == sorted(ranked, key=lambda name: true[name])
        assert rows[ranked[0]]["place"] == "best"


def test_slopes_are_between_the_calls_of_one_series() -> None:
    rows = by_name(usual("flow"))
    for setting in ("flow_ab1 beta", "flow_ab3 sgm_uniform"):
        few, many = rows[f"{setting} 6"], rows[f"{setting} 12"]
        assert few["slope"] is None
        assert many["slope"] == pytest.approx(math.log2(few["error"] / many["error"]))
    assert rows["dpmpp_2m beta 12"]["slope"] is None


def test_intervals_and_medians_are_of_the_errors() -> None:
    for row, line in zip(usual("ve").rows, usual("ve").table, strict=True):
        assert row.errors is not None
        assert (line["low"], line["high"]) == interval(row.errors.numpy())
        assert line["low"] <= line["error"] <= line["high"]
        assert line["rms"] == pytest.approx(float(row.errors.square().mean().sqrt()))
        assert line["seconds"] > 0.0
        assert line["failed"] == 0


def test_the_steps_are_those_of_a_report_of_the_first_batch() -> None:
    x = PROBLEM.start("ve", 14.61, 32, 1)[:12]
    plan = fewstep.plan("dpmpp_2m", VE.sigmas("karras", 6))
    told = fewstep.report(plan)
    fewstep.run(plan, PROBLEM.model("ve"), x, callback=told)
    assert list(usual("ve").rows[0].steps) == told.steps


@pytest.mark.parametrize("frame", ["ve", "vp", "flow"])
def test_two_methods_agree_on_where_the_ode_ends(frame: str) -> None:
    """And their distance bounds the reference's own error: 1e-6 to 7e-6 beside 2e-5 to 5e-5 (measured)."""
    top, low = RANGES[frame]
    where = NoiseRange(fewstep.frame(frame), top, low)
    x, model = PROBLEM.start(frame, top, 12, 1), PROBLEM.model(frame)
    exact = PROBLEM.exact(x, frame, [top, 0.0])[-1]
    reference = fewstep.run(teacher_plan(where, 200, "regular"), model, x)
    other = fewstep.run(check_plan(where, 100, "regular"), model, x)
    assert median_error(reference, exact) < median_error(reference, other) < 1e-4


# --- what is said ----------------------------------------------------------------------------------------------------


def test_the_cheapest_within_a_distance_is_named() -> None:
    rows = by_name(usual("flow"))
    six = min(row["error"] for row in rows.values() if row["calls"] == 6)
    twelve = min(row["error"] for row in rows.values() if row["calls"] == 12)
    best = {calls: row["setting"] for row in rows.values() for calls in [row["calls"]] if row["place"] == "best"}
    for within, calls in ((six * 1.01, 6), (six * 0.99, 12)):
        sentence = replace(usual("flow"), within=within).sentence
        assert sentence.startswith(f"{best[calls]} is the cheapest within {within:.2g} of the reference"), sentence
    sentence = replace(usual("flow"), within=0.5 * twelve).sentence
    assert f"No setting comes within {0.5 * twelve:.2g} of the reference; {best[12]} is the nearest" in sentence
    assert "has not converged" not in sentence


def test_the_default_distance_is_a_share_of_the_pictures() -> None:
    found = usual("ve")
    assert found.within == pytest.approx(0.02 * float(found.ends.std(1, correction=0).median()))
    assert compared("ve", "ddim karras 3", 2, reference_calls=20, within=0.5).within == 0.5


def test_one_method_under_two_names_is_not_ranked() -> None:
    """On flow deis_tab1 is flow_ab2, to the bit."""
    found = compared("flow", "flow_ab2,deis_tab1,flow_ab1 beta 8", within=1.0)
    rows = by_name(found)
    assert rows["flow_ab2 beta 8"]["error"] == rows["deis_tab1 beta 8"]["error"]
    assert [row["place"] for row in found.table] == ["best", "equal", ""]
    assert "With as many calls deis_tab1 beta 8 cannot be told apart from it." in found.sentence
    assert "flow_ab1" not in found.sentence


def test_a_difference_that_is_only_noise_is_not_ranked() -> None:
    """Errors drawn from one distribution for both; scaled by 0.7 they are told apart."""
    found = usual("flow")
    generator = torch.Generator().manual_seed(1)
    drawn = [torch.randn(32, generator=generator, dtype=torch.float64).mul(0.6).exp() for _ in range(2)]
    rows = [replace(found.rows[i], errors=errors) for i, errors in zip((0, 2), drawn, strict=True)]
    alike = replace(found, rows=tuple(rows))
    assert sorted(row["place"] for row in alike.table) == ["best", "equal"]
    paired = replace(found, rows=(rows[0], replace(rows[1], errors=0.7 * drawn[0])))
    assert [row["place"] for row in paired.table] == ["", "best"]


def test_a_reference_that_has_not_converged_is_said() -> None:
    found = compared("flow", "flow_ab3 sgm_uniform 6,10,12", reference_calls=12, within=1e-9)
    assert found.reference.uncertainty > 1e-3
    assert "The reference has not converged: 12 calls of flow_ab3" in found.sentence
    assert "give reference_calls more" in found.sentence
    hidden = [row for row in found.table if row["status"] == "not measurable"]
    assert hidden
    assert all(row["error"] < found.reference.uncertainty for row in hidden)
    assert f"{len(hidden)} setting(s) nearer to it than that are not ranked" in found.sentence
    # a run of the reference itself ends at its ends, which says nothing of it
    assert by_name(found)["flow_ab3 sgm_uniform 12"]["error"] == 0.0
    assert by_name(found)["flow_ab3 sgm_uniform 12"]["place"] == ""


def test_settings_below_the_references_uncertainty_are_equal() -> None:
    found = compared("flow", "flow_ab3,flow_ab4 sgm_uniform 12", reference_calls=12)
    assert {row["status"] for row in found.table} == {"not measurable"}
    assert [row["place"] for row in found.table] == ["equal", "equal"]


def test_one_sample_tells_nothing_apart() -> None:
    found = compared("flow", "flow_ab1,flow_ab2 beta 6", 1)
    assert "With one sample nothing can be told apart" in found.sentence
    assert [(row["low"], row["high"], row["place"]) for row in found.table] == [(None, None, "")] * 2


def test_a_single_call() -> None:
    found = compared("flow", "flow_ab2,dpmpp_2m beta 1")
    assert [row["calls"] for row in found.table] == [1, 1]
    # x = D from sigma 1, whatever the solver; the data form and the velocity form round differently
    assert found.table[0]["error"] == pytest.approx(found.table[1]["error"], rel=1e-12)


# --- models and noise ------------------------------------------------------------------------------------------------


def test_nan_is_a_reason_and_not_an_end() -> None:
    """A model that fails below sigma 0.05 on samples 0 to 4, which the reference is made without."""
    sick = [False]

    def model(x: Tensor, sigma: Tensor, rows: Tensor) -> Tensor:
        answer = PROBLEM.model("ve")(x, sigma)
        bad = sick[0] & (rows < 5) & (sigma.cpu() < 0.05)
        return torch.where(bad[:, None], torch.nan, answer)

    def turn(progress: Any) -> None:
        sick[0] = progress.comparison is not None

    settings = ("dpmpp_2m karras 6", "ddim karras 6")
    found = compared("ve", settings, 16, model, extra_args=lambda rows: {"rows": rows}, callback=turn)
    assert [row["failed"] for row in found.table] == [5, 5]
    assert found.table[0]["reason"] == "5 of 16 samples ended in NaN or inf"
    assert found.table[0]["status"] == "measured"
    assert "Samples ended in NaN or inf with dpmpp_2m karras 6 and ddim karras 6." in found.sentence
    every = compared("ve", settings, 4, model, extra_args=lambda rows: {"rows": rows}, callback=turn)
    assert [(row["status"], row["error"], row["low"]) for row in every.table] == [("failed", None, None)] * 2
    assert every.sentence.startswith("Nothing was measured: 4 of 4 samples ended in NaN or inf")
    json.loads(every.json(), parse_constant=pytest.fail)


def test_a_model_that_is_always_nan_ends_it() -> None:
    with pytest.raises(FloatingPointError, match="the teacher"):
        compared("ve", "ddim karras 3", 4, lambda x, sigma: x * math.nan)


def test_a_check_that_is_nan_ends_it() -> None:
    """The reference is made; then the model fails."""
    calls = [0]

    def model(x: Tensor, sigma: Tensor) -> Tensor:
        calls[0] += 1
        return x * math.nan if calls[0] > 3 + 20 else PROBLEM.model("ve")(x, sigma)

    with pytest.raises(FloatingPointError, match="checks the reference"):
        compared("ve", "ddim karras 3", 4, model, reference_calls=20)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_noise_and_batches_of_three(dtype: torch.dtype) -> None:
    """The model is asked in its type, three samples at a time at most. Errors differ from float64's by 1.4 % at most
    (measured), since its rounding is small beside them."""
    asked = []

    def model(x: Tensor, sigma: Tensor) -> Tensor:
        asked.append((x.dtype, len(x)))
        return PROBLEM.model("ve")(x.double(), sigma).to(x.dtype)

    noise = PROBLEM.start("ve", 14.61, 16, 1)
    settings = ("dpmpp_2m,ddim karras 5", "ddim karras 3")
    found = compared("ve", settings, model=model, noise=noise.to(dtype), batch=3, reference_calls=60)
    exact = compared("ve", settings, noise=noise, reference_calls=60)
    assert {each for each, _ in asked} == {dtype}
    assert {size for _, size in asked} == {1, 3}  # 16 = 5 * 3 + 1
    for half, whole in zip(found.table, exact.table, strict=True):
        assert half["error"] == pytest.approx(whole["error"], rel=0.03)


def test_conditions_follow_their_samples() -> None:
    """Batches of three get the conditions of their own samples."""
    marks = torch.arange(8, dtype=torch.float64)

    def model(x: Tensor, sigma: Tensor, mark: Tensor) -> Tensor:
        return PROBLEM.model("ve")(x - mark[:, None], sigma) + mark[:, None]

    noise = PROBLEM.start("ve", 14.61, 8, 1)
    args: dict[str, Any] = {"noise": noise, "reference_calls": 30}
    found = compared("ve", "ddim karras 4", model=model, extra_args=lambda rows: {"mark": marks[rows]}, batch=3, **args)
    whole = compared("ve", "ddim karras 4", model=model, extra_args={"mark": marks}, **args)
    assert torch.equal(found.rows[0].errors, whole.rows[0].errors)


def test_a_schedule_that_begins_lower_starts_from_the_noise_scaled_to_it() -> None:
    found = compared("ve", "ddim ddim_uniform 8", 6, reference_calls=30)
    row = found.rows[0]
    sigmas = VE.sigmas("ddim_uniform", 8)
    assert sigmas[0] < 14.61
    assert row.notes == (f"begins at sigma {sigmas[0]:.4g}, from the noise scaled to it",)
    x = PROBLEM.start("ve", 14.61, 6, 1) * (sigmas[0] / 14.61)
    end = fewstep.run(fewstep.plan("ddim", sigmas), PROBLEM.model("ve"), x)
    assert torch.equal(row.shown, end[:1])


# --- settings --------------------------------------------------------------------------------------------------------


def test_products_are_multiplied_in_order_and_named_as_settings() -> None:
    found = candidates("dpmpp_2m,dpmpp_3m karras,beta 5,8 last=regular", VE, 0.0)
    assert len(found) == 8
    assert found[0].name == "dpmpp_2m karras 5 last=regular"
    assert found[-1].name == "dpmpp_3m beta 8 last=regular"
    for each in found:
        [again] = candidates(each.name, VE, 0.0)
        assert again.plan == each.plan
        assert again.plan is not None
        assert again.plan.options["last"] == "regular"


def test_options_go_to_the_row_that_has_them() -> None:
    [each] = candidates("dpmpp_2m karras 5 rho=5 last=regular", VE, 0.0)
    assert each.plan is not None
    assert [level.host for level in each.plan.levels] == VE.sigmas("karras", 5, rho=5.0)
    assert each.setting.options == {"last": "regular"}
    assert each.setting.schedule_options == {"rho": 5.0}


def test_guidance_is_what_auto_goes_by_unless_it_is_given() -> None:
    [weak], [strong] = (candidates("auto auto 8", VE, guidance) for guidance in (1.0, 7.5))
    [given] = candidates("auto auto 8 guidance=7.5", VE, 1.0)
    assert weak.plan != strong.plan
    assert given.plan == strong.plan
    assert f"auto is {strong.plan.solver}" in strong.notes if strong.plan else False
    assert "auto levels are karras" in strong.notes


def test_impossible_parts_of_a_product_are_left_out_with_their_reason() -> None:
    found = compared("ve", "ddim,flow_ab2 karras,laplace 3,4 mu=0.5", 4, reference_calls=20)
    rows = by_name(found)
    assert [row["status"] for row in rows.values()] == ["left out"] * 2 + ["measured"] * 2 + ["left out"] * 4
    assert rows["ddim karras 3"]["reason"] == "neither ddim nor karras has the option mu"
    assert "flow_ab2 is defined on flow, not on ve" in rows["flow_ab2 laplace 3 mu=0.5"]["reason"]
    assert "flow_ab2 laplace mu=0.5 3,4" in str(found)


def test_all_faults_are_said_at_once_and_before_any_call() -> None:
    asked = []
    faulty = {
        "dpmp_2m karras 5": "did you mean 'dpmpp_2m'",
        "dpmpp_2m karas 5": "did you mean 'karras'",
        "dpmpp_2m karras 5 lst=regular": "did you mean 'last'",
        "dpmpp_2m karras five": "CALLS is 'five'",
        "dpmpp_2m karras 0": "CALLS is '0'",
        "dpmpp_2m karras": "expected 'SOLVERS SCHEDULES CALLS",
        "dpmpp_2m, karras 5": "empty place between its commas",
        "flow_ab2 karras 5": "flow_ab2 is defined on flow",
        "dpmpp_2m_sde karras 5": "adds noise",
        "dpm_solver_23 karras 5": "chooses its number of calls",
        "dpmpp_2m karras 5 last=regulr": "did you mean 'regular'",
        "profile:nobody 5": "there is no profile",
        "profile:a,ddim karras 5": "profile name",
        "ddim,profile:a karras 5": "setting by itself",
    }
    with pytest.raises(ValueError, match=f"{len(faulty)} faults") as error:
        compared("ve", [*faulty, "ddim karras 4"], 4, lambda x, sigma: asked.append(1))
    for setting, words in faulty.items():
        assert words in str(error.value), setting
    assert not asked


def test_noise_may_be_turned_off_in_solvers_that_add_it() -> None:
    [each] = candidates("dpmpp_2m_sde karras 5 eta=0", VE, 0.0)
    assert each.plan is not None


def test_plans_are_settings() -> None:
    plans = [fewstep.plan("dpmpp_2m", VE.sigmas(id, 5)) for id in ("karras", "exponential")]
    found = compared("ve", [*plans, plans[0], "dpmpp_2m karras 5"], 6, reference_calls=30)
    assert [row["setting"] for row in found.table] == [
        "dpmpp_2m own levels 5", "dpmpp_2m#2 own levels 5", "dpmpp_2m karras 5",
    ]  # fmt: skip
    assert torch.equal(found.rows[0].errors, found.rows[2].errors)
    other = fewstep.plan("flow_ab2", fewstep.schedule("beta", 5, frame="flow"), "flow")
    high, short = (fewstep.plan("ddim", sigmas) for sigmas in ([20.0, 1.0, 0.0], [14.0, 1.0, 0.1]))
    for plan, words in ((other, "frame 'flow'"), (high, "above sigma_max"), (short, "ends at sigma 0.1")):
        with pytest.raises(ValueError, match=words):
            candidates(plan, VE, 0.0)


def test_tuned_plans_are_settings_with_levels_of_their_own() -> None:
    noise = PROBLEM.start("ve", 14.61, 12, 1)
    made = fewstep.tune(
        PROBLEM.model("ve"), noise, 4, frame="ve", sigma_max=14.61, sigma_min=0.0292, rounds=1, teacher_calls=20
    )
    made.save("profile:my model")
    assert profile_folder().is_dir()
    found = compared("ve", ["profile:my model 4", "ddim karras 4"], 6, reference_calls=30)
    assert [row["setting"] for row in found.table] == ["profile:my model 4", "ddim karras 4"]
    x = PROBLEM.start("ve", 14.61, 6, 1)
    assert torch.equal(found.rows[0].shown, fewstep.run(made.plan(4), PROBLEM.model("ve"), x)[:1])
    with pytest.raises(ValueError, match="no plan of 5 calls"):
        candidates("profile:my model 5", VE, 0.0)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"reference_calls": 1}, "reference_calls is 1"),
        ({"keep": 0}, "keep is 0"),
        ({"within": 0.0}, "within is 0.0"),
        ({"batch": 0}, "batch is 0"),
        ({"end": "nought"}, "unknown end 'nought'"),
        ({"noise": torch.zeros(4)}, "expected floating-point states"),
        ({"reference_last": "regulr"}, "'regulr'"),
    ],
)
def test_bad_arguments(more: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        compared("ve", "ddim karras 3", 4, **more)


def test_a_model_of_another_frame_is_refused() -> None:
    model = fewstep.wrap(lambda x, t: x, "flow", frame="flow")
    with pytest.raises(ValueError, match="wrapped for frame 'flow'"):
        compared("ve", "ddim karras 3", 4, model)


# --- going on --------------------------------------------------------------------------------------------------------


class _Stop(Exception):  # noqa: N818 (it is no error)
    pass


def test_an_interrupted_comparison_goes_on_where_it_was(tmp_path: Path) -> None:
    settings, calls = "ddim,dpmpp_2m karras 3,5", [0]

    def model(x: Tensor, sigma: Tensor) -> Tensor:
        calls[0] += len(x)
        return PROBLEM.model("ve")(x, sigma)

    seen = []

    def turn(progress: Any) -> None:
        seen.append(progress)
        if progress.comparison is not None and len(progress.comparison.rows) == 2:
            raise _Stop

    options: dict[str, Any] = {"batch": 4, "reference_calls": 20}
    with pytest.raises(_Stop):
        compared("ve", settings, 8, model, callback=turn, **options)
    assert list(dict.fromkeys(each.stage for each in seen)) == ["reference", "check", "settings"]
    # 3 calls for the fingerprint, the reference and its check, and two settings
    assert calls[0] == 3 + 8 * (20 + 10 + 3 + 5)
    assert seen[-1].done == 8 * (20 + 10 + 3 + 5)
    assert seen[-1].most == 8 * (20 + 10 + 16)
    path = seen[-1].comparison.save(tmp_path / "c.safetensors")
    calls[0] = 0
    found = compared("ve", settings, 8, model, resume=fewstep.load_comparison(path), **options)
    # the fingerprint, a first call that is not timed, and the settings that were left
    assert calls[0] == 3 + 4 + 8 * (3 + 5)
    whole = compared("ve", settings, 8, model, **options)
    drop = ("seconds",)
    for one, other in zip(found.table, whole.table, strict=True):
        assert {k: v for k, v in one.items() if k not in drop} == {k: v for k, v in other.items() if k not in drop}
    calls[0] = 0
    again = compared("ve", "dpmpp_2m karras 3,5", 8, model, resume=found, **options)
    assert calls[0] == 3
    assert [row["setting"] for row in again.table] == ["dpmpp_2m karras 3", "dpmpp_2m karras 5"]


def test_a_row_of_another_plan_is_made_again() -> None:
    """A plan of the same name with other levels, as of a profile that was tuned again."""
    first, second = (fewstep.plan("ddim", VE.sigmas(id, 3)) for id in ("karras", "exponential"))
    found = compared("ve", first, 4, reference_calls=20)
    again = compared("ve", second, 4, reference_calls=20, resume=found)
    assert found.rows[0].name == again.rows[0].name
    assert torch.equal(again.rows[0].shown, compared("ve", second, 4, reference_calls=20).rows[0].shown)
    assert not torch.equal(again.rows[0].shown, found.rows[0].shown)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"seed": 2}, "a hash of its noise"),
        ({"reference_calls": 22}, "reference"),
        ({"reference_last": "denoise"}, "reference"),
        ({"guidance": 2.0}, "guidance"),
        ({"conditions": "a cat"}, "conditions"),
        ({"end": "sigma_min"}, "end"),
        ({"time": "cosine"}, "time map"),
        ({"model": PROBLEMS[4].model("ve")}, "another model"),
    ],
)
def test_another_comparison_is_not_gone_on_with(more: dict[str, Any], words: str) -> None:
    found = compared("ve", "ddim karras 3", 4, reference_calls=20)
    noise = PROBLEM.start("ve", 14.61, 4, more.pop("seed", 1))
    if words == "another model":
        noise = PROBLEM.start("ve", 14.61, 4, 1)
        more["model"] = lambda x, sigma: 0.5 * PROBLEM.model("ve")(x, sigma)
    with pytest.raises(ValueError, match=words):
        compared("ve", "ddim karras 3,4", noise=noise, resume=found, **{"reference_calls": 20, **more})


def test_a_time_map_is_known_again(tmp_path: Path) -> None:
    """A table from a file is another object with the same numbers."""
    table = fewstep.schedule("karras", 40, end="sigma_min")[::-1]
    args: dict[str, Any] = {"time": table, "reference_calls": 20, "samples": 4}
    path = compared("ve", "ddim time_uniform 3", **args).save(tmp_path / "c.safetensors")
    found = compared("ve", "ddim time_uniform 3,4", resume=fewstep.load_comparison(path), **args)
    assert len(found.rows) == 2


# --- files and pictures ----------------------------------------------------------------------------------------------


def test_files_hold_everything(tmp_path: Path) -> None:
    found = usual("flow")
    loaded = fewstep.load_comparison(found.save(tmp_path / "a" / "c.safetensors"))
    assert loaded.table == found.table
    assert loaded.sentence == found.sentence
    assert loaded.json() == found.json()
    assert torch.equal(loaded.ends, found.ends)
    assert torch.equal(loaded.rows[0].shown, found.rows[0].shown)
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["c.safetensors"]


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no comparison"):
        fewstep.load_comparison(tmp_path / "none.safetensors")
    path = tmp_path / "c.safetensors"
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(ValueError, match="no safetensors file"):
        fewstep.load_comparison(path)
    from safetensors.torch import save_file

    save_file({"ends": torch.zeros(2)}, path)
    with pytest.raises(ValueError, match="not a comparison of fewstep"):
        fewstep.load_comparison(path)
    save_file({"ends": torch.zeros(2)}, path, {"fewstep_comparison": "99"})
    with pytest.raises(ValueError, match="format is 99"):
        fewstep.load_comparison(path)
    save_file({"ends": torch.zeros(2)}, path, {"fewstep_comparison": "1", "comparison": "{}"})
    with pytest.raises(ValueError, match="is damaged"):
        fewstep.load_comparison(path)


def test_tables() -> None:
    found = usual("ve")
    lines = list(csv.DictReader(io.StringIO(found.csv())))
    assert [line["setting"] for line in lines] == [row["setting"] for row in found.table]
    assert [float(line["error"]) for line in lines] == [row["error"] for row in found.table]
    record = json.loads(found.json(), parse_constant=pytest.fail)
    assert record["table"] == found.table
    assert record["reference"]["uncertainty"] == found.reference.uncertainty
    text = str(found)
    assert text.splitlines()[-1] == found.sentence
    assert all(row["setting"] in text for row in found.table)


def test_the_plot(tmp_path: Path) -> None:
    path = usual("flow").plot(tmp_path / "made" / "plot.png")
    with Image.open(path) as picture:
        assert min(picture.size) > 400
        colours = {colour for _, colour in picture.convert("RGB").getcolors(1 << 20) or []}
    assert {(0, 114, 178), (213, 94, 0), (0, 158, 115)} <= colours  # three of its seven lines
    with pytest.raises(ValueError, match="nothing to plot"):
        replace(usual("flow"), rows=()).plot_picture()


def test_the_grid_needs_pictures_or_a_decoder() -> None:
    found = usual("ve")
    with pytest.raises(ValueError, match="give decode"):
        found.grid_picture()

    def decode(latents: Tensor) -> Tensor:
        return latents.reshape(-1, 4, 4, 1) * 0.25 + 0.5

    for columns, size in (("calls", (2, 5)), ("samples", (3, 8))):
        picture = found.grid_picture(decode, columns)
        wide, high = size
        assert picture.width > wide * 64
        assert picture.height > high * 64
    with pytest.raises(ValueError, match="unknown columns 'call'"):
        found.grid_picture(decode, "call")
    with pytest.raises(ValueError, match="decode made"):
        found.grid_picture(lambda latents: latents)
    with pytest.raises(ValueError, match="nothing to show"):
        replace(found, rows=()).grid_picture(decode)


def test_the_grid_of_pixels_shows_them() -> None:
    """A reference that is white, and a setting that is black: their pixels are where they belong."""
    found = usual("ve")
    white, black = torch.ones(1, 3, 70, 70), -torch.ones(1, 3, 70, 70)
    row = replace(found.rows[0], shown=black)
    picture = replace(found, ends=white, rows=(row,), keep=1).grid_picture(columns="samples")
    found_black = sum(count for count, colour in picture.getcolors(1 << 20) or [] if colour == (0, 0, 0))
    assert found_black == 70 * 70
    with pytest.raises(ValueError, match=r"in -1\.\.1"):
        replace(found, ends=5.0 * white, rows=(row,), keep=1).grid_picture()
