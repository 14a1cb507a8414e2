"""What the two trained demo networks are and can draw. Imports neither torch nor their code."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).resolve().parent

CLASSES = (
    "T-shirt/top",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
)


@dataclass(frozen=True)
class Network:
    """What a sampler must know of one trained network; README.md beside this file says the rest."""

    name: str
    predicts: str  # as in fewstep.wrap: "noise" is the noise itself, "flow" is noise minus clean picture
    frame: str  # the states that it was trained on

    @property
    def weights(self) -> Path:
        return FOLDER / f"{self.name}.safetensors"


NETWORKS = {network.name: network for network in (Network("vp", "noise", "vp"), Network("flow", "flow", "flow"))}
