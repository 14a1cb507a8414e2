"""Networks as denoisers: whatever a network predicts, the sampler sees D(x, sigma), the expected x0.

D is formed straight from the prediction: the detour over another one (x0 to noise and back) cancels at small alpha.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from .guidance import Condition, Denoiser, classifier_free, dynamic_thresholding
from .inputs import LabelFunction, network_inputs, per_sample, spread, stretch
from .level import Frame
from .names import nearest
from .times import TimeMap

Weights = Callable[[Tensor], tuple[Tensor, Tensor]]


def _noise(rho: Tensor) -> tuple[Tensor, Tensor]:
    return torch.ones_like(rho), -rho


def _v(rho: Tensor) -> tuple[Tensor, Tensor]:
    alpha = 1.0 / stretch(rho)
    return alpha * alpha, -rho * alpha


def _vp_score(rho: Tensor) -> tuple[Tensor, Tensor]:
    return torch.ones_like(rho), rho * rho / stretch(rho)


def _ve_score(rho: Tensor) -> tuple[Tensor, Tensor]:
    return torch.ones_like(rho), rho * rho


#: (frame of the network's training, what it predicts) -> (a, b) of D = a y + b prediction; None where that is D.
#: y is x/alpha for VP and VE and x itself for flow: D is formed without the rounded input of the network.
_WEIGHTS: dict[tuple[str, str], Weights | None] = {
    ("vp", "noise"): _noise,  # D = y - rho eps
    ("vp", "x0"): None,
    ("vp", "v"): _v,  # v = alpha eps - sigma D, so D = alpha^2 y - sigma v
    ("vp", "score"): _vp_score,  # s = -eps/sigma, so D = y + rho sigma s
    ("ve", "noise"): _noise,
    ("ve", "x0"): None,
    ("ve", "score"): _ve_score,  # s = -eps/rho
    ("flow", "x0"): None,
    ("flow", "flow"): _noise,  # u = eps - D, so D = x - t u, regular at t = 1
}

#: frame of the state -> factor from x to y
_STATES: dict[str, Callable[[Tensor], Tensor] | None] = {"ve": None, "vp": stretch, "flow": None}

#: what other libraries call them (diffusers, k-diffusion)
_ALIASES = {"epsilon": "noise", "eps": "noise", "sample": "x0", "v_prediction": "v", "flow_prediction": "flow"}
PREDICTIONS = tuple(dict.fromkeys(predicts for _, predicts in _WEIGHTS))


def _weights(predicts: str, native: str) -> Weights | None:
    if (native, predicts) not in _WEIGHTS:
        fitting = ", ".join(repr(name) for trained, name in _WEIGHTS if trained == native)
        raise ValueError(
            f"predicts={predicts!r} does not fit a network with native={native!r}, which can predict {fitting}; "
            "'v' is alpha eps - sigma x0 of VP networks, 'flow' is eps - x0 (use frame='flow'), and at flow sigma 1 "
            "noise and score say nothing about x0 (use frame='ve' or 'vp')"
        )
    return _WEIGHTS[native, predicts]


def _prediction(net: Callable[..., Tensor], x: Tensor, given: tuple[Tensor, Tensor], kwargs: dict[str, Any]) -> Tensor:
    out = net(*given, **kwargs)
    if not isinstance(out, Tensor):
        raise ValueError(
            f"the network returned a {type(out).__name__}, expected a tensor; wrap a function that takes it out, "
            "such as lambda x, t, **kw: net(x, t, **kw).sample"
        )
    if out.shape != x.shape:
        raise ValueError(
            f"the network returned shape {tuple(out.shape)}, expected that of x, {tuple(x.shape)}; a network that also "
            "learns a variance returns twice the channels: wrap a function that keeps the first half"
        )
    return out


def wrap(
    net: Callable[..., Tensor],
    predicts: str = "noise",
    *,
    frame: str | Frame | None = None,
    time: str | TimeMap | Sequence[float] | None = None,
    native: str | None = None,
    label: str | LabelFunction | None = None,
    label_scale: float | None = None,
    cond: Condition | None = None,
    uncond: Condition | None = None,
    cond_scale: float = 1.0,
    thresholding: bool = False,
) -> Denoiser:
    """A network net(input, label[B], **kwargs) as a denoiser(x, sigma[B], **kwargs) -> x0 of x's shape and type.

    The state x [B, ...] has any number of dimensions; sigma is the host's (`level.py`): rho for ve and vp, t for flow.

        noise   D = (x - sigma eps)/alpha       v = alpha eps - sigma x0:   D = alpha x - sigma v     (arXiv 2202.00512)
        score   D = (x + sigma^2 s)/alpha       flow: u = eps - x0:         D = x - sigma u           (arXiv 2209.03003)

    net           takes the input on its own scale, a label per sample, and the denoiser's keyword arguments
    predicts      noise, x0, v, score or flow (epsilon, sample, v_prediction and flow_prediction are understood)
    frame         of the state x: ve (default), vp, or flow (default for flow predictions); a name or a Frame
    time          the network's time map: a name, a list of sigmas or a TimeMap; by default the frame's
    native        frame that the network was trained in: vp (default; in frame ve its input is x/sqrt(1 + sigma^2)),
                  ve (its input is x/alpha: EDM's denoisers, scores of VE), or flow (default in frame flow)
    label         continuous: t(sigma) of the time map (default for native vp); rounded: nearest index of its table,
                  int64; sigma (default for ve and flow); log_sigma; or a function of sigma[B] (float32 or float64)
    label_scale   factor on the label, by default 1; 1000 for the named labels of flow networks
    cond, uncond, cond_scale   classifier-free guidance, see `guidance.classifier_free`
    thresholding  dynamic thresholding of D, for pixels in -1..1, see `guidance.dynamic_thresholding`

    Labels are float32, or float64 for float64 x. Other guidance is put around the result: `guidance.classifier`, or
    the same functions with other settings. Raises ValueError for unknown names, for combinations without a finite D,
    and in a call for shapes that do not fit.
    """
    predicts = _ALIASES.get(predicts, predicts)
    if predicts not in PREDICTIONS:
        raise ValueError(nearest("prediction", predicts, PREDICTIONS))
    if cond is None and (uncond is not None or cond_scale != 1.0):
        raise ValueError(f"got uncond or cond_scale={cond_scale!r} without cond; give cond= the network's condition")
    inputs = network_inputs(frame or ("flow" if predicts == "flow" else "ve"), time, native, label, label_scale)
    weights = _weights(predicts, inputs.native)
    widen = _STATES[inputs.frame.name]

    def denoiser(x: Tensor, sigma: Tensor | float, **kwargs: Any) -> Tensor:
        level = per_sample(sigma, x)
        out = _prediction(net, x, inputs(x, level), kwargs)
        if weights is None:
            return out.to(x.dtype)
        a, b = weights(level)
        if widen is not None:
            a = a * widen(level)
        return (spread(a, x) * x + spread(b, x) * out).to(x.dtype)

    guided: Denoiser = denoiser
    if cond is not None:
        guided = classifier_free(guided, cond, uncond, cond_scale)
    if thresholding:
        guided = dynamic_thresholding(guided)
    guided.fewstep_frame = inputs.frame.name  # type: ignore[attr-defined]  # a run refuses levels of another frame
    return guided
