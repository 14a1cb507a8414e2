"""What the papers claim, measured again: on exact mixtures, and on the VP demo network where that is cheap.

    make bench-claims        or python -m fewstep.benchmarks.claims [--only pndm forms] [--no-network]

Each claim is a row: what is claimed and where, what was measured, and whether that shows it: yes where it holds in
every case that was measured, no where it holds in none, partly in between. A case is decided by geometric means over
eight mixtures, or over three noise seeds of the network; the least and the largest are kept beside them.

The claims of each paper are in `claims_dpm_solver.py`, `claims_dpmpp.py` and `claims_deis.py`; what they are measured
by in `claim_errors.py`, `claim_distributions.py`, `first_order.py` and `guided.py`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping

import torch

from . import claims_deis, claims_dpm_solver, claims_dpmpp
from .claim_row import Row
from .results import put

#: group of results -> its rows, with the network or without
CLAIMS: Mapping[str, Callable[[bool], Iterator[Row]]] = {
    "pndm": claims_dpm_solver.fewer_than_pndm,
    "ddim": claims_dpm_solver.ddim_is_first,
    "convergence": claims_dpm_solver.near_convergence,
    "guidance": claims_dpmpp.strong_guidance,
    "forms": claims_deis.noise_or_score,
    "orders": claims_deis.extrapolation,
    "deis": claims_deis.deis_and_others,
    "ddpm": claims_deis.deis_and_noise,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", nargs="*", choices=CLAIMS, default=list(CLAIMS))
    parser.add_argument("--no-network", action="store_true", help="mixtures alone: minutes")
    given = parser.parse_args()
    torch.set_num_threads(1)
    for name in given.only:
        rows = []
        for row in CLAIMS[name](not given.no_network):
            rows.append(row)
            print(f"[{row['shown']}] {row['claim']}: {row['conclusion']} {row['numbers']}", flush=True)
            put("claims", name, rows)  # after each, so that a run that is stopped leaves what it has


if __name__ == "__main__":
    main()
