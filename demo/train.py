"""Train one demo network on Fashion-MNIST: ``python demo/train.py vp`` or ``python demo/train.py flow``.

Writes NAME.safetensors (averaged weights in float16), NAME.json (settings, losses) and NAME.png (a grid of samples).
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import json
import math
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional

# A script is no part of a package, so relative imports do not work here; its own folder is made importable instead.
sys.path.insert(0, str(Path(__file__).resolve().parent))
from unet import IMAGE_SIZE, NULL_CLASS, NUM_CLASSES, UNet  # type: ignore[import-not-found]

FILES = {
    "train_pictures": "train-images-idx3-ubyte.gz",
    "train_classes": "train-labels-idx1-ubyte.gz",
    "test_pictures": "t10k-images-idx3-ubyte.gz",
    "test_classes": "t10k-labels-idx1-ubyte.gz",
}


# ------------------------------------------------------------------------------------------------ the two processes


def vp_log_sigmas() -> Tensor:
    """Stable Diffusion's scaled-linear schedule: log(sigma) for the labels 0..999, sigma from 0.0292 to 14.6146."""
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    kept = torch.cumprod(1 - betas, dim=0)
    return 0.5 * torch.log((1 - kept) / kept)


def vp_scales(t: Tensor) -> tuple[Tensor, Tensor]:
    """Shares (a, b) in x_t = a x0 + b noise. Between whole labels log(sigma) is a straight line, as samplers read it:
    training on fractional labels makes the network right where the multistep solvers ask for them."""
    table = vp_log_sigmas().to(t.device)
    t = t.double().clamp(0, len(table) - 1)
    low = t.floor().long().clamp(max=len(table) - 2)
    sigma = torch.lerp(table[low], table[low + 1], t - low).exp()
    a = 1 / torch.sqrt(1 + sigma**2)
    return a, sigma * a


def flow_scales(t: Tensor) -> tuple[Tensor, Tensor]:
    """Rectified flow: a straight line from the picture (label 0) to the noise (label 1000)."""
    s = t.double() / 1000
    return 1 - s, s


@dataclass(frozen=True)
class Process:
    """One kind of diffusion. The network learns ``noise - clean_share * x0``: noise (share 0) or velocity (share 1)."""

    predicts: str
    clean_share: float
    scales: Callable[[Tensor], tuple[Tensor, Tensor]]
    top_label: float  # labels are drawn from [0, top_label]; sampling starts here


# Labels are drawn uniformly for both. For flow a logit-normal draw is more usual, but few-step solvers visit both
# ends of the interval, and in a run this short the ends that it rarely draws would stay half learned.
PROCESSES = {
    "vp": Process("noise", 0.0, vp_scales, 999.0),
    "flow": Process("flow", 1.0, flow_scales, 1000.0),
}


@dataclass(frozen=True)
class Budget:
    """What a device gets through in a reasonable time, and a learning rate that suits the batch."""

    steps: int
    batch: int
    learning_rate: float


BUDGETS = {"cpu": Budget(6000, 32, 1.5e-3), "cuda": Budget(30_000, 512, 2e-3)}
WARM_UP = 200
FINAL_RATE = 0.02  # of the top learning rate, at the end of the cosine
WEIGHT_DECAY = 1e-3
NULL_SHARE = 0.1
EMA_DECAY = 0.9995
EVALUATION_BATCH = 250
CURVE_POINTS = 50
SAMPLE_STEPS = 60
SAMPLES_PER_CLASS = 8
GUIDANCE = 2.0


# ---------------------------------------------------------------------------------------------------------- the data


def read_idx(path: Path) -> np.ndarray:
    """An idx .gz file of bytes: two zeros, type 8 (byte), number of dimensions, the dimensions, the bytes."""
    if not path.is_file():
        raise FileNotFoundError(
            f"no file {path}; expected the four idx .gz files of Fashion-MNIST there: install the Debian package "
            "dataset-fashion-mnist or name their folder with --data"
        )
    raw = gzip.decompress(path.read_bytes())
    if raw[:3] != b"\x00\x00\x08":
        raise ValueError(f"{path} starts with {raw[:4].hex()}; expected an idx file of bytes (000008..)")
    dimensions = raw[3]
    shape = np.frombuffer(raw, ">u4", count=dimensions, offset=4)
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * dimensions).reshape([int(n) for n in shape])


def load_data(folder: Path, part: str, device: torch.device) -> tuple[Tensor, Tensor]:
    """Pictures [N, 1, 32, 32] in [-1, 1] and classes [N], all on the device: 60,000 of them are only 250 MB."""
    pictures = torch.from_numpy(read_idx(folder / FILES[f"{part}_pictures"]).copy()).float()[:, None] / 127.5 - 1
    margin = (IMAGE_SIZE - pictures.shape[-1]) // 2
    pictures = functional.pad(pictures, (margin,) * 4, value=-1.0)  # -1 is black, the background of the data
    classes = torch.from_numpy(read_idx(folder / FILES[f"{part}_classes"]).astype(np.int64))
    return pictures.to(device), classes.to(device)


# -------------------------------------------------------------------------------------------------- loss and sampling


def spread_labels(count: int, top: float, generator: torch.Generator, device: torch.device) -> Tensor:
    """Uniform labels, one in each of ``count`` equal strata: the loss then jumps less from batch to batch."""
    jitter = torch.rand(count, generator=generator, device=device, dtype=torch.float64)
    return (torch.arange(count, device=device) + jitter) / count * top


def loss_on(net: torch.nn.Module, process: Process, x0: Tensor, t: Tensor, y: Tensor, noise: Tensor) -> Tensor:
    a, b = (scale.float()[:, None, None, None] for scale in process.scales(t))
    target = noise - process.clean_share * x0
    with torch.autocast(x0.device.type, torch.bfloat16, enabled=x0.is_cuda):
        output = net(a * x0 + b * noise, t.float(), y)
    return functional.mse_loss(output.float(), target)


@torch.inference_mode()
def held_out_loss(net: UNet, process: Process, pictures: Tensor, classes: Tensor) -> float:
    """Mean squared error on the test set with fixed noise and labels, so that two sets of weights can be compared."""
    generator = torch.Generator(pictures.device).manual_seed(1)
    order = torch.randperm(len(pictures), generator=generator, device=pictures.device)
    total = 0.0
    for start in range(0, len(pictures), EVALUATION_BATCH):
        rows = order[start : start + EVALUATION_BATCH]
        x0, y = pictures[rows], classes[rows]
        t = spread_labels(len(x0), process.top_label, generator, x0.device)
        noise = torch.randn(x0.shape, generator=generator, device=x0.device)
        total += loss_on(net, process, x0, t, y, noise).item() * len(x0)
    return total / len(pictures)


@torch.inference_mode()
def sample(net: UNet, process: Process, y: Tensor, steps: int, guidance: float, seed: int) -> Tensor:
    """Plain DDIM, which for the flow network is Euler's method; the state is float64, only the network is float32."""
    generator = torch.Generator(y.device).manual_seed(seed)
    shape = (len(y), 1, IMAGE_SIZE, IMAGE_SIZE)
    labels = torch.linspace(process.top_label, 0, steps + 1, dtype=torch.float64, device=y.device)
    a, b = process.scales(labels)
    a[-1], b[-1] = 1.0, 0.0  # the last step goes to the clean picture, also where label 0 keeps a little noise
    x = torch.randn(shape, generator=generator, device=y.device, dtype=torch.float64) * b[0]
    for i in range(steps):
        t = labels[i].float().expand(len(y))
        given = net(x.float(), t, y).double()
        free = net(x.float(), t, torch.full_like(y, NULL_CLASS)).double()
        output = free + guidance * (given - free)
        # Solve x = a x0 + b noise and output = noise - share x0 for the two unknowns.
        x0 = (x - b[i] * output) / (a[i] + b[i] * process.clean_share)
        noise = output + process.clean_share * x0
        x = a[i + 1] * x0 + b[i + 1] * noise
    return x


def save_grid(pictures: Tensor, columns: int, path: Path) -> None:
    pixels = ((pictures.clamp(-1, 1) + 1) * 127.5).round().byte().cpu().numpy()[:, 0]
    rows = [np.hstack(list(pixels[i : i + columns])) for i in range(0, len(pixels), columns)]
    image = Image.fromarray(np.vstack(rows))
    image.resize((image.width * 2, image.height * 2), Image.Resampling.NEAREST).save(path, optimize=True)


# ------------------------------------------------------------------------------------------------------------ training


def device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{platform.machine()} CPU, {torch.get_num_threads()} thread(s)"


def rate_at(step: int, steps: int) -> float:
    """Share of the top learning rate: a straight warm-up, then half a cosine."""
    warm_up = min(WARM_UP, max(1, steps // 10))
    if step < warm_up:
        return (step + 1) / warm_up
    done = (step - warm_up) / max(1, steps - warm_up)
    return FINAL_RATE + (1 - FINAL_RATE) * 0.5 * (1 + math.cos(math.pi * done))


def train(process: Process, budget: Budget, seed: int, pictures: Tensor, classes: Tensor) -> tuple[UNet, list[float]]:
    """The averaged network and the loss of every step."""
    device = pictures.device
    torch.manual_seed(seed)
    net = UNet().to(device, memory_format=torch.channels_last)
    averaged = UNet().to(device, memory_format=torch.channels_last).eval().requires_grad_(False)
    averaged.load_state_dict(net.state_dict())
    weights, averages = list(net.parameters()), list(averaged.parameters())
    optimizer = torch.optim.AdamW(weights, lr=budget.learning_rate, betas=(0.9, 0.99), weight_decay=WEIGHT_DECAY)
    generator = torch.Generator(device).manual_seed(seed)
    losses = torch.zeros(budget.steps, device=device)  # stays on the device: reading every loss would stall a GPU
    started = time.perf_counter()
    order = torch.empty(0, dtype=torch.long, device=device)
    for step in range(budget.steps):
        if len(order) < budget.batch:
            order = torch.cat([order, torch.randperm(len(pictures), generator=generator, device=device)])
        rows, order = order[: budget.batch], order[budget.batch :]
        x0, y = pictures[rows], classes[rows]
        dropped = torch.rand(len(y), generator=generator, device=device) < NULL_SHARE
        y = torch.where(dropped, NULL_CLASS, y)
        t = spread_labels(len(x0), process.top_label, generator, device)
        noise = torch.randn(x0.shape, generator=generator, device=device)
        for group in optimizer.param_groups:
            group["lr"] = budget.learning_rate * rate_at(step, budget.steps)
        loss = loss_on(net, process, x0, t, y, noise)
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        losses[step] = loss.detach()
        # A young average must forget fast, or it would keep the random start.
        decay = min(EMA_DECAY, (1 + step) / (10 + step))
        with torch.no_grad():
            torch._foreach_lerp_(averages, weights, 1 - decay)
        if step % 500 == 0 or step + 1 == budget.steps:
            recent = losses[max(0, step - 199) : step + 1].mean().item()
            print(f"step {step:6d}  loss {recent:.4f}  {(time.perf_counter() - started) / 60:.1f} min", flush=True)
    return averaged, losses.tolist()


def thinned(losses: list[float]) -> list[dict[str, float]]:
    """Means over equal windows: single losses are too noisy to read."""
    edges = [len(losses) * i // CURVE_POINTS for i in range(CURVE_POINTS + 1)]
    spans = [(low, high) for low, high in itertools.pairwise(edges) if high > low]
    return [{"step": high, "loss": round(sum(losses[low:high]) / (high - low), 5)} for low, high in spans]


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Train one demo network on Fashion-MNIST.")
    parser.add_argument("name", choices=sorted(PROCESSES))
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", choices=sorted(BUDGETS))
    parser.add_argument(
        "--steps", type=int, help=f"default: {BUDGETS['cpu'].steps} on a CPU, {BUDGETS['cuda'].steps} on a GPU"
    )
    parser.add_argument(
        "--batch", type=int, help=f"default: {BUDGETS['cpu'].batch} on a CPU, {BUDGETS['cuda'].batch} on a GPU"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, help="CPU threads; default: torch's own choice")
    parser.add_argument("--data", type=Path, default=Path("/usr/share/datasets/fashion-mnist"))
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parent)
    options = parser.parse_args(arguments)
    for field in ("steps", "batch", "threads"):
        value = getattr(options, field)
        if value is not None and value < 1:
            parser.error(f"--{field} is {value}; expected 1 or more")
    return options


def main() -> None:
    options = parse()
    process, device = PROCESSES[options.name], torch.device(options.device)
    default = BUDGETS[options.device]
    budget = Budget(options.steps or default.steps, options.batch or default.batch, default.learning_rate)
    if options.threads:
        torch.set_num_threads(options.threads)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True

    started = time.perf_counter()
    net, losses = train(process, budget, options.seed, *load_data(options.data, "train", device))
    minutes = (time.perf_counter() - started) / 60

    test = load_data(options.data, "test", device)
    before = held_out_loss(net, process, *test)
    rounded = {name: value.half().contiguous() for name, value in net.state_dict().items()}
    net.load_state_dict(rounded)  # from here on everything is measured and drawn with what users will load
    after = held_out_loss(net, process, *test)

    facts = {"kind": options.name, "predicts": process.predicts, "seed": options.seed, "steps": budget.steps}
    facts |= {"batch": budget.batch, "torch": torch.__version__, "device": device_name(device)}
    options.out.mkdir(parents=True, exist_ok=True)
    target = options.out / f"{options.name}.safetensors"
    weights = {name: value.cpu() for name, value in rounded.items()}
    save_file(weights, target, {key: str(value) for key, value in facts.items()})
    summary = facts | {
        "parameters": sum(weight.numel() for weight in net.parameters()),
        "minutes": round(minutes, 1),
        "settings": asdict(budget)
        | {"warm_up": WARM_UP, "weight_decay": WEIGHT_DECAY, "null_share": NULL_SHARE, "ema_decay": EMA_DECAY},
        "held_out_loss": {"float32": round(before, 6), "float16_rounded": round(after, 6)},
        "grid": {"steps": SAMPLE_STEPS, "guidance": GUIDANCE, "seed": options.seed},
        "loss_curve": thinned(losses),
    }
    target.with_suffix(".json").write_text(json.dumps(summary, indent=1) + "\n")

    y = torch.arange(NUM_CLASSES, device=device).repeat_interleave(SAMPLES_PER_CLASS)
    pictures = sample(net, process, y, SAMPLE_STEPS, GUIDANCE, options.seed)
    save_grid(pictures, SAMPLES_PER_CLASS, target.with_suffix(".png"))
    print(f"{target}: {minutes:.1f} min, held-out loss {before:.5f}, rounded to float16 {after:.5f}")


if __name__ == "__main__":
    main()
