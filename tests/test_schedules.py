from __future__ import annotations

import math
import subprocess
import sys
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from fewstep import schedule, schedules
from fewstep.samplers.schedule_tables import ays
from fewstep.samplers.times import EDM, ContinuousVP, CosineVP, FlowShift, Table, scaled_linear, sigma_range, time_map

ROWS = schedules()
CASES = [(id, frame) for id, row in ROWS.items() for frame in row.frames]
ENDS = (0, "sigma_min")
STEPS = (*range(1, 51), 100, 999, 1000)

# These put 0 in the place of sigma_min: their last positive level lies above it (with end=0). The others reach it.
TRAILING = ("sgm_uniform", "simple", "beta", "linear_quadratic", "flow_shift", "ays", "ddim_uniform")

FLOW_TABLE = tuple(FlowShift(3.0).sigma(k / 1000) for k in range(1, 1001))  # as ComfyUI tabulates a flow model
MAPS = {
    "ve": {
        "scaled_linear": scaled_linear(),
        "linear": time_map("linear"),
        "cosine": time_map("cosine"),
        "zero_snr": time_map("zero_snr"),
        "ContinuousVP": ContinuousVP(),
        "CosineVP": CosineVP(),
        "EDM": EDM(),
    },
    "flow": {
        "shift 1": FlowShift(),
        "shift 3": FlowShift(3.0),
        "shift 1/2": FlowShift(0.5),
        "table": time_map(FLOW_TABLE),
    },
}
MAPS["vp"] = MAPS["ve"]


def check(levels, n, end, sigma_min, sigma_max, id):
    """What every schedule promises."""
    assert len(levels) == n + 1
    assert all(type(level) is float and math.isfinite(level) for level in levels)
    assert all(a > b for a, b in pairwise(levels))
    assert levels[-1] == (0.0 if end == 0 else sigma_min)
    if id == "ddim_uniform":
        assert levels[0] <= sigma_max
    else:
        assert levels[0] == sigma_max
    if end == 0 and n > 1 and id not in TRAILING:
        assert levels[-2] == sigma_min


def own_range(id, time):
    row = ROWS[id]
    options = {option.name: option.default for option in row.options}
    return sigma_range(time) if row.range is None else row.range(**options)


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize(("id", "frame"), CASES)
def test_every_schedule_has_exactly_n_strictly_decreasing_steps(id, frame, end):
    sigma_min, sigma_max = own_range(id, FlowShift() if frame == "flow" else scaled_linear())
    for n in STEPS:
        check(schedule(id, n, frame=frame, end=end), n, end, sigma_min, sigma_max, id)


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize(("id", "frame"), CASES)
def test_every_schedule_works_with_every_time_map(id, frame, end):
    for time in MAPS[frame].values():
        for n in (1, 2, 7, 20, 400, 1300):
            check(schedule(id, n, frame=frame, time=time, end=end), n, end, *own_range(id, time), id)


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize(("low", "high"), [(0.3, 0.31), (1e-4, 1.0), (0.5, 0.500001)])
@pytest.mark.parametrize(("id", "frame"), CASES)
def test_a_given_range_is_kept(id, frame, low, high, end):
    for time in MAPS[frame].values():
        for n in (1, 2, 10, 60):
            levels = schedule(id, n, frame=frame, time=time, sigma_min=low, sigma_max=high, end=end)
            check(levels, n, end, low, high, id)


@pytest.mark.parametrize("id", sorted(set(ROWS) - {"ddim_uniform"}))
def test_one_step_goes_from_sigma_max_to_the_end(id):
    frame = ROWS[id].frames[0]
    assert schedule(id, 1, frame=frame, sigma_min=0.1, sigma_max=0.9) == [0.9, 0.0]
    assert schedule(id, 1, frame=frame, sigma_min=0.1, sigma_max=0.9, end="sigma_min") == [0.9, 0.1]


@pytest.mark.parametrize("id", TRAILING)
def test_trailing_schedules_put_zero_in_the_place_of_sigma_min(id):
    levels = schedule(id, 10, frame=ROWS[id].frames[-1])
    assert levels[-2] > 1.4 * own_range(id, FlowShift() if ROWS[id].frames[-1] == "flow" else scaled_linear())[0]


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize(("id", "frame"), CASES)
def test_denoise_keeps_the_last_n_steps_of_a_longer_schedule(id, frame, end):
    whole = cache(lambda n: schedule(id, n, frame=frame, end=end))
    # 30 x 3 schedules of up to 600 steps: the costly one (beta, through scipy) is drawn more thinly
    for n in (1, 2, 7, 30) if id == "beta" else range(1, 31):
        for denoise in (0.05, 0.4, 0.75, 1.0):
            levels = schedule(id, n, frame=frame, denoise=denoise, end=end)
            assert len(levels) == n + 1
            assert levels == whole(int(n / denoise))[-(n + 1) :]


# --- options ---------------------------------------------------------------------------------------------------------

OPTIONS = [(id, option) for id, row in ROWS.items() for option in row.options]


def values(option):
    return option.choices or (option.low, option.high)


@pytest.mark.parametrize(("id", "option"), OPTIONS, ids=lambda value: getattr(value, "name", value))
def test_options_work_at_both_ends_and_matter(id, option):
    frame = ROWS[id].frames[0]
    for value in values(option):
        for n in (*range(1, 51), 1000):
            for end in ENDS:
                levels = schedule(id, n, frame=frame, end=end, **{option.name: value})
                assert len(levels) == n + 1
                assert all(a > b >= 0 for a, b in pairwise(levels))
                assert all(map(math.isfinite, levels))
    first, last = (np.array(schedule(id, 10, frame=frame, **{option.name: value})) for value in values(option)[:2])
    assert np.max(np.abs(np.log(first[1:-1] / last[1:-1]))) > 0.02


def test_laplace_works_where_its_centre_is_far_outside_the_range():
    for mu in (-10.0, 10.0):
        for beta in (0.1, 10.0):
            for n in (1, 2, 50, 1000):
                check(schedule("laplace", n, mu=mu, beta=beta), n, 0, *sigma_range(scaled_linear()), "laplace")


@pytest.mark.parametrize(("id", "option"), OPTIONS, ids=lambda value: getattr(value, "name", value))
def test_a_value_out_of_range_is_an_error(id, option):
    for value in ("nonsense", *(() if option.choices else (option.low - 1e-6, option.high + 1.0, math.nan))):
        with pytest.raises(ValueError, match=f"schedule '{id}'.*'?{option.name}'?.*{str(value)[:6]}"):
            schedule(id, 5, frame=ROWS[id].frames[0], **{option.name: value})


def test_default_options_are_floats_in_their_range():
    # an int default would make Option demand whole numbers
    for _, option in OPTIONS:
        if not option.choices:
            assert isinstance(option.default, float)
            assert option.low < option.default < option.high


# --- formulas --------------------------------------------------------------------------------------------------------


def even(values):
    steps = np.diff(values)
    return np.allclose(steps, steps.mean(), rtol=1e-9, atol=0)


def draw(id, n=12, **kwargs):
    return np.array(schedule(id, n, end="sigma_min", **kwargs))


def test_each_formula_is_uniform_in_its_own_variable():
    assert even(draw("karras") ** (1 / 7))
    assert even(draw("karras", rho=3.0) ** (1 / 3))
    assert even(np.log(draw("exponential")))
    assert even(np.log(draw("exponential", frame="flow")))
    assert even(np.log(draw("polyexponential", rho=2.0) / 0.029167158151720367)[:-1] ** (1 / 2))
    assert even(draw("rho_power", power=3.0) ** (1 / 3))
    assert even(np.arctan(draw("kl_optimal")))
    assert even(draw("flow_shift", frame="flow", shift=1.0))
    shifted = draw("flow_shift", frame="flow", shift=5.0)
    assert even(shifted / (5.0 - 4.0 * shifted))


@pytest.mark.parametrize(("frame", "name"), [(frame, name) for frame in ("ve", "flow") for name in MAPS[frame]])
def test_time_schedules_are_uniform_in_the_time_of_the_model(frame, name):
    time = MAPS[frame][name]

    def times(id, **options):
        return np.array([time.time(sigma) for sigma in draw(id, frame=frame, time=time, **options)])

    # t of sigma 0: a table has one entry per training step, the first of which is one step away from the data
    zero = -1.0 if isinstance(time, Table) else 0.0
    assert even(times("time_uniform"))
    assert even(times("sgm_uniform"))
    assert even(np.sqrt(times("time_quadratic") - zero))
    assert even((times("time_power", kappa=3.0) - zero) ** (1 / 3))


def test_schedules_that_are_special_cases_of_each_other():
    for frame in ("ve", "flow"):
        assert schedule("polyexponential", 9, frame=frame) == schedule("exponential", 9, frame=frame)
        assert schedule("time_power", 9, frame=frame, kappa=2.0) == schedule("time_quadratic", 9, frame=frame)
        assert schedule("time_power", 9, frame=frame, kappa=1.0) == pytest.approx(
            schedule("time_uniform", 9, frame=frame), rel=1e-12
        )
        assert schedule("sgm_uniform", 9, frame=frame)[:-1] == pytest.approx(
            schedule("time_uniform", 10, frame=frame)[:-2], rel=1e-12
        )
    assert schedule("rho_power", 9, power=7.0) == schedule("karras", 9)
    assert schedule("flow_shift", 9, frame="flow", shift=3.0) == pytest.approx(
        schedule("simple", 9, frame="flow", time=FlowShift(3.0)), rel=1e-12
    )


def test_beta_gives_the_quantiles_of_its_distribution():
    from scipy.special import betainc

    time = ContinuousVP()
    levels = schedule("beta", 16, time=time, alpha=0.5, beta=0.7)[:-1]
    share = (np.array([time.time(sigma) for sigma in levels]) - time.t_min) / (time.t_max - time.t_min)
    assert betainc(0.5, 0.7, share) == pytest.approx(1 - np.arange(16) / 16, abs=1e-10)


def test_laplace_is_symmetric_about_mu():
    levels = draw("laplace", 10, mu=0.5, sigma_min=math.exp(-2.5), sigma_max=math.exp(3.5))
    assert np.log(levels) + np.log(levels[::-1]) == pytest.approx(1.0, abs=1e-12)


def test_laplace_is_cut_to_the_range_where_clamping_would_repeat_levels():
    levels = np.log(schedule("laplace", 40, beta=3.0, end="sigma_min"))
    share = np.where(levels < 0, 0.5 * np.exp(-np.abs(levels) / 3), 1 - 0.5 * np.exp(-np.abs(levels) / 3))
    assert even(share)


def test_linear_quadratic_meets_its_threshold_halfway_without_a_kink():
    levels = np.array(schedule("linear_quadratic", 200, frame="flow", threshold=0.1))
    assert levels[100] == pytest.approx(0.9, abs=1e-12)
    assert even(levels[:101])
    assert even(np.diff(levels[100:]))
    assert levels[101] - levels[100] == pytest.approx(-0.001, rel=0.1)


@pytest.mark.parametrize("table", ["sd1", "sdxl", "svd"])
def test_align_your_steps_at_ten_steps_is_its_table_and_log_linear_between(table):
    published = ays()[table]
    assert schedule("ays", 10, table=table) == pytest.approx((*published[:-1], 0.0), rel=1e-12)
    assert schedule("ays", 10, table=table, end="sigma_min") == pytest.approx(published, rel=1e-12)
    twenty = schedule("ays", 20, table=table, end="sigma_min")
    assert twenty[::2] == pytest.approx(published, rel=1e-12)
    assert twenty[1::2] == pytest.approx([math.sqrt(a * b) for a, b in pairwise(published)], rel=1e-12)
    stretched = np.log(schedule("ays", 10, table=table, end="sigma_min", sigma_min=0.5, sigma_max=50.0))
    assert np.diff(stretched) / np.diff(np.log(published)) == pytest.approx(
        math.log(100) / math.log(published[0] / published[-1]), rel=1e-12
    )


def test_align_your_steps_tables_agree_with_the_paper():
    # arXiv 2404.14507, table 3, three decimals. Its authors' timesteps (howto page) give sigmas up to 1.4 % away.
    paper = {
        "sd1": (14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152, 0.029),
        "sdxl": (14.615, 6.315, 3.771, 2.181, 1.342, 0.862, 0.555, 0.380, 0.234, 0.113, 0.029),
        "svd": (700.0, 54.5, 15.886, 7.977, 4.248, 1.789, 0.981, 0.403, 0.173, 0.034, 0.002),
    }
    assert paper.keys() == ays().keys()
    for table, levels in paper.items():
        assert ays()[table] == pytest.approx(levels, rel=0.015)


def test_ddim_uniform_takes_the_entries_of_ddim():
    def entries(n):
        return [scaled_linear().time(sigma) for sigma in schedule("ddim_uniform", n)[:-1]]

    assert entries(20) == pytest.approx(list(range(951, 0, -50)), abs=1e-6)
    assert entries(60)[0] == pytest.approx(1 + 59 * 1000 / 60, abs=1e-6)  # hosts: 63 steps
    assert schedule("ddim_uniform", 20, end="sigma_min")[:-1] == schedule("ddim_uniform", 20)[:-1]


def test_tables_are_met_at_their_entries_while_there_are_enough_of_them():
    def off(id, n):
        times = [scaled_linear().time(sigma) for sigma in schedule(id, n)[:-1]]
        return max(abs(t - round(t)) for t in times)

    assert off("simple", 33) < 1e-6
    assert off("simple", 1000) < 1e-6
    assert off("beta", 33) < 1e-6
    assert off("beta", 400) > 0.1  # rounded, 400 levels would collide


@pytest.mark.parametrize(("growth", "root"), [("linear", 1), ("quadratic", 2)])
@pytest.mark.parametrize("end", ENDS)
def test_fastdpm_variances_grow_from_the_first_to_the_product_of_the_model(growth, root, end):
    betas = np.linspace(1e-4, 0.02, 1000)
    for n in (3, 10, 50):
        levels = np.array([s for s in schedule("fastdpm_var", n, time="linear", growth=growth, end=end) if s])
        kept = 1 / (1 + levels[::-1] ** 2)  # cumulative alphas of the short chain
        eta = 1 - kept / np.array([1.0, *kept[:-1]])
        assert np.prod(1 - eta) == pytest.approx(np.prod(1 - betas), rel=1e-12)
        # 1 - kept loses four digits of float64
        assert eta[0] == pytest.approx(1e-4, rel=1e-11)
        assert np.diff(eta ** (1 / root)) == pytest.approx(np.diff(eta ** (1 / root))[0], rel=1e-8)


def test_fastdpm_takes_equal_variances_where_the_range_is_too_narrow_for_growth():
    for growth in ("linear", "quadratic"):
        assert even(np.log1p(draw("fastdpm_var", 20, sigma_min=0.3, sigma_max=0.31, growth=growth) ** 2))


@pytest.mark.parametrize("n", [2, 10, 25])
def test_fastdpm_steps_are_whole_steps_of_the_table(n):
    def entries(**options):
        levels = schedule("fastdpm_step", n, time="linear", **options)[:-1]
        return [time_map("linear").time(sigma) for sigma in reversed(levels)]

    assert entries(growth="linear") == pytest.approx([math.floor(999 / (n - 1) * i) for i in range(n)], abs=1e-6)
    # 0.8 T as the published code has it
    square = [math.floor(800 * (i / (n - 1)) ** 2 + 1e-6) for i in range(n)]
    assert entries(growth="quadratic") == pytest.approx(square, abs=1e-6)


def test_fastdpm_steps_go_between_the_steps_of_the_table_where_they_would_meet():
    levels = schedule("fastdpm_step", 50, growth="quadratic")[:-1]
    times = np.array([scaled_linear().time(sigma) for sigma in reversed(levels)])
    assert even(np.sqrt(np.abs(times)))  # the first time is 0 up to rounding
    assert schedule("fastdpm_step", 1, growth="quadratic")[0] == pytest.approx(scaled_linear().sigmas[800], rel=1e-12)


# --- agreement with published implementations ------------------------------------------------------------------------

SD = {"frame": "ve"}
FLOW3 = {"frame": "flow", "time": FLOW_TABLE}
SHIFT3 = {"frame": "flow", "time": FlowShift(3.0)}
FLOW1 = {"frame": "flow"}

# ComfyUI 0.8.0, 10 steps: comfy/samplers.py and comfy/k_diffusion/sampling.py (the same numbers as k-diffusion 4601bf0
# where it has the function) on the default ModelSamplingDiscrete and on ModelSamplingDiscreteFlow with shift 3 and 1;
# comfy_extras/nodes_align_your_steps.py at 8 steps. Run once, printed with seven digits.
# fmt: off
COMFYUI = [
    ("karras", SD, {},
     "14.61464 9.102929 5.478392 3.168605 1.749418 0.9140727 0.4469184 0.2013984 0.0819103 0.02916718 0"),
    ("exponential", SD, {},
     "14.61464 7.324869 3.67123 1.840024 0.9222213 0.4622183 0.2316642 0.1161103 0.05819456 0.02916716 0"),
    ("polyexponential", SD, {"rho": 2.0},
     "14.61464 3.964092 1.253613 0.4622183 0.1986986 0.09958791 0.05819456 0.03964809 0.03149388 0.02916716 0"),
    ("vp", SD, {},
     "152.167 53.30984 21.09562 9.403197 4.68064 2.54943 1.461972 0.822899 0.3817022 0.01048599 0"),
    ("kl_optimal", SD, {},
     "14.61463 4.23235 2.393719 1.597066 1.132997 0.8152445 0.5729142 0.3724842 0.1952883 0.02916716 0"),
    ("simple", SD, {},
     "14.61464 8.302803 5.087763 3.321083 2.276463 1.612886 1.160578 0.8298596 0.5692849 0.3416738 0"),
    ("simple", FLOW3, {},
     "1 0.9642857 0.923077 0.8749999 0.8181818 0.75 0.6666667 0.5625 0.4285715 0.25 0"),
    ("simple", SHIFT3, {},
     "1 0.9642857 0.923077 0.8749999 0.8181818 0.75 0.6666667 0.5625 0.4285715 0.25 0"),
    ("flow_shift", FLOW1, {},
     "1 0.9642857 0.923077 0.8749999 0.8181818 0.75 0.6666667 0.5625 0.4285715 0.25 0"),
    ("ddim_uniform", SD, {},
     "8.390685 5.134431 3.347764 2.292854 1.623692 1.168216 0.8356528 0.5740502 0.3461867 0.04131441 0"),
    ("ddim_uniform", SHIFT3, {},
     "0.96505 0.9239631 0.8760399 0.8194193 0.751497 0.6685144 0.5648379 0.4316239 0.2541528 0.005976096 0"),
    ("time_uniform", SD, {},
     "14.61464 7.839883 4.609174 2.918307 1.950161 1.344928 0.932358 0.6249769 0.3686577 0.02916716 0"),
    ("time_uniform", FLOW1, {},
     "1 0.889 0.778 0.667 0.556 0.445 0.334 0.223 0.112 0.001 0"),
    ("sgm_uniform", SD, {},
     "14.61464 8.307171 5.092408 3.325069 2.279731 1.61558 1.162865 0.8318837 0.5711889 0.3437048 0"),
    ("sgm_uniform", FLOW1, {},
     "1 0.9001 0.8002 0.7003 0.6004 0.5005 0.4006 0.3007 0.2008 0.1009 0"),
    ("beta", SD, {},
     "14.61464 11.54277 7.371844 4.372802 2.615236 1.618279 1.027329 0.6548854 0.3955097 0.1990586 0"),
    ("beta", FLOW3, {},
     "1 0.9863013 0.9553377 0.9075829 0.8409491 0.7507493 0.6309385 0.4795918 0.2980769 0.1136784 0"),
    ("linear_quadratic", FLOW1, {},
     "1 0.995 0.99 0.985 0.98 0.975 0.932 0.813 0.618 0.347 0"),
    ("ays", SD, {"table": "sd1"},
     "14.61464 5.690608 3.226626 2.060478 1.394381 0.8745172 0.5093886 0.1928683 0"),
    ("ays", SD, {"table": "sdxl"},
     "14.61464 5.552528 2.866872 1.514005 0.8620721 0.5048526 0.2976505 0.1340195 0"),
    ("ays", SD, {"table": "svd"},
     "700 40.04525 11.25711 4.972769 1.789 0.7853767 0.2640436 0.05106469 0"),
]
# fmt: on


@pytest.mark.parametrize(("id", "model", "options", "text"), COMFYUI)
def test_levels_agree_with_comfyui(id, model, options, text):
    expected = [float(number) for number in text.split()]
    # float32 sources: tan and the seventh power lose most, 1e-6; seven printed digits are 5e-7
    assert schedule(id, len(expected) - 1, **model, **options) == pytest.approx(expected, rel=2e-6)


def test_laplace_agrees_with_comfyui():
    # ComfyUI returns n levels without a 0. It adds 1e-5 under the logarithm: 2.5e-5 of sigma at 11 levels
    text = "14.61464 2.236012 1.581119 1.290984 1.118027 1 0.8944328 0.7746031 0.6324635 0.4472248 0.02916716"
    expected = [float(number) for number in text.split()]
    assert schedule("laplace", 10, end="sigma_min") == pytest.approx(expected, rel=5e-5)


# --- names, frames and errors ----------------------------------------------------------------------------------------


def test_aliases_give_the_same_levels_and_name_one_schedule_each():
    names = [name for row in ROWS.values() for name in (row.id, *row.aliases)]
    assert len(set(names)) == len(names)
    assert {"normal", "edm", "align_your_steps"} < set(names) - set(ROWS)
    for id, row in ROWS.items():
        for alias in row.aliases:
            assert schedule(alias, 4) == schedule(id, 4)


def test_the_table_can_be_read_but_not_changed_by_callers():
    schedules().clear()
    assert schedules().keys() == ROWS.keys()
    for id, row in ROWS.items():
        assert row.id == id
        assert row.about.endswith(".")
        assert row.frames
        assert row.label
        assert row.reference


@pytest.mark.parametrize(("id", "row"), ROWS.items())
def test_a_frame_without_the_schedule_is_an_error_that_names_its_frames(id, row):
    for frame in {"ve", "vp", "flow"} - set(row.frames):
        with pytest.raises(ValueError, match=f"'{id}' exists in frame {' and '.join(row.frames)}, got frame '{frame}'"):
            schedule(id, 5, frame=frame)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"id": "karas"}, "unknown schedule 'karas'; did you mean 'karras'"),
        ({"n": 0}, "n is 0, expected at least 1"),
        ({"n": -3}, "n is -3"),
        ({"n": 2.5}, "n is 2.5, expected a whole number"),
        ({"n": True}, "n is True"),
        ({"n": "10"}, "n is '10'"),
        ({"sigma_min": 0.0}, "sigma_min is 0.0, expected a positive.*end=0"),
        ({"sigma_min": -1.0}, "sigma_min is -1.0, expected a positive"),
        ({"sigma_max": math.inf}, "sigma_max is inf"),
        ({"sigma_max": math.nan}, "sigma_max is nan"),
        ({"sigma_max": "14"}, "sigma_max is '14', expected a number"),
        ({"sigma_min": 3.0, "sigma_max": 2.0}, "sigma_min is 3 and sigma_max is 2"),
        ({"sigma_min": 2.0, "sigma_max": 2.0}, "sigma_min is 2 and sigma_max is 2"),
        ({"frame": "flow", "sigma_max": 14.6}, "sigma_max is 14.6, but flow levels lie in 0..1.*frame='ve'"),
        ({"frame": "flux"}, "unknown frame 'flux'"),
        ({"time": "scaled"}, "unknown time map 'scaled'"),
        ({"end": "zero"}, "end is 'zero', expected 0 .* or 'sigma_min'"),
        ({"end": 1}, "end is 1"),
        ({"denoise": 0.0}, "denoise is 0.0, expected a number above 0"),
        ({"denoise": 1.5}, "denoise is 1.5"),
        ({"denoise": math.nan}, "denoise is nan"),
        ({"denoise": "0.5"}, "denoise is '0.5', expected a number"),
        ({"denoise": 1e-9}, "denoise = 1e-09 needs 1e\\+10 steps"),
        ({"rhoo": 7.0}, "schedule 'karras': unknown option 'rhoo'; did you mean 'rho'"),
        ({"id": "kl_optimal", "rho": 7.0}, "'kl_optimal' takes no options, got 'rho'"),
        ({"sigma_min": 1.0, "sigma_max": 1.0 + 1e-15}, "do not fit.*take fewer steps"),
    ],
)
def test_errors_say_what_was_given_and_what_is_expected(arguments, words):
    with pytest.raises(ValueError, match=words):
        schedule(**{"id": "karras", "n": 10, **arguments})


def test_numpy_numbers_are_welcome_and_python_floats_come_back():
    levels = schedule("karras", np.int64(10), sigma_min=np.float32(0.5), sigma_max=np.array(2.0), denoise=np.float64(1))
    assert levels == schedule("karras", 10, sigma_min=0.5, sigma_max=2.0)
    assert {type(level) for level in levels} == {float}


def test_schedules_need_neither_torch_nor_numpy():
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import conftest, fewstep\n"
        "for id, row in fewstep.schedules().items():\n"
        "    for frame in row.frames:\n"
        "        if id != 'beta': fewstep.schedule(id, 10, frame=frame)\n"
        "print({'torch', 'numpy', 'scipy'} & set(sys.modules))"
    )
    here = str(Path(__file__).parent)
    done = subprocess.run([sys.executable, "-c", code, here], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
