"""Stand-ins for what these hosts call `model_wrap` (a denoiser) and for the guided model around it."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import fewstep
import torch
from fewstep.a1111.levels import levels_function
from fewstep.samplers.level import Frame, as_float32
from fewstep.samplers.schedules import schedule_row
from fewstep.samplers.times import CosineVP, FlowShift, LogSigma

Tensor = torch.Tensor


def _sigmas(alphas: Tensor) -> Tensor:
    """In the type of the alphas, as k-diffusion's DiscreteEpsDDPMDenoiser computes them."""
    return ((1 - alphas) / alphas) ** 0.5


def _zero_snr(alphas: Tensor) -> Tensor:
    """Zero terminal SNR (arXiv 2305.08891, algorithm 1) with these hosts' last value."""
    roots = alphas.sqrt()
    moved = ((roots - roots[-1]) * (roots[0] / (roots[0] - roots[-1]))) ** 2
    return torch.cat([moved[:-1], moved.new_tensor([4.8973451890853435e-08])])


_ALPHAS = torch.cumprod(1 - torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2, 0).float()
#: Stable Diffusion's table of sigmas
SD = _sigmas(_ALPHAS)
#: the same in half precision: A1111's setting use_downcasted_alpha_bar
SD_HALF = _sigmas(_ALPHAS.half())
ZERO_SNR = _sigmas(_zero_snr(_ALPHAS))
#: both settings at once: two runs of equal values, and eight infinite ones at the end
ZERO_SNR_HALF = _sigmas(_zero_snr(_ALPHAS.half()))


def flow_table(shift: float, n: int) -> Tensor:
    u = torch.arange(1, n + 1, dtype=torch.float64) / n
    return (shift * u / (1 + (shift - 1) * u)).float()


def compvis(table: Tensor = SD, **facts: Any) -> Any:
    """A1111's and reForge's wrapper of an epsilon or v model."""
    return SimpleNamespace(sigmas=table, inner_model=SimpleNamespace(**facts))


class SD3Inferencer:
    """A1111's SD3, under its class name."""

    shift = 3.0

    def add_noise_to_latent(self, x: Tensor, noise: Tensor, amount: float) -> Tensor:
        return x * (1 - amount) + noise * amount


class Linker:
    """Forge's ForgeScheduleLinker (k_diffusion/external.py, dfdcbab6): its ends cannot be asked for."""

    def __init__(self, predictor: Any, **facts: Any) -> None:
        self.predictor, self.inner_model = predictor, SimpleNamespace(**facts)

    @property
    def sigmas(self) -> Tensor:
        return self.predictor.sigmas

    @property
    def sigma_min(self) -> Tensor:
        raise TypeError("'Tensor' object is not callable")

    sigma_max = sigma_min


def forge(kind: str, prediction_type: str, table: Tensor, **facts: Any) -> Linker:
    """Forge's linker around a predictor of the class `kind` (backend/modules/k_prediction.py)."""
    predictor = type(kind, (), {})()
    vars(predictor).update(prediction_type=prediction_type, sigmas=table, **facts)
    return Linker(predictor)


EDM = torch.linspace(math.log(0.002), math.log(120.0), 1000).exp()
FLUX_MU = 1.15
DENOISERS: dict[str, Any] = {
    "sd1": compvis(),
    "sdxl": compvis(is_sdxl=True),
    "sd1, half precision": compvis(SD_HALF),
    "sd1, zero SNR": compvis(ZERO_SNR),
    "forge sd1": forge("Prediction", "epsilon", SD),
    "forge v": forge("Prediction", "v_prediction", SD),
    "forge edm": forge("PredictionContinuousEDM", "edm", EDM),
    "forge continuous v": forge("PredictionContinuousV", "v_prediction", EDM),
    "forge flux": forge("PredictionFlux", "const", flow_table(math.exp(FLUX_MU), 10000), mu=FLUX_MU),
    "forge sd3": forge("PredictionDiscreteFlow", "const", flow_table(3.0, 1000), shift=3.0),
    "a1111 sd3": SimpleNamespace(sigmas=flow_table(3.0, 1000), inner_model=SD3Inferencer()),
}


class Guided:
    """The host's CFGDenoiser around a denoiser: model(x, sigma[B], **extra_args) -> x0, for data N(0, 1/4).

    `asked` holds (sigma, extra arguments) of each call; `p` is the host's processing object, absent before it is set.
    """

    def __init__(self, denoiser: Any = DENOISERS["sd1"], flow: bool = False) -> None:
        self.inner_model = self.denoiser = denoiser
        self.flow = flow
        self.asked: list[tuple[float, dict[str, Any]]] = []

    def __call__(self, x: Tensor, sigma: Tensor, **extra_args: Any) -> Tensor:
        assert sigma.shape == x.shape[:1]
        self.asked.append((float(sigma[0]), extra_args))
        s = sigma.view(-1, *[1] * (x.ndim - 1))
        alpha = 1 - s if self.flow else torch.ones_like(s)
        return (x * (alpha * 0.25 / (alpha**2 * 0.25 + s**2))).to(x.dtype)


#: what the frame of some of them is, put together by hand
FRAMES: dict[str, Frame] = {
    "sd1": fewstep.frame("ve", SD.tolist()),
    "sdxl": fewstep.frame("ve", SD.tolist()),
    "sd1, half precision": fewstep.frame("ve", SD_HALF.tolist()),
    "sd1, zero SNR": fewstep.frame("ve", ZERO_SNR.tolist()),
    "forge edm": fewstep.frame("ve", LogSigma(math.log(EDM[0]), math.log(EDM[-1]))),
    "forge continuous v": fewstep.frame("ve", CosineVP(0.0, *(2 / math.pi * math.atan(EDM[i]) for i in (0, -1)))),
    "forge flux": fewstep.frame("flow", FlowShift(math.exp(FLUX_MU), 1e-4)),
    "forge sd3": fewstep.frame("flow", FlowShift(3.0, 1e-3)),
}


def host_levels(id: str, name: str, n: Any, device: Any = "cpu", **others: Any) -> Tensor:
    """What the host gets for a schedule on a model: it gives the ends of the model's table as numbers."""
    denoiser = DENOISERS[name]
    ends = {"sigma_min": denoiser.sigmas[0].item(), "sigma_max": denoiser.sigmas[-1].item()}
    return levels_function(schedule_row(id))(n=n, inner_model=denoiser, device=device, **{**ends, **others})


def core_levels(id: str, name: str, n: int, **options: Any) -> Tensor:
    """The same by `fewstep.schedule`, in float32."""
    if id == "ays":
        options["table"] = "sdxl" if name == "sdxl" else "sd1"
    return torch.tensor(as_float32(fewstep.schedule(id, n, frame=FRAMES[name], **options)), dtype=torch.float32)
