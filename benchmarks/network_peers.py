"""auto beside what others offer, on the demo networks: the peers of `peers.py`, the samplers on the usual schedules.

    make bench-network_peers      or python -m fewstep.benchmarks.network_peers [--networks vp] [--guidance 1 4]

The same noise for all; the error of a picture is its RMS distance to the converged one. On the VP network that has two
ends, its last step by the solver or by the denoiser, as most peers make it: the nearer one counts. About 20 minutes on
one core.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from typing import Any

import fewstep
import torch

from ..demo.models import denoiser
from .peer import Ready, Tensor
from .peers import peers
from .quality import CONVERGED, GUIDANCE, Setting, drawn, solver_plan, teacher_plans
from .results import put

CALLS = (5, 8, 10, 20)
#: of the noise, and pictures of each
SEEDS, PICTURES = (201, 202, 203), 8
#: network -> the frame in which peers see it, and the schedules that are used most with such models
PLACES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "vp": ("ve", ("karras", "exponential", "beta", "sgm_uniform")),
    "flow": ("flow", ("sgm_uniform", "simple", "beta")),
}
#: [seeds]: median over the pictures
Errors = Tensor


class Place:
    """A network at a guidance, with its converged pictures."""

    def __init__(self, network: str, guidance: float) -> None:
        self.network, (self.seen_in, self.schedules) = network, PLACES[network]
        self._settings = [Setting(network, guidance, PICTURES, seed) for seed in SEEDS]
        self._noise = torch.cat([where.noise() for where in self._settings]).double()
        self._model = denoiser(network, [i % 10 for i in range(PICTURES)] * len(SEEDS), guidance)
        ends = [drawn(where, teacher_plans(network, CONVERGED)) for where in self._settings]
        self._ends = [torch.cat([of_seed[last] for of_seed in ends]) for last in ends[0]]
        self._first = fewstep.schedule("sgm_uniform", 2, frame=network)[0]

    def auto(self, n: int) -> tuple[Errors, str]:
        """Its errors, and what it takes."""
        plan, last = solver_plan(self._settings[0], "auto", n)
        start = (plan.levels[0].sigma * self._noise).float()
        return self._errors(fewstep.run(plan, self._model, start)), f"{plan.solver} last={last}"

    def theirs(self, ready: Ready, n: int) -> Errors:
        """Whatever the peer raises, and ValueError where it goes elsewhere or asks too often."""
        if ready.first < 0.99 * self._first or ready.last != 0.0:
            raise ValueError(f"goes from sigma {ready.first:g} to {ready.last:g}, not from {self._first:g} to 0")
        frame = fewstep.frame(self.network)

        def model(x: Tensor, sigma: float) -> Tensor:
            alpha = frame.level(sigma).alpha if self.seen_in == "ve" else 1.0  # x0 + sigma n is x/alpha
            return self._model((alpha * x).float(), torch.full((len(x),), sigma)).double()

        return self._errors(ready.within(n, model, ready.first * self._noise))

    def _errors(self, pictures: Tensor) -> Errors:
        apart = torch.stack([(pictures - end).double().square().mean((1, 2, 3)).sqrt() for end in self._ends])
        out = apart.min(0).values.view(len(SEEDS), PICTURES).median(1).values
        if not bool(out.isfinite().all()):
            raise FloatingPointError("ends in NaN or inf")
        return out

    def peers(self, n: int) -> Iterator[dict[str, Any]]:
        """A row for each solver of others on the levels that suit it best; failed ones with their reason."""
        best: dict[tuple[str, str], tuple[Errors, str]] = {}
        failed: dict[tuple[str, str], str] = {}
        for peer in peers(self.seen_in, 0):
            key = (peer.library, peer.solver)
            if peer.library != "diffusers" and peer.levels not in self.schedules:
                continue
            try:
                errors = self.theirs(peer.make(n), n)
            except Exception as error:  # a peer may raise anything
                failed.setdefault(key, f"{type(error).__name__}: {error}"[:200])
                continue
            if key not in best or errors.log().mean() < best[key][0].log().mean():
                best[key] = errors, peer.levels
        for (library, solver), (errors, levels) in best.items():
            yield {"library": library, "solver": solver, "levels": levels, "errors": errors.tolist()}
        for (library, solver), reason in failed.items():
            if (library, solver) not in best:
                yield {"library": library, "solver": solver, "failed": reason}


def measured(network: str, guidance: float) -> Iterator[dict[str, Any]]:
    """For each number of calls a row for auto, then the peers'; errors are medians of each seed."""
    with torch.inference_mode():
        place = Place(network, guidance)
        for n in CALLS:
            errors, solver = place.auto(n)
            yield {"calls": n, "library": "fewstep", "solver": "auto", "levels": solver, "errors": errors.tolist()}
            yield from ({"calls": n, **row} for row in place.peers(n))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--networks", nargs="*", choices=PLACES, default=list(PLACES))
    parser.add_argument("--guidance", nargs="*", type=float, default=GUIDANCE)
    given = parser.parse_args()
    torch.set_num_threads(1)
    for network in given.networks:
        for guidance in given.guidance:
            rows = list(measured(network, guidance))
            put("network_peers", f"{network}, guidance {guidance:g}", rows)
            print(f"{network}, guidance {guidance:g}: {len(rows)} rows", flush=True)


if __name__ == "__main__":
    main()
