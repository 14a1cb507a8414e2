"""What DPM-Solver and its documentation claim (arXiv 2206.00927), measured again."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import geometric_mean

import fewstep

from ..samplers.plan import FROM_DATA, Plan
from .claim_distributions import DRAWN, chance, distances
from .claim_errors import MIXTURES, NETWORK, OVER, Errors, mixtures, network
from .claim_row import DPM_SOLVER, Measured, Row, ratio, spread
from .results import get

# --- half the calls of PNDM ------------------------------------------------------------------------------------------

_DOCUMENTATION = 'diffusers\' documentation, "Effective and efficient diffusion": 20 or 25 steps instead of about 50'
_UNIFORM = "time_uniform"
_THEIRS = ("dpmpp_2m", "dpm_solver_2m", "dpm_solver_3m")


def fewer_than_pndm(networks: bool) -> Iterator[Row]:
    """DPM-Solver at 25 calls against PNDM at 50."""
    places: dict[tuple[str, str], Errors] = {(MIXTURES, MIXTURES): mixtures}
    if networks:
        places |= {(f"{NETWORK}, guidance {scale:g}", NETWORK): network(scale).errors for scale in (1.0, 4.0)}
    column = "25 to 50"
    for (where, kind), error in places.items():
        measured, theirs = Measured(), error("pndm", _UNIFORM, 50)
        for solver in _THEIRS:
            ours = error(solver, _UNIFORM, 25)
            measured.add(solver, column, ratio(ours, theirs), geometric_mean(ours) <= geometric_mean(theirs))
        measured.add("PNDM's own error", "50", spread(theirs))
        yield measured.row(
            DPM_SOLVER, _DOCUMENTATION, f"DPM-Solver errs no more at 25 calls than PNDM at 50 ({where})",
            f"error at 25 calls over PNDM's at 50, both on {_UNIFORM} levels; of {OVER[kind]}",
            "The documentation speaks of how pictures look, which a same-noise error does not measure.",
        )  # fmt: skip
    measured, theirs = Measured(), distances("pndm", _UNIFORM, 50)
    enough = max(geometric_mean(theirs), geometric_mean(chance()))
    for solver in _THEIRS:
        ours = distances(solver, _UNIFORM, 25)
        measured.add(solver, "25", spread(ours), geometric_mean(ours) <= enough)
    measured.add("PNDM", "50", spread(theirs))
    measured.add("draws from the mixtures", "chance", spread(chance()))
    yield measured.row(
        DPM_SOLVER, _DOCUMENTATION, f"DPM-Solver's samples at 25 calls are as good as PNDM's at 50 ({MIXTURES})",
        f"Fréchet distance of {DRAWN} samples to the exact moments, {_UNIFORM} levels; of {OVER[MIXTURES]}. It holds "
        "where it is no larger than PNDM's, or than that of draws from the mixtures themselves",
    )  # fmt: skip


# --- the first order -------------------------------------------------------------------------------------------------

#: rounding of float64, a few operations long, in coefficients of size 1
_EQUAL = 1e-12


def _in_data(plan: Plan) -> list[tuple[float, float]]:
    """(factor of x, factor of D) of every update of a first-order plan."""
    out = []
    for call, update in zip(plan.calls, plan.updates, strict=True):
        weight = update.weights[0]
        on_x, on_data = FROM_DATA[call.keeps](call.level)
        out.append((update.scale + weight * on_x, weight * on_data))
    return out


def ddim_is_first(_: bool) -> Iterator[Row]:
    """DDIM beside the first orders of both families."""
    others = ("dpm_solver_1s", "dpmpp_1s", "deis_tab0", "deis_rhoab0")
    apart, count = dict.fromkeys(others, 0.0), 0
    for frame in ("ve", "vp", "flow"):
        for levels, schedule in fewstep.schedules().items():
            if frame not in schedule.frames:
                continue
            count += 1
            sigmas = fewstep.schedule(levels, 10, frame=frame)
            reference = _in_data(fewstep.plan("ddim", sigmas, frame))
            size = max(abs(value) for pair in reference for value in pair)
            for solver in others:
                found = _in_data(fewstep.plan(solver, sigmas, frame))
                pairs = zip(found, reference, strict=True)
                largest = max(abs(a - b) for p, q in pairs for a, b in zip(p, q, strict=True))
                apart[solver] = max(apart[solver], largest / size)
    measured = Measured()
    for solver, largest in apart.items():
        measured.add(solver, "10", [largest], largest < _EQUAL)
    yield measured.row(
        DPM_SOLVER, '"DDIM as DPM-Solver-1"; likewise in arXiv 2211.01095 and 2204.13902',
        "DDIM is the first order of DPM-Solver, DPM-Solver++, tAB- and rhoAB-DEIS",
        f"largest difference of a coefficient from DDIM's, over the largest of its plan, on {count} plans of 10 calls: "
        f"all schedules of frames ve, vp and flow. It holds below {_EQUAL:g}",
    )  # fmt: skip


# --- near convergence ------------------------------------------------------------------------------------------------

#: what the official README calls good at 15 and almost converged at 20 calls, then ours on ours
_NEAR = (("dpm_solver_3s", _UNIFORM), ("dpmpp_2m", _UNIFORM), ("dpm_solver_3m", "karras"), ("deis_tab3", "karras"))
_README = "abstract (10 to 20 calls); official README: almost converged at 20; arXiv 2211.01095, abstract (15 to 20)"
#: a grey level of an 8-bit picture, which -1..1 is
_GREY = 2.0 / 255.0


def near_convergence(networks: bool) -> Iterator[Row]:
    """At 15 and 20 calls, in distribution and for the same noise."""
    measured = Measured()
    for solver, levels in _NEAR:
        for n in (15, 20):
            found = distances(solver, levels, n)
            near = geometric_mean(found) < 2.0 * geometric_mean(chance())
            measured.add(f"{solver} on {levels}", n, spread(found), near)
    measured.add("draws from the mixtures", "chance", spread(chance()))
    yield measured.row(
        DPM_SOLVER, _README, f"Near convergence at 15 and 20 calls, in distribution ({MIXTURES})",
        f"Fréchet distance of {DRAWN} samples to the exact moments; of {OVER[MIXTURES]}. It holds below twice that of "
        "draws from the mixtures themselves",
    )  # fmt: skip
    if networks:
        measured = Measured()
        for solver, levels in _NEAR:
            for n in (15, 20):
                found = network(1.0).errors(solver, levels, n)
                measured.add(f"{solver} on {levels}", n, spread(found), geometric_mean(found) < _GREY)
        yield measured.row(
            DPM_SOLVER, _README, f"Near convergence at 15 and 20 calls, for the same noise ({NETWORK})",
            f"RMS distance to the converged picture; of {OVER[NETWORK]}. It holds below one grey level of an 8-bit "
            f"picture, {_GREY:.2g}",
        )  # fmt: skip
    yield from _of_quality()


def _of_quality() -> Iterator[Row]:
    """From what `quality.py` measured."""
    for name, group in get("quality").items():
        sets, *rows = group["rows"]
        if "SDE" in name or "floor_frechet" not in sets:
            continue
        measured, floor = Measured(), sets["floor_frechet"]
        for row in rows:
            if row.get("calls") in (15, 20) and row["solver"] in ("auto", "dpmpp_2m"):
                measured.add(row["solver"], row["calls"], [row["frechet"]], row["frechet"] < 0.1 * floor)
        if measured.holds:
            measured.add("two halves", "chance", [floor])
            yield measured.row(
                DPM_SOLVER, _README, f"Near convergence at 15 and 20 calls, in distribution (demo network {name})",
                f"Fréchet distance to the converged pictures, {sets['pictures']} of each. It holds below a tenth of "
                "that of two independent halves of the converged pictures",
            )  # fmt: skip
