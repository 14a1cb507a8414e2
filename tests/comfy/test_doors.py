"""The same function of (x, sigma) in the place of the model: this door's latent is that of the Python door.

tests/webui/test_doors.py and test_flow.py say the same of the other hosts.
"""

from __future__ import annotations

import fewstep
import pytest
import torch
from doors import answer, difference, python_door
from exact import exact_model, sample
from fewstep.nodes.host_sampler import Choice, sampler_function
from fewstep.nodes.model_frame import frame_of
from fewstep.samplers.level import as_float32
from harness import FIXED, still

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("host")]
#: measured: up to 1.3e-6 (deis_rhork_rk4), the rounding of float32; the project's promise is 1e-4
TOLERANCE = 1e-5
CASES = [(id, name) for id, row in FIXED.items() for name in ("ve", "flow") if name in row.frames]


@pytest.mark.parametrize(("id", "name"), CASES)
def test_one_function_in_two_doors(id: str, name: str) -> None:
    patcher = exact_model(lambda x, alpha, sigma: answer(x, sigma.flatten()), {"ve": "EPS", "flow": "FLOW"}[name])
    frame = frame_of(patcher.get_model_object("model_sampling"))
    levels = as_float32(fewstep.schedule("time_uniform", 8, frame=frame))
    noise = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(3))
    quiet = still(id, name)
    found = sample(patcher, sampler_function(Choice(FIXED[id], quiet)), levels, noise)
    # the host mixes the noise of a first level near sigma_max as sqrt(1 + sigma^2)
    start = noise * (1.0 if name == "flow" else (1.0 + levels[0] ** 2) ** 0.5)
    assert difference(found, python_door(start, levels, id, name, **quiet)) < TOLERANCE
