"""What DPM-Solver++ claims of guidance (arXiv 2211.01095), measured again."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from .claim_errors import MIXTURES, NETWORK, OVER, Errors, network
from .claim_row import DPMPP, Measured, Row, less, ratio
from .guided import guided_errors

_GUIDANCE = (1.0, 4.0, 8.0)
_CALLS = (10, 20)
#: the levels of the official README's examples, and the ones that hosts offer first
_LEVELS = ("time_uniform", "karras")
_PAIRS = (("dpmpp_2m", "dpm_solver_2m"), ("dpmpp_3m", "dpm_solver_3m"), ("dpmpp_2s", "dpm_solver_2s"))
_PART = "abstract: high-order solvers at large guidance"


def strong_guidance(networks: bool) -> Iterator[Row]:
    """The data form against the noise form, and the noise form against DDIM."""
    for guidance in _GUIDANCE:
        places: dict[str, Errors] = {MIXTURES: partial(guided_errors, guidance)}
        if networks:
            places[NETWORK] = network(guidance).errors
        for where, error in places.items():
            data_noise, noise_ddim = Measured(), Measured()
            for levels in _LEVELS:
                for data, noise in _PAIRS:
                    for n in _CALLS:
                        found = [error(solver, levels, n) for solver in (data, noise, "ddim")]
                        data_noise.add(f"{data} on {levels}", n, ratio(found[0], found[1]), less(found[0], found[1]))
                        noise_ddim.add(f"{noise} on {levels}", n, ratio(found[1], found[2]), less(found[2], found[1]))
            yield data_noise.row(
                DPMPP, _PART if guidance > 1.0 else "to compare with: no guidance",
                f"DPM-Solver++ errs less than DPM-Solver at guidance {guidance:g} ({where})",
                f"error of the data form over that of the noise form of the same order; of {OVER[where]}",
            )  # fmt: skip
            if guidance > 1.0:
                yield noise_ddim.row(
                    DPMPP, _PART, f"DPM-Solver of higher order errs more than DDIM at guidance {guidance:g} ({where})",
                    f"error of the noise form over DDIM's; of {OVER[where]}",
                )  # fmt: skip
