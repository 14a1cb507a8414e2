"""auto beside published settings on the demo networks, by guidance: what a trained network changes.

    make bench-networks      or python -m fewstep.benchmarks.networks [--networks vp] [--guidance 1 4]

`fewstep.compare` on pictures that no rule was made with, against 120 calls of the same network: about 15 minutes on one
core.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from typing import Any

import torch

from ..demo.models import compared
from .results import get, put

CALLS = (5, 6, 8, 10, 12, 15, 20)
#: network -> settings beside auto; {calls} are those of a row
SETTINGS = {
    "vp": (
        "dpm_solver_2m,dpmpp_2m,unipc_2 karras,beta {calls} last=regular",
        "dpm_solver_2m,dpmpp_2m karras,beta {calls} last=denoise",
        "dpm_solver_3m karras,beta {calls} variant=official start=2s last=regular",
        "dpm_solver_3m karras,beta {calls} variant=official start=euler last=regular",
        "dpm_solver_3m karras,beta {calls} variant=paper start=2s last=regular",
        "dpm_solver_3m karras,beta {calls} variant=paper start=euler last=regular",
    ),
    "flow": ("flow_ab2,flow_ab3,unipc_2,dpm_solver_2m,dpm_solver_3m,dpmpp_2m sgm_uniform,beta {calls}",),
}
GUIDANCE = (1.0, 2.0, 4.0, 7.0)
_PICTURES, _SEED, _REFERENCE = 20, 101, 120


def measured(network: str, guidance: float) -> Iterator[dict[str, Any]]:
    """For each number of calls: error of auto, and of the best of the settings."""
    calls = ",".join(map(str, CALLS))
    settings = ["auto auto {calls}", *SETTINGS[network]]
    found = compared(
        network, [each.format(calls=calls) for each in settings], _PICTURES, range(10), guidance, _SEED,
        reference_calls=_REFERENCE,
    )  # fmt: skip
    rows = [row for row in found.table if row["error"] is not None]
    for n in CALLS:
        auto, *others = [row for row in rows if row["calls"] == n]
        best = min(others, key=lambda row: float(row["error"]))
        yield {
            "network": network, "guidance": guidance, "calls": n, "error": auto["error"], "notes": auto["notes"],
            "ratio": auto["error"] / best["error"], "best": best["setting"], "pictures": _PICTURES,
            "reference": found.reference.uncertainty,
        }  # fmt: skip


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--networks", nargs="*", choices=SETTINGS, default=list(SETTINGS))
    parser.add_argument("--guidance", nargs="*", type=float, default=GUIDANCE)
    given = parser.parse_args(argv)
    torch.set_num_threads(1)
    for network in given.networks:
        for guidance in given.guidance:
            rows = list(measured(network, guidance))
            for row in rows:
                print(f"{network}, guidance {guidance:g}, {row['calls']} calls: {row['ratio']:.2f}", flush=True)
            kept = [row for row in get("networks").get("auto", {}).get("rows", []) if _place(row) != _place(rows[0])]
            put("networks", "auto", sorted([*kept, *rows], key=lambda row: (*_place(row), row["calls"])))


def _place(row: dict[str, Any]) -> tuple[str, float]:
    return row["network"], row["guidance"]


if __name__ == "__main__":
    main()
