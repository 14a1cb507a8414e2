"""The problem set of all tests and benchmarks: Gaussian mixtures with an exact denoiser and exact solutions."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from scipy.integrate import solve_ivp

from ..samplers.level import Frame
from ..samplers.level import frame as make_frame

Tensor = torch.Tensor


@dataclass(frozen=True)
class Mixture:
    """A mixture of isotropic Gaussians in `dim` dimensions, drawn from `seed`: means N(0, 1), widths in a range."""

    seed: int
    dim: int
    modes: int
    widths: tuple[float, float] = (0.1, 0.5)

    @cached_property
    def parts(self) -> tuple[Tensor, Tensor, Tensor]:
        generator = torch.Generator().manual_seed(self.seed)
        means = torch.randn(self.modes, self.dim, generator=generator, dtype=torch.float64)
        narrow, wide = self.widths
        widths = narrow + (wide - narrow) * torch.rand(self.modes, generator=generator, dtype=torch.float64)
        weights = 0.5 + torch.rand(self.modes, generator=generator, dtype=torch.float64)
        return means, widths, weights / weights.sum()

    def denoise(self, x: Tensor, alpha: Tensor | float, sigma: Tensor | float) -> Tensor:
        """E[x0 | x] for x = alpha x0 + sigma n; x [B, dim], regular at alpha 0 and at sigma 0."""
        means, widths, weights = self.parts
        alpha, sigma = torch.as_tensor(alpha, dtype=x.dtype), torch.as_tensor(sigma, dtype=x.dtype)
        if alpha.ndim:
            alpha, sigma = alpha[:, None], sigma[:, None]
        variance = (alpha * widths) ** 2 + sigma**2  # [modes] or [B, modes]
        distance = x[:, None, :] - alpha[..., None] * means  # [B, modes, dim]
        log = torch.log(weights) - 0.5 * self.dim * torch.log(variance) - 0.5 * (distance**2).sum(-1) / variance
        posterior = torch.softmax(log, dim=-1)  # [B, modes]
        gain = alpha * widths**2 / variance
        return torch.einsum("bm,bmd->bd", posterior, means + gain[..., None] * distance)

    def model(self, where: str | Frame) -> Callable[..., Tensor]:
        """model(x, sigma[B]) -> denoised in a frame, the convention that solvers call."""
        frame = make_frame(where)

        def denoiser(x: Tensor, sigma: Tensor, **_: object) -> Tensor:
            level = frame.level(float(sigma[0]))
            return self.denoise(x, level.alpha, level.sigma)

        return denoiser

    def noise(self, batch: int, seed: int = 0) -> Tensor:
        generator = torch.Generator().manual_seed(1000 * self.seed + seed)
        return torch.randn(batch, self.dim, generator=generator, dtype=torch.float64)

    def start(self, where: str | Frame, host: float, batch: int, seed: int = 0) -> Tensor:
        """A state at the highest level: alpha * (a draw from the data) + sigma * noise, so that it is typical of it."""
        level, generator = make_frame(where).level(host), torch.Generator().manual_seed(5000 + 1000 * self.seed + seed)
        means, widths, weights = self.parts
        mode = torch.multinomial(weights, batch, replacement=True, generator=generator)
        data = means[mode] + widths[mode, None] * torch.randn(batch, self.dim, generator=generator, dtype=torch.float64)
        return level.alpha * data + level.sigma * self.noise(batch, seed)

    def exact(self, x: Tensor, where: str | Frame, hosts: Sequence[float]) -> list[Tensor]:
        """States of the ODE at each of the decreasing levels `hosts`; x is the state at hosts[0].

        DOP853 in the flow frame, whose velocity is regular from sigma 1 to 0; x/(alpha + sigma) is the state there.
        """
        frame = make_frame(where)
        levels = [frame.level(host) for host in hosts]
        times = [level.sigma / (level.alpha + level.sigma) for level in levels]
        state = (x / (levels[0].alpha + levels[0].sigma)).numpy().ravel()

        def velocity(t: float, flat: np.ndarray) -> np.ndarray:
            z = torch.from_numpy(flat).view_as(x)
            # v = (z - D)/t for t > 0; at t = 0 the limit is E[n] - x0 = -D there, since E[n | x0] = 0
            if t < 1e-12:
                return (-self.denoise(z, 1.0, 0.0)).numpy().ravel()
            return ((z - self.denoise(z, 1.0 - t, t)) / t).numpy().ravel()

        out = [x]
        for a, b, level in zip(times, times[1:], levels[1:], strict=False):
            solution = solve_ivp(velocity, (a, b), state, method="DOP853", rtol=1e-12, atol=1e-13)
            assert solution.success, solution.message
            state = solution.y[:, -1]
            out.append(torch.from_numpy(state).view_as(x) * (level.alpha + level.sigma))
        return out


#: Digits 0 to 9 on five by seven dots, row by row.
_GLYPHS = (
    "01110 10001 10011 10101 11001 10001 01110", "00100 01100 00100 00100 00100 00100 01110",
    "01110 10001 00001 00010 00100 01000 11111", "11111 00010 00100 00010 00001 10001 01110",
    "00010 00110 01010 10010 11111 00010 00010", "11111 10000 11110 00001 00001 10001 01110",
    "00110 01000 10000 11110 10001 10001 01110", "11111 00001 00010 00100 01000 01000 01000",
    "01110 10001 10001 01110 10001 10001 01110", "01110 10001 10001 01111 00001 00010 01100",
)  # fmt: skip


@dataclass(frozen=True)
class Digits(Mixture):
    """Smoothed digits: a kernel density of drawn ones, 8x8 pixels in -1..1, each turned, slanted, scaled and moved."""

    seed: int = 77
    dim: int = 64
    modes: int = 120
    widths: tuple[float, float] = (0.15, 0.15)

    @cached_property
    def parts(self) -> tuple[Tensor, Tensor, Tensor]:
        generator = torch.Generator().manual_seed(self.seed)
        means = []
        for glyph in _GLYPHS:
            page = torch.zeros(1, 1, 12, 12, dtype=torch.float64)
            page[0, 0, 2:9, 3:8] = torch.tensor([[float(dot) for dot in row] for row in glyph.split()])
            for _ in range(self.modes // len(_GLYPHS)):
                drawn = torch.rand(5, generator=generator, dtype=torch.float64) - 0.5
                turn, size, slant, right, down = drawn.tolist()
                c, s = (1.0 + 0.3 * size) * math.cos(0.5 * turn), (1.0 + 0.3 * size) * math.sin(0.5 * turn)
                affine = torch.tensor([[[c, 0.6 * slant - s, 0.25 * right], [s, c, 0.25 * down]]], dtype=torch.float64)
                grid = torch.nn.functional.affine_grid(affine, [1, 1, 8, 8], align_corners=False)
                means.append(torch.nn.functional.grid_sample(page, grid, align_corners=False).flatten())
        count = len(means)
        widths = torch.full((count,), self.widths[0], dtype=torch.float64)
        return 2.0 * torch.stack(means) - 1.0, widths, torch.full((count,), 1.0 / count, dtype=torch.float64)


#: The fixed set: dimensions 8 to 32, 3 to 12 modes, seeds written here.
PROBLEMS = tuple(
    Mixture(seed, dim, modes)
    for seed, dim, modes in (
        (11, 8, 3), (12, 8, 8), (13, 12, 5), (14, 16, 4), (15, 16, 12),
        (16, 20, 6), (17, 24, 8), (18, 24, 3), (19, 32, 5), (20, 32, 10),
    )
)  # fmt: skip
#: A smooth problem for slopes: wide modes, so that 192 steps are well inside the asymptotic range.
SMOOTH = Mixture(3, 2, 3, (0.3, 0.6))


def median_error(x: Tensor, exact: Tensor) -> float:
    """Median over the batch of the distance per coordinate."""
    return float(((x - exact) ** 2).mean(dim=tuple(range(1, x.ndim))).sqrt().median())
