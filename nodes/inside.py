"""Work inside the host's sampling: a generator that asks the model many times, as tuning and comparing do.

It runs in the place of a sampler function, once for all its batches. So the host loads the model and applies its LoRAs,
the conditions, the guidance and the mask as it does for a picture, and frees them again whatever happens.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor

from ..samplers.level import as_float32, snapped
from ..samplers.noise_range import NoiseRange
from ..samplers.run import Model
from ..samplers.samples import driven
from . import host_server
from .digests import digest, tensors_in
from .model_frame import frame_of, model_sampling_of
from .sampling import fixed

log = logging.getLogger("fewstep")

Result = TypeVar("Result")


class Progress(Protocol):
    """What such work says after each batch: evaluations so far, what they can become, and what it does."""

    @property
    def done(self) -> int: ...

    @property
    def most(self) -> int: ...


Work = Generator[Progress, None, Result]


def range_of(model: Any, end: str = "zero") -> NoiseRange:
    """The range of a MODEL of the host, in the float32 numbers that the host's own schedules have."""
    sampling = model.get_model_object("model_sampling")
    frame = frame_of(sampling)
    high, low = snapped(as_float32([float(sampling.sigma_max), float(sampling.sigma_min)]), frame)
    return NoiseRange(frame, high, low, end)


@dataclass(frozen=True)
class Asked:
    """What the work is given.

    model       model(x, sigma[B], **extra_args) -> denoised, for up to `batch` states
    noise       [S, ...] start states at the first level, on the model's device, as the host scales them
    batch       states in a model call: as many as the user's latent has
    extra_args  of the host's model
    """

    model: Model
    noise: Tensor
    batch: int
    extra_args: Mapping[str, Any]


@dataclass(frozen=True)
class Sampling:
    """What the host samples with: the inputs that every node of this kind has.

    latent  a LATENT; its size, its batch and its mask are those of the work
    """

    model: Any
    positive: Any
    negative: Any
    latent: dict[str, Any]
    cfg: float
    seed: int

    def samples(self) -> Tensor:
        """The latent, fitted to the model. ValueError for a pack of several."""
        found: Tensor = fixed(self.model, self.latent)
        if getattr(found, "is_nested", False):
            raise ValueError("latent_image: latents of picture and sound together cannot be used here")
        return found

    def key(self) -> str:
        """A digest of the tensors in the conditions and the mask."""
        return digest(tensors_in([self.positive, self.negative, self.latent.get("noise_mask")]))

    def rounded(self, samples: int, sets: int = 1) -> int:
        """The least number of samples, from `samples` on, of which each of so many equal sets is made of whole batches.

        Conditions and a mask may be of one picture each, so that a part of a batch would meet others than its own.
        """
        batch = len(self.samples())
        return samples if batch == 1 else -(-samples // (sets * batch)) * sets * batch

    def drive(self, where: NoiseRange, samples: int, work: Callable[[Asked], Work[Result]]) -> Result:
        """The result of `work`, done within the host's sampling from the top of a range to its end.

        Shows its progress, and stops where the host is interrupted. What `work` raises comes through.
        """
        import comfy.sample
        import comfy.samplers

        found: list[Result] = []

        def fn(
            model: Any, x: Tensor, sigmas: Tensor, extra_args: Any = None, callback: Any = None, disable: Any = None
        ) -> Tensor:
            full = sampler.max_denoise(model.inner_model, sigmas)
            noise = _scaled(model, _noise(latent, self.seed, samples), sigmas[0], full, x)
            asked = Asked(_whole(model, len(x)), noise, len(x), extra_args or {})
            found.append(driven(work(asked), _shown()))
            return x

        latent = self.samples()
        sampler = comfy.samplers.KSAMPLER(fn)
        comfy.sample.sample_custom(
            self.model,
            comfy.sample.prepare_noise(latent, self.seed, self.latent.get("batch_index")),
            self.cfg,
            sampler,
            torch.tensor([where.sigma_max, where.last], dtype=torch.float32),
            self.positive,
            self.negative,
            latent,
            noise_mask=self.latent.get("noise_mask"),
            disable_pbar=True,
            seed=self.seed,
        )
        return found[0]


def _noise(latent: Tensor, seed: int, count: int) -> Tensor:
    """The host's noise for so many pictures of this size."""
    import comfy.sample

    noise: Tensor = comfy.sample.prepare_noise(latent[:1].expand(count, *latent.shape[1:]), seed)
    return noise


def _scaled(model: Any, noise: Tensor, sigma: Tensor, full: bool, x: Tensor) -> Tensor:
    """The states that the host would begin with, batch by batch: its formula adds the latent of a batch."""
    scale = model_sampling_of(model).noise_scaling
    parts = [scale(sigma, part.to(x), model.latent_image, full) for part in torch.split(noise, len(x))]
    return torch.cat(parts).to(x)


def _whole(model: Any, batch: int) -> Model:
    """The model, asked with whole batches always: fewer states are repeated, and the answers to these left out.

    An interruption is raised before a call: a run of the work can be of hundreds.
    """
    import comfy.model_management
    import comfy.utils

    def asked(x: Tensor, sigma: Tensor, **extra: Any) -> Tensor:
        comfy.model_management.throw_exception_if_processing_interrupted()
        full, levels = (comfy.utils.repeat_to_batch_size(each, batch) for each in (x, sigma))
        answer: Tensor = model(full, levels, **extra)
        return answer[: len(x)]

    return asked


def _shown() -> Callable[[Progress], None]:
    """Takes what the work says, and moves the host's progress bar."""
    import comfy.utils

    bars: list[Any] = []  # the first turn knows the total

    def show(progress: Progress) -> None:
        bars[:] = bars or [comfy.utils.ProgressBar(progress.most)]
        bars[0].update_absolute(progress.done, progress.most)

    return show


def say(node: str | None, text: str) -> None:
    """Writes a text into the log, and on the node that works; only there where the host is no server, or an old one."""
    log.info("fewstep: %s", text)
    tell = getattr(host_server.running(), "send_progress_text", None)
    if tell is not None and node is not None:
        tell(text, str(node))


def seconds_of_a_call(asked: Asked, sigma: float) -> float:
    """How long the model takes for a batch; the first call, which may have to load something, is not counted."""
    x = asked.noise[: asked.batch]
    level = x.new_full((len(x),), sigma, dtype=torch.promote_types(x.dtype, torch.float32))
    began = 0.0
    for _ in range(2):
        began = time.perf_counter()
        with torch.no_grad():
            float(asked.model(x, level, **asked.extra_args).flatten()[0])  # a device answers later than it returns
    return time.perf_counter() - began

