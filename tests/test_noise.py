"""The contract of noise: a function of the seed, the sample and the pair of levels, and of nothing else."""

from __future__ import annotations

import itertools
import math

import fewstep
import pytest
import torch
from fewstep.samplers.level import frame
from fewstep.samplers.noise import SOURCES, noise_source
from fewstep.samplers.run import Memory, run
from harness import make_plan, offered

FRAME = frame("ve")
SIGMAS = fewstep.schedule("karras", 9)
STOCHASTIC = [id for id, row in fewstep.solvers().items() if row.stochastic]
TYPES = [torch.float64, torch.float32, torch.bfloat16, torch.float16]


def model(x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """Elementwise and so batch-invariant."""
    s = sigma.view(-1, *[1] * (x.ndim - 1))
    return torch.tanh(x.double() / (1 + s.double() ** 2).sqrt()).to(x.dtype)


def start(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return (torch.randn(shape, generator=torch.Generator().manual_seed(1)) * SIGMAS[0]).to(dtype)


def test_every_part_of_the_key_matters() -> None:
    a, b, c = (FRAME.level(sigma) for sigma in (3.0, 2.0, math.nextafter(2.0, 3.0)))
    like = torch.zeros(2, 4, 8, 8)
    for name in SOURCES:
        drawn = [noise_source(name, seed)(s, t, like) for seed, s, t in ((1, a, b), (2, a, b), (1, c, b), (1, a, c))]
        again = noise_source(name, 1)(a, b, like)
        assert torch.equal(again, drawn[0])
        assert again.dtype == like.dtype
        assert not torch.equal(drawn[0][0], drawn[0][1]), "the samples of a batch have the same noise"
        if name != "brownian":  # its increments over nearly the same interval are nearly the same
            assert all(not torch.allclose(x, y) for x, y in itertools.combinations(drawn, 2))
    large = noise_source("cpu", 2**63 + 1)(a, b, like)
    assert not torch.equal(large, noise_source("cpu", 2**63)(a, b, like))


@pytest.mark.parametrize("name", SOURCES)
def test_the_law_and_what_is_independent(name: str) -> None:
    """Mean, variance and correlations of N = 160,000 numbers, to 4/sqrt(N) (sqrt(2) of it for the variance)."""
    like = torch.zeros(1, 16, 100, 100)
    levels = [FRAME.level(sigma) for sigma in (9.0, 6.0, 2.5, 2.0, 0.3)]
    drawn = {
        (seed, i): noise_source(name, seed)(levels[i], levels[i + 1], like).flatten()
        for seed in (7, 8)
        for i in range(4)
    }
    pair = noise_source(name, 7)(levels[0], levels[1], torch.zeros(2, 16, 100, 100))
    drawn[7, -1] = pair[1].flatten()
    bound = 4.0 / math.sqrt(like.numel())
    for z in drawn.values():
        assert abs(float(z.mean())) < bound
        assert abs(float(z.var()) - 1.0) < math.sqrt(2.0) * bound
    for a, b in itertools.combinations(drawn, 2):
        correlation = float((drawn[a] * drawn[b]).mean())
        assert abs(correlation) < bound, (a, b, correlation)


@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize("shape", [(4, 8, 8), (3, 7, 5), (1, 1, 1), (4, 3, 9, 7)], ids=str)
def test_a_sample_is_the_same_in_a_batch_and_alone(dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    x = start(3, *shape, dtype=dtype)
    for id in ("dpmpp_2m_sde", "dpmpp_2s_sde", "deis_tab_sde", "dpm_solver_2m_sde"):
        together = fewstep.sample(model, x, SIGMAS, id, seed=[11, 12, 13])
        for i in range(3):
            alone = fewstep.sample(model, x[i : i + 1], SIGMAS, id, seed=[11 + i])
            assert torch.equal(together[i : i + 1], alone), (id, i)


def test_one_seed_numbers_the_samples() -> None:
    x = start(3, 4, 8, 8)
    whole = fewstep.sample(model, x, SIGMAS, "dpmpp_2m_sde", seed=5)
    assert torch.equal(fewstep.sample(model, x[:2], SIGMAS, "dpmpp_2m_sde", seed=5), whole[:2])
    assert not torch.equal(fewstep.sample(model, x, SIGMAS, "dpmpp_2m_sde", seed=6), whole)


def test_seeds_that_do_not_fit_the_batch() -> None:
    with pytest.raises(ValueError, match="got 2 seeds for a batch of 3"):
        fewstep.sample(model, start(3, 4), SIGMAS, "dpmpp_2m_sde", seed=[1, 2])


def test_unknown_source() -> None:
    with pytest.raises(ValueError, match="unknown noise 'brown'; did you mean 'brownian'"):
        fewstep.sample(model, start(1, 4), SIGMAS, "dpmpp_2m_sde", noise="brown")


@pytest.mark.parametrize("id", STOCHASTIC)
@pytest.mark.parametrize("source", SOURCES)
def test_a_run_in_two_pieces_is_the_whole(id: str, source: str) -> None:
    x, plan = start(2, 4, 5, 3), make_plan(id, SIGMAS, **offered(id, eta=0.8))
    whole = run(plan, model, x, seed=3, noise=source)
    cut = 4
    memory = Memory()
    half = run(plan, model, x, seed=3, noise=source, end=cut, history=memory)
    rest = run(plan, model, half, seed=3, noise=source, begin=cut, history=memory)
    assert torch.equal(rest, whole)


def test_two_runs_without_history_are_the_whole_for_history_free_solvers() -> None:
    """dpm_solver_1_sde and blocks of dpmpp_2s_sde remember nothing: two plans on the two halves are one run."""
    x = start(2, 4, 8, 8)
    for id, cut in (("dpm_solver_1_sde", 4), ("dpmpp_2s_sde", 4)):
        whole = fewstep.sample(model, x, SIGMAS[:-1], id, seed=3)
        half = fewstep.sample(model, x, SIGMAS[: cut + 1], id, seed=3)
        assert torch.equal(fewstep.sample(model, half, SIGMAS[cut:-1], id, seed=3), whole), id


def test_a_brownian_path_does_not_depend_on_the_number_of_steps() -> None:
    x = start(1, 4, 32, 32).double()
    coarse, fine = (fewstep.schedule("exponential", n, end="sigma_min") for n in (20, 40))

    def sample(sigmas: list[float], seed: int) -> torch.Tensor:
        return fewstep.sample(model, x, sigmas, "dpmpp_2m_sde", seed=seed, noise="brownian")

    a, b, other = sample(coarse, 1), sample(fine, 1), sample(coarse, 2)
    distance = float((a - b).norm() / (a - other).norm())
    correlation = float(torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1])
    print(f"20 and 40 steps: {distance:.3f} of the distance of two seeds, correlation {correlation:.4f}")
    assert distance <= 0.1
    assert correlation >= 0.9


def test_increments_of_a_path_add_up() -> None:
    levels = [FRAME.level(sigma) for sigma in (9.0, 2.0, 0.3)]
    source, like = noise_source("brownian", 4), torch.zeros(2, 4, 8, 8)
    u = [level.rho**-2 for level in levels]
    parts = sum(
        source(a, b, like) * math.sqrt(v - w) for (a, w), (b, v) in itertools.pairwise(zip(levels, u, strict=True))
    )
    assert torch.allclose(source(levels[0], levels[2], like) * math.sqrt(u[2] - u[0]), parts, atol=1e-4)


def test_a_hosts_noise_sampler_takes_the_place_of_ours() -> None:
    x, asked = start(2, 4), []

    def noise_sampler(sigma: torch.Tensor, sigma_next: torch.Tensor) -> torch.Tensor:
        asked.append((float(sigma), float(sigma_next)))
        return torch.zeros(2, 4)

    fewstep.k_sampler("dpmpp_2m_sde")(model, x, torch.tensor(SIGMAS), disable=True, noise_sampler=noise_sampler)
    expected = [pytest.approx(pair, rel=1e-6) for pair in itertools.pairwise(SIGMAS[:-1])]
    assert asked == expected
