"""What fewstep costs besides the model: import, plan building, and the time of an update.

    make bench-cost          (prints a table; times are medians, in one process)

Operations, read-backs and memory are counted, not timed, in tests/test_cost.py.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import fewstep
import torch

ROOT = Path(__file__).resolve().parents[1]


def median_ms(work: Callable[[], object], repeats: int = 15) -> float:
    work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times) * 1e3


def import_ms(statement: str) -> float:
    """Median over fresh interpreters; the interpreter's own start is not counted."""
    code = (
        "import importlib.util, sys, time; start = time.perf_counter();"
        f"spec = importlib.util.spec_from_file_location('fewstep', {str(ROOT / '__init__.py')!r},"
        f" submodule_search_locations=[{str(ROOT)!r}]);"
        "fewstep = sys.modules['fewstep'] = importlib.util.module_from_spec(spec); spec.loader.exec_module(fewstep);"
        f"{statement}; print(time.perf_counter() - start)"
    )
    runs = [float(subprocess.check_output([sys.executable, "-c", code])) for _ in range(7)]
    return statistics.median(runs) * 1e3


def plan_ms() -> dict[tuple[str, str], float]:
    """A plan of 50 calls, for every solver of fixed steps and frame."""
    out = {}
    for id, row in fewstep.solvers().items():
        for frame in row.frames if not row.adaptive else ():
            sigmas = fewstep.schedule("sgm_uniform" if frame == "flow" else "karras", 50, frame=frame)
            out[id, frame] = median_ms(lambda id=id, sigmas=sigmas, frame=frame: fewstep.plan(id, sigmas, frame))
    return out


def update_ratio(id: str, shape: tuple[int, ...]) -> float:
    """Time of a run without a model, per call, over that of one pass that reads two latents and writes one."""
    sigmas = fewstep.schedule("karras", 50, frame="ve")
    plan, x, answer = fewstep.plan(id, sigmas), torch.randn(shape), torch.randn(shape)
    ours = median_ms(lambda: fewstep.run(plan, lambda x, sigma: answer, x), 7) / 50
    return ours / median_ms(lambda: torch.add(x, answer), 200)


def main() -> None:
    torch.set_num_threads(1)
    print(f"import fewstep: {import_ms('pass'):.1f} ms; with solvers(): {import_ms('fewstep.solvers()'):.1f} ms")
    plans = plan_ms()
    for title, tab in (("tAB on ve and vp", True), ("all others", False)):
        chosen = {key: ms for key, ms in plans.items() if (("tab" in key[0]) and key[1] != "flow") is tab}
        (id, frame), slowest = max(chosen.items(), key=lambda item: item[1])
        typical = statistics.median(chosen.values())
        print(f"plan of 50 calls, {title}: median {typical:.2f} ms, slowest {slowest:.2f} ms ({id} on {frame})")
    for shape in ((1, 4, 64, 64), (1, 16, 128, 128)):
        ids = ("ddim", "dpmpp_2m", "dpm_solver_3m", "dpmpp_3s")
        rows = ", ".join(f"{id} {update_ratio(id, shape):.1f}" for id in ids)
        print(f"time per call over one torch.add at {list(shape)}: {rows}")


if __name__ == "__main__":
    main()
