"""Wrapped networks against exact Gaussian data N(mean, spread^2), whose predictions are known in closed form."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import torch
from fewstep import wrap
from fewstep.samplers.guidance import classifier, classifier_free, dynamic_thresholding, threshold
from fewstep.samplers.inputs import tensor_time
from fewstep.samplers.level import frame
from fewstep.samplers.times import TIME_MAPS, Table, sigma_range, time_map
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

MEAN, SPREAD = 0.3, 0.7
SIGMAS = {"ve": (157.0, 0.8, 1e-7), "vp": (157.0, 0.8, 1e-7), "flow": (1.0, 0.4, 1e-7)}
EXACT = {"rtol": 1e-12, "atol": 1e-12}


def state_scales(name: str, sigma: Tensor) -> tuple[Tensor, Tensor]:
    """alpha and sigma of a state, written independently of the code under test."""
    return {
        "ve": lambda: (torch.ones_like(sigma), sigma),
        "vp": lambda: (1 / (1 + sigma**2).sqrt(), sigma / (1 + sigma**2).sqrt()),
        "flow": lambda: (1 - sigma, sigma),
    }[name]()


def posterior(name: str, x: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """alpha, sigma, E[x0|x] and E[noise|x] in a frame; no division by alpha or sigma."""
    alpha, noise = (value.reshape(-1, *[1] * (x.dim() - 1)).to(x.dtype) for value in state_scales(name, sigma))
    away = (x - alpha * MEAN) / (alpha**2 * SPREAD**2 + noise**2)
    return alpha, noise, MEAN + alpha * SPREAD**2 * away, noise * away


PREDICT: dict[str, Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]] = {
    "noise": lambda z, alpha, sigma, x0, eps: eps,
    "x0": lambda z, alpha, sigma, x0, eps: x0,
    "v": lambda z, alpha, sigma, x0, eps: alpha * eps - sigma * x0,
    "score": lambda z, alpha, sigma, x0, eps: -(z - alpha * MEAN) / (alpha**2 * SPREAD**2 + sigma**2),
    "flow": lambda z, alpha, sigma, x0, eps: eps - x0,
}


def exact_net(predicts: str, native: str) -> Callable[..., Tensor]:
    """The exact network of one kind, on the input of its own frame; its label is sigma."""
    return lambda z, sigma: PREDICT[predicts](z, *posterior(native, z, sigma))


def latent(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(dtype)


def zero_net(z: Tensor, label: Tensor, **kwargs: Any) -> Tensor:
    return torch.zeros_like(z)


class Recorder:
    """A network that remembers how it was asked and predicts x0 = its condition, spread over the input's shape."""

    def __init__(self) -> None:
        self.calls: list[tuple[Tensor, Tensor, dict[str, Any]]] = []

    def __call__(self, z: Tensor, label: Tensor, **kwargs: Any) -> Tensor:
        self.calls.append((z, label, kwargs))
        value = kwargs.get("y", torch.zeros(len(z), dtype=z.dtype))
        return value.reshape(-1, *[1] * (z.dim() - 1)).to(z.dtype).expand(z.shape)


# -- predictions ------------------------------------------------------------------------------------------------------

CASES = [
    *(("ve", "vp", predicts) for predicts in ("noise", "x0", "v", "score")),
    *(("vp", "vp", predicts) for predicts in ("noise", "x0", "v", "score")),
    *(("ve", "ve", predicts) for predicts in ("noise", "x0", "score")),
    *(("vp", "ve", predicts) for predicts in ("noise", "x0", "score")),
    *(("flow", "flow", predicts) for predicts in ("x0", "flow")),
]


@pytest.mark.parametrize(("name", "native", "predicts"), CASES)
def test_every_exact_prediction_gives_the_exact_denoiser(name: str, native: str, predicts: str) -> None:
    sigma = torch.tensor(SIGMAS[name], dtype=torch.float64)
    alpha, noise = state_scales(name, sigma)
    x = alpha.reshape(-1, 1, 1, 1) * MEAN + (noise + alpha).reshape(-1, 1, 1, 1) * latent(3, 2, 4, 4)
    net = exact_net(predicts, native)
    denoised = wrap(net, predicts, frame=name, native=native, label="sigma", label_scale=1.0)(x, sigma)
    assert denoised.isfinite().all()
    torch.testing.assert_close(denoised, posterior(name, x, sigma)[2], **EXACT)


def test_the_same_network_gives_the_same_answer_in_ve_and_vp() -> None:
    sigma = torch.tensor([9.0, 0.5], dtype=torch.float64)
    x = latent(2, 3, 4)

    def net(z: Tensor, label: Tensor) -> Tensor:
        return torch.tanh(z) + label.reshape(-1, 1, 1) / 1000

    x_vp = x / (1 + sigma**2).sqrt().reshape(-1, 1, 1)
    for predicts in ("noise", "x0", "v", "score"):
        ve, vp = wrap(net, predicts)(x, sigma), wrap(net, predicts, frame="vp")(x_vp, sigma)
        torch.testing.assert_close(ve, vp, **EXACT)
        assert ve.std() > 0.01


def test_the_default_frame_is_flow_for_flow_predictions_and_ve_otherwise() -> None:
    net = Recorder()
    x = latent(1, 4)
    wrap(net, "flow")(x, torch.tensor([0.5]))
    wrap(net, "noise")(x, torch.tensor([0.75]))
    torch.testing.assert_close(net.calls[0][0], x, rtol=0, atol=0)
    torch.testing.assert_close(net.calls[1][0], x / 1.25)


# -- labels -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(TIME_MAPS))
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 2e-6)])
def test_tensor_time_is_the_time_map(name: str, dtype: torch.dtype, tolerance: float) -> None:
    time = time_map(name)
    low, high = sigma_range(time)
    beyond = 1.0 if name == "flow" else 3 * high
    sigmas = torch.logspace(math.log10(low / 3), math.log10(beyond), 501, dtype=torch.float64)
    if isinstance(time, Table):
        sigmas = torch.cat([sigmas, torch.tensor(time.sigmas, dtype=torch.float64)])
    sigmas = sigmas.to(dtype)
    got = tensor_time(time, sigmas)
    assert got.dtype == dtype
    expected = torch.tensor([time.time(sigma) for sigma in sigmas.tolist()], dtype=torch.float64)
    # an index changes by at most 1/(smallest step of log sigma) of the rounding of log sigma
    logs = [math.log(sigma) for sigma in time.sigmas] if isinstance(time, Table) else [0.0, 1.0]
    steepest = max(1 / (b - a) for a, b in pairwise(logs))
    torch.testing.assert_close(got.double(), expected, rtol=tolerance, atol=tolerance * steepest * 0.2)


def test_a_table_goes_on_beyond_its_ends() -> None:
    table = Table((0.1, 0.2, 1.6))
    got = tensor_time(table, torch.tensor([0.05, 0.1, 0.2, 1.6, 12.8], dtype=torch.float64))
    torch.testing.assert_close(got, torch.tensor([-1.0, 0.0, 1.0, 2.0, 3.0], dtype=torch.float64), **EXACT)


def asked(x: Tensor, sigma: Tensor, predicts: str = "noise", **options: Any) -> Tensor:
    net = Recorder()
    wrap(net, predicts, **options)(x, sigma)
    return net.calls[0][1]


def test_a_rounded_label_is_the_nearest_index_within_the_table() -> None:
    table = time_map("scaled_linear")
    assert isinstance(table, Table)
    sigma = torch.tensor([0.001, 0.5, 3.3, 14.0, 100.0], dtype=torch.float64)
    label = asked(latent(5, 2), sigma, label="rounded")
    distance = (sigma.log()[:, None] - torch.tensor(table.sigmas, dtype=torch.float64).log()[None]).abs()
    assert label.dtype == torch.int64
    assert label.tolist() == distance.argmin(1).tolist()
    assert (label[0], label[-1]) == (0, 999)


def test_labels_and_their_scales() -> None:
    x, sigma = latent(2, 3), torch.tensor([0.9, 0.25], dtype=torch.float64)
    table = frame("ve").time
    indices = torch.tensor([table.time(0.9), table.time(0.25)], dtype=torch.float64)
    for options, expected in [
        ({}, indices),
        ({"label_scale": 0.001}, indices / 1000),
        ({"label": "rounded", "label_scale": 0.001}, indices.round() / 1000),
        (
            {"frame": "vp", "time": "linear"},
            torch.tensor([time_map("linear").time(s) for s in (0.9, 0.25)], dtype=torch.float64),
        ),
        ({"native": "ve"}, sigma),
        ({"native": "ve", "label": "log_sigma", "label_scale": 0.25}, sigma.log() / 4),
        ({"predicts": "flow"}, 1000 * sigma),
        ({"predicts": "flow", "label_scale": 1}, sigma),
        ({"predicts": "flow", "time": frame("flow").time, "label": "continuous"}, 1000 * sigma),
        ({"predicts": "flow", "label": lambda s: 7 - s}, 7 - sigma),
    ]:
        torch.testing.assert_close(asked(x, sigma, **options), expected, rtol=1e-9, atol=1e-9, msg=str(options))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_labels_of_half_precision_latents_are_float32(dtype: torch.dtype) -> None:
    sigma = torch.tensor([3.14159], dtype=torch.float32)
    label = asked(latent(1, 4, dtype=dtype), sigma)
    assert label.dtype == torch.float32
    assert float(label) == pytest.approx(frame("ve").time.time(float(sigma)), abs=1e-3)
    assert asked(latent(1, 4, dtype=torch.float32), sigma.double()).dtype == torch.float32


def test_a_time_map_without_a_tensor_form_asks_for_a_label_function() -> None:
    class Own:
        t_min, t_max, knots = 0.0, 1.0, None

        def time(self, sigma: float) -> float:
            return sigma

        sigma = time

        def times(self, log_sigma: Any) -> Any:
            return log_sigma

    with pytest.raises(ValueError, match=r"got a Own.*EDM.*Table.*give label="):
        wrap(zero_net, time=Own())
    label = asked(latent(1, 2), torch.tensor([2.0]), time=Own(), label=lambda sigma: sigma + 1)
    assert label.tolist() == [3.0]


# -- shapes, types, devices -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(3, 5, 4), (1, 4, 3, 3), (3, 2, 2, 4, 4)])
def test_shape_and_type_stay_and_inputs_are_not_modified(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    x, sigma = latent(*shape, dtype=dtype), torch.tensor([0.9, 0.5, 0.1][: shape[0]])
    x_before, sigma_before = x.clone(), sigma.clone()
    for options in ({"predicts": "v"}, {"predicts": "noise", "frame": "vp"}, {"predicts": "flow"}, {"predicts": "x0"}):
        for thresholding in (False, True):
            condition = {"y": torch.zeros(1)}
            net = Recorder()
            plain = wrap(net, **options, thresholding=thresholding)
            name = options.get("frame", "flow" if options["predicts"] == "flow" else "ve")
            for denoiser in (
                plain,
                wrap(lambda z, t: z.to(torch.promote_types(dtype, torch.float32)), **options),
                classifier_free(plain, condition, condition, 2.0),
                classifier(plain, lambda z, t: z.flatten(1).sum(1), frame=name),
            ):
                denoised = denoiser(x, sigma)
                assert (denoised.shape, denoised.dtype) == (x.shape, dtype)
                assert net.calls[-1][0].dtype == dtype
                assert torch.equal(x, x_before)
                assert torch.equal(sigma, sigma_before)


def test_half_precision_is_rounded_once() -> None:
    x, sigma = latent(1, 4, 8, 8, dtype=torch.float16), torch.tensor([0.7])
    denoised = wrap(lambda z, t: z.sin(), "v", frame="vp")(x, sigma)
    alpha = 1 / math.hypot(1, 0.7)
    expected = alpha * x.double() - 0.7 * alpha * x.sin().double()
    assert torch.equal(denoised, expected.half())


def test_each_sample_has_its_own_level() -> None:
    x, sigma = latent(3, 4, 2), torch.tensor([10.0, 1.0, 0.1], dtype=torch.float64)
    for predicts in ("noise", "v", "score"):
        denoiser = wrap(lambda z, t: z * t.reshape(-1, 1, 1), predicts)
        alone = torch.cat([denoiser(x[i : i + 1], sigma[i : i + 1]) for i in range(3)])
        torch.testing.assert_close(denoiser(x, sigma), alone, **EXACT)


def test_one_level_serves_the_batch() -> None:
    x = latent(3, 4)
    denoiser = wrap(lambda z, t: z * t.reshape(-1, 1), "noise")
    expected = denoiser(x, torch.full((3,), 0.5))
    assert torch.equal(denoiser(x, torch.tensor(0.5)), expected)
    assert torch.equal(denoiser(x, 0.5), expected)


def test_keyword_arguments_reach_the_network() -> None:
    net = Recorder()
    wrap(net)(latent(2, 3), torch.tensor(1.0), y=torch.tensor([1.0, 2.0]), mode="a")
    assert net.calls[0][2]["y"].tolist() == [1.0, 2.0]
    assert net.calls[0][2]["mode"] == "a"


def test_nothing_is_read_back_from_the_device() -> None:
    x, sigma = latent(2, 3, 8, 8, dtype=torch.float32), torch.tensor([0.9, 0.4])
    condition = {"y": torch.ones(2)}

    def log_prob(z: Tensor, label: Tensor) -> Tensor:
        return -(z**2).flatten(1).sum(1)

    denoisers = [
        classifier(
            wrap(zero_net, predicts, frame=name, label=label, time=time, thresholding=True), log_prob, frame=name
        )
        for predicts, name, label, time in [
            ("noise", "ve", "continuous", None),
            ("v", "vp", "rounded", None),
            ("score", "ve", "continuous", "vp"),
            ("x0", "ve", "continuous", "cosine_vp"),
            ("x0", "ve", "log_sigma", "edm"),
            ("flow", "flow", "continuous", None),
        ]
    ]
    denoisers.append(wrap(Recorder(), cond=condition, uncond=condition, cond_scale=3.0))
    for denoiser in denoisers:
        denoiser(x, sigma)  # the first call may build a table
    with profile(activities=[ProfilerActivity.CPU]) as seen:
        for denoiser in denoisers:
            denoiser(x, sigma)
    names = {event.key for event in seen.key_averages()}
    assert {"aten::searchsorted", "aten::atan", "aten::topk", "aten::lerp"} <= names  # the profiler did look
    assert not names & {"aten::item", "aten::_local_scalar_dense", "aten::nonzero", "aten::is_nonzero"}


def test_a_table_first_read_in_inference_mode_serves_gradients_later() -> None:
    table = Table((0.1, 0.5, 2.0))
    with torch.inference_mode():
        tensor_time(table, torch.tensor([0.3]))
    sigma = torch.tensor([0.3], requires_grad=True)
    (slope,) = torch.autograd.grad(tensor_time(table, sigma).sum(), sigma)
    assert float(slope) == pytest.approx(1 / 0.3 / math.log(5), rel=1e-5)


# -- classifier-free guidance -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [0.0, 0.5, 1.5, 7.5, -1.0])
@pytest.mark.parametrize("predicts", ["noise", "v", "x0"])
def test_classifier_free_guidance_is_its_formula_in_one_pass(predicts: str, scale: float) -> None:
    x, sigma = latent(3, 2, 4), torch.tensor([5.0, 1.0, 0.2], dtype=torch.float64)
    calls = []

    def net(z: Tensor, label: Tensor, y: Tensor) -> Tensor:
        calls.append((len(z), y))
        return torch.sin(z * y.reshape(-1, 1, 1)) + label.reshape(-1, 1, 1) / 1000

    cond, uncond = {"y": torch.tensor([1.0, 2.0, 3.0])}, {"y": torch.tensor([0.5])}
    plain = wrap(net, predicts)
    free, bound = plain(x, sigma, y=uncond["y"].expand(3)), plain(x, sigma, y=cond["y"])
    calls.clear()
    guided = classifier_free(plain, cond, uncond, scale)(x, sigma)
    torch.testing.assert_close(guided, free + scale * (bound - free), **EXACT)
    assert [batch for batch, _ in calls] == [6]
    assert calls[0][1].tolist() == [0.5, 0.5, 0.5, 1.0, 2.0, 3.0]
    by_keyword = wrap(net, predicts, cond=cond, uncond=uncond, cond_scale=scale)(x, sigma)
    assert torch.equal(guided, by_keyword)


@pytest.mark.parametrize("options", [{"uncond": {"y": torch.zeros(1)}, "cond_scale": 1.0}, {}])
def test_scale_1_is_one_pass_of_the_batch(options: dict[str, Any]) -> None:
    net = Recorder()
    denoised = wrap(net, "x0", cond={"y": torch.tensor([4.0])}, **options)(latent(2, 3), torch.tensor(0.5))
    assert [len(z) for z, _, _ in net.calls] == [2]
    assert net.calls[0][2]["y"].tolist() == [4.0, 4.0]
    assert denoised.eq(4.0).all()


def test_conditions_may_be_nested_bare_or_shared() -> None:
    net, x = Recorder(), latent(2, 3)
    cond = {"y": torch.tensor(3.0), "added": {"text": torch.ones(2, 4), "parts": [torch.ones(1, 5), "same"]}}
    uncond = {"y": torch.tensor(1.0), "added": {"text": torch.zeros(1, 4), "parts": [torch.zeros(1, 5), "same"]}}
    denoised = classifier_free(wrap(net, "x0"), cond, uncond, 2.0)(
        x, 0.5, each=torch.tensor([8.0, 9.0]), table=torch.ones(7), flag=True
    )
    asked = net.calls[0][2]
    assert asked["y"].tolist() == [1.0, 1.0, 3.0, 3.0]
    assert asked["added"]["text"].sum(1).tolist() == [0.0, 0.0, 4.0, 4.0]
    assert asked["added"]["parts"][0].sum(1).tolist() == [0.0, 0.0, 5.0, 5.0]
    assert (asked["added"]["parts"][1], asked["flag"], asked["table"].shape) == ("same", True, (7,))
    assert asked["each"].tolist() == [8.0, 9.0, 8.0, 9.0]
    assert denoised.eq(5.0).all()
    classifier_free(wrap(net), torch.ones(2), torch.zeros(2), 2.0)(x, 0.5)
    assert net.calls[1][2]["cond"].tolist() == [0.0, 0.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("cond", "uncond", "message"),
    [
        (
            {"y": torch.ones(3)},
            {"y": torch.ones(3)},
            r"shape \(3,\), expected a first dimension of 1 or of the batch, 2",
        ),
        ({"y": torch.ones(2, 5)}, {"y": torch.ones(2, 4)}, r"\(2, 4\) and \(2, 5\).*pad the shorter one"),
        ({"y": torch.ones(2)}, {}, r"differ in their entries: \[\] and \['y'\]"),
        ({"y": torch.ones(2)}, {"y": None}, "are None and tensor"),
        ({"mode": "a"}, {"mode": "b"}, r"\['mode'\] are 'b' and 'a'.*the same value in both"),
        ({"y": [torch.ones(2)]}, {"y": [torch.ones(2)] * 2}, "differ in length"),
    ],
)
def test_conditions_that_do_not_fit(cond: Any, uncond: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        classifier_free(wrap(Recorder()), cond, uncond, 2.0)(latent(2, 3), 0.5)


# -- classifier guidance ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [torch.enable_grad, torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize(("name", "native"), [("ve", "vp"), ("vp", "vp"), ("ve", "ve"), ("flow", "flow")])
def test_classifier_guidance_with_a_gaussian_classifier(name: str, native: str, mode: Any) -> None:
    """Observing y = x0 + width noise: with the exact log p(y|x), scale 1 must give the exact posterior mean of x0."""
    y, width = 1.1, 0.4

    def log_prob(z: Tensor, sigma: Tensor) -> Tensor:
        alpha, noise, x0, _ = posterior(native, z, sigma)
        variance = SPREAD**2 * noise**2 / (alpha**2 * SPREAD**2 + noise**2) + width**2
        return (-((y - x0) ** 2) / (2 * variance)).flatten(1).sum(1)

    options = {"frame": name, "native": native, "label": "sigma", "label_scale": 1.0}
    with mode():
        sigma = torch.tensor([0.9, 0.5, 0.02], dtype=torch.float64)
        x = latent(3, 2, 4) * 1.0
        assert x.is_inference() == (mode is torch.inference_mode)
        before = x.clone()
        got = classifier(wrap(exact_net("x0", native), "x0", **options), log_prob, 1.0, **options)(x, sigma)
        twice = classifier(wrap(exact_net("x0", native), "x0", **options), log_prob, 2.0, **options)(x, sigma)
        assert torch.equal(x, before)
    alpha, noise, free, _ = posterior(name, x.clone(), sigma.clone())
    left = SPREAD**2 * noise**2 / (alpha**2 * SPREAD**2 + noise**2)
    exact = (free * width**2 + y * left) / (width**2 + left)
    torch.testing.assert_close(got, exact, **EXACT)
    torch.testing.assert_close(twice - free, 2 * (exact - free), **EXACT)
    assert not got.requires_grad


def test_classifier_guidance_leaves_flow_sigma_1_alone() -> None:
    x = latent(2, 3)
    net = exact_net("x0", "flow")
    plain = wrap(net, "x0", frame="flow", label_scale=1.0)
    guided = classifier(plain, lambda z, t: -(z**2).sum(1), frame="flow")
    sigma = torch.tensor([1.0, 0.5], dtype=torch.float64)
    difference = guided(x, sigma) - plain(x, sigma)
    assert torch.equal(difference[0], torch.zeros(3, dtype=torch.float64))
    torch.testing.assert_close(difference[1], -2 * x[1] * 0.5, **EXACT)


def test_classifier_takes_the_label_of_its_network() -> None:
    seen = []

    def log_prob(z: Tensor, label: Tensor) -> Tensor:
        seen.append(label)
        return z.sum(1)

    classifier(wrap(zero_net), log_prob, frame="ve", label="rounded")(latent(1, 3), torch.tensor([14.0]))
    assert seen[0].tolist() == [round(frame("ve").time.time(14.0))]


@pytest.mark.parametrize(
    ("log_prob", "message"),
    [
        (lambda z, t: z.sum(), r"returned shape \(\) with a gradient, expected.*\(2,\)"),
        (lambda z, t: z.detach().sum(1), r"returned shape \(2,\) without a gradient"),
    ],
)
def test_a_classifier_that_does_not_fit(log_prob: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        classifier(wrap(zero_net), log_prob, frame="ve")(latent(2, 3), 0.5)


# -- dynamic thresholding ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("percentile", [0.1, 0.5, 0.9, 0.995, 1.0])
@pytest.mark.parametrize("max_val", [0.25, 1.0, 2.0])
def test_thresholding_is_its_formula_per_sample(percentile: float, max_val: float) -> None:
    x0 = latent(3, 3, 7, 5) * torch.tensor([0.1, 1.0, 5.0], dtype=torch.float64).reshape(3, 1, 1, 1)
    got = threshold(x0, percentile, max_val)
    for sample, result in zip(x0, got, strict=True):
        s = max(float(sample.abs().flatten().quantile(percentile)), max_val)
        torch.testing.assert_close(result, sample.clamp(-s, s) * max_val / s, **EXACT)
    assert got.abs().max() <= max_val * (1 + 1e-12)


def test_thresholding_numbers() -> None:
    # arXiv 2205.11487's |D| <= max_val is kept; dpm-solver makes 0.75 out of the first 1.5 (algorithms.md, E10)
    x0 = torch.tensor([[1.5, -0.5], [4.0, -8.0]])
    assert threshold(x0, 1.0, 2.0).tolist() == [[1.5, -0.5], [1.0, -2.0]]
    # diffusers' default clips to -1..1 instead of scaling (E11)
    assert threshold(x0, 1.0, 1.0).tolist()[1] == [0.5, -1.0]
    assert threshold(torch.tensor([[3.0]]), 0.5).tolist() == [[1.0]]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_thresholding_in_half_precision(dtype: torch.dtype) -> None:
    x0 = (3 * latent(2, 3, 16, 16)).to(dtype)
    got = threshold(x0)
    assert got.dtype == dtype
    assert torch.equal(got, threshold(x0.float()).to(dtype))
    assert got.abs().max() <= 1


def test_thresholding_of_more_numbers_than_torch_quantile_takes() -> None:
    count = 17_000_000
    x0 = torch.linspace(-2.0, 2.0, count).reshape(1, count)
    assert float(threshold(x0, 0.995)[0, count * 3 // 4]) == pytest.approx(1 / 1.99, rel=1e-4)


def test_thresholding_in_wrap_acts_on_the_guided_denoised() -> None:
    cond, uncond = {"y": torch.tensor([2.0])}, {"y": torch.tensor([1.0])}
    x = latent(2, 3)
    for options, expected in [({}, 4.0), ({"thresholding": True}, 1.0)]:
        got = wrap(Recorder(), "x0", cond=cond, uncond=uncond, cond_scale=3.0, **options)(x, 0.5)
        torch.testing.assert_close(got, torch.full_like(x, expected), **EXACT)


def test_dynamic_thresholding_checks_its_settings() -> None:
    for percentile in (0.0, 99.5, math.nan):
        with pytest.raises(ValueError, match=r"percentile is .*expected a fraction"):
            dynamic_thresholding(wrap(zero_net), percentile)
    for max_val in (0.0, -1.0, math.inf):
        with pytest.raises(ValueError, match=r"max_val is .*positive"):
            dynamic_thresholding(wrap(zero_net), max_val=max_val)


# -- errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"predicts": "nois"}, "unknown prediction 'nois'; did you mean 'noise'"),
        (
            {"predicts": "flow", "frame": "ve"},
            "predicts='flow' does not fit.*'noise', 'x0', 'v', 'score'.*frame='flow'",
        ),
        ({"predicts": "noise", "frame": "flow"}, "predicts='noise' does not fit.*which can predict 'x0', 'flow'"),
        ({"predicts": "v", "frame": "flow"}, "predicts='v' does not fit.*'flow' is eps - x0"),
        ({"predicts": "v", "native": "ve"}, "predicts='v' does not fit a network with native='ve'"),
        ({"frame": "vee"}, "unknown frame 'vee'; did you mean 've'"),
        ({"native": "flw"}, "unknown native frame 'flw'; did you mean 'flow'"),
        ({"native": "flow"}, "native='flow' cannot be asked in frame 've'; use frame='flow'"),
        (
            {"predicts": "x0", "frame": "flow", "native": "vp"},
            "cannot be asked in frame 'flow'; use frame='ve' or 'vp'",
        ),
        ({"label": "continous"}, "unknown label 'continous'; did you mean 'continuous'"),
        ({"label": "rounded", "time": "edm"}, "needs a table of sigmas, but the time map is a continuous EDM"),
        ({"time": "scaled"}, "unknown time map 'scaled'; did you mean 'scaled_linear'"),
        ({"cond_scale": 7.5}, "cond_scale=7.5 without cond"),
        ({"cond": {"y": torch.ones(1)}, "cond_scale": 7.5}, "guidance scale 7.5 without uncond"),
        ({"uncond": {"y": torch.ones(1)}}, "uncond or cond_scale=1.0 without cond"),
    ],
)
def test_arguments_that_do_not_fit(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        wrap(zero_net, **options)


@pytest.mark.parametrize("shape", [(2,), (1,), (3, 1), (3, 1, 1)])
def test_sigma_of_the_wrong_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(
        ValueError, match=r"got sigma of shape .* for x of shape \(3, 4\), expected one level per sample"
    ):
        wrap(zero_net)(latent(3, 4), torch.ones(shape))


def test_networks_that_return_something_else() -> None:
    with pytest.raises(ValueError, match=r"returned shape \(1, 6, 4\), expected that of x, \(1, 3, 4\).*first half"):
        wrap(lambda z, t: torch.cat([z, z], 1))(latent(1, 3, 4), 0.5)
    with pytest.raises(ValueError, match=r"returned a tuple, expected a tensor.*\.sample"):
        wrap(lambda z, t: (z,))(latent(1, 3, 4), 0.5)
