"""A small classifier of Fashion-MNIST, whose features the Fréchet distance of `quality.py` is measured in.

    python -m fewstep.benchmarks.classifier --data FOLDER      (two minutes on one core)

trains it again and writes classifier.safetensors and classifier.json beside this file. The data are those of
demo/train.py; the weights are under this repository's licence, as those of the demo networks are.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

FEATURES = 64
WEIGHTS = Path(__file__).with_name("classifier.safetensors")
_EPOCHS, _BATCH, _RATE = 4, 64, 2e-3


class Classifier(nn.Module):
    """Three convolutions of stride 2 with group norms; their last 4x4 maps, averaged, are the features."""

    def __init__(self) -> None:
        super().__init__()
        widths = (1, 32, FEATURES, FEATURES)
        self.convolutions = nn.ModuleList(
            nn.Conv2d(before, after, 3, stride=2, padding=1) for before, after in pairwise(widths)
        )
        self.norms = nn.ModuleList(nn.GroupNorm(8, width) for width in widths[1:])
        self.classes = nn.Linear(FEATURES, 10)

    def features(self, pictures: Tensor) -> Tensor:
        """[N, 1, 32, 32] in [-1, 1] -> [N, FEATURES]."""
        h = pictures
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            h = functional.silu(norm(convolution(h)))
        return h.mean((2, 3))

    def forward(self, pictures: Tensor) -> Tensor:
        found: Tensor = self.classes(self.features(pictures))
        return found


@cache
def classifier() -> Classifier:
    """The trained one."""
    net = Classifier()
    net.load_state_dict(load_file(WEIGHTS))  # float16 in the file
    return net.eval().requires_grad_(False)


@torch.inference_mode()
def features(pictures: Tensor) -> Tensor:
    """[N, FEATURES] in float64 of pictures [N, 1, 32, 32], clamped to [-1, 1] as they would be shown."""
    shown = pictures.float().clamp(-1.0, 1.0)
    return torch.cat([classifier().features(piece) for piece in _pieces(shown, 250)]).double()


def _pieces(rows: Tensor, size: int) -> Iterator[Tensor]:
    return (rows[i : i + size] for i in range(0, len(rows), size))


def _accuracy(net: Classifier, pictures: Tensor, classes: Tensor) -> float:
    with torch.inference_mode():
        answers = torch.cat([net(piece).argmax(1) for piece in _pieces(pictures, 250)])
    return float((answers == classes).double().mean())


def main() -> None:
    from ..demo.train import load_data

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("/usr/share/datasets/fashion-mnist"))
    parser.add_argument("--epochs", type=int, default=_EPOCHS)
    given = parser.parse_args()
    torch.set_num_threads(1)
    pictures, classes = load_data(given.data, "train", torch.device("cpu"))
    torch.manual_seed(0)
    net, since = Classifier(), time.perf_counter()
    optimizer = torch.optim.AdamW(net.parameters(), lr=_RATE)
    total = given.epochs * (len(pictures) // _BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _RATE, total_steps=total)
    for epoch in range(given.epochs):
        for rows in _pieces(torch.randperm(len(pictures))[: total // given.epochs * _BATCH], _BATCH):
            loss = functional.cross_entropy(net(pictures[rows]), classes[rows])
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            optimizer.step()
            schedule.step()
        print(f"epoch {epoch + 1}: last loss {loss.item():.3f}, {time.perf_counter() - since:.0f} s", flush=True)
    rounded = {name: value.half().contiguous() for name, value in net.state_dict().items()}
    net.load_state_dict(rounded)  # measured with what is kept
    facts = {
        "data": "Fashion-MNIST, 60,000 training pictures padded to 32x32", "epochs": given.epochs, "batch": _BATCH,
        "rate": _RATE, "seed": 0, "torch": torch.__version__, "weights": sum(p.numel() for p in net.parameters()),
        "test_accuracy": round(_accuracy(net, *load_data(given.data, "test", torch.device("cpu"))), 4),
    }  # fmt: skip
    save_file(rounded, WEIGHTS)
    WEIGHTS.with_suffix(".json").write_text(json.dumps(facts, indent=1) + "\n")
    print(facts)


if __name__ == "__main__":
    main()
