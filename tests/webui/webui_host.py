"""Starts a host headless on the CPU with a small random checkpoint, and speaks with it over HTTP."""

from __future__ import annotations

import base64
import io
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from tiny_checkpoint import write_checkpoint

PACK = Path(__file__).resolve().parents[2]
HERE = Path(__file__).parent
#: what a user's clone has and an extension does not need, and what a checkout gathers
LEFT_OUT = shutil.ignore_patterns(
    ".*", "__pycache__", "out", "build", "dist", "node_modules", "*.egg-info", "tests", "benchmarks"
)
#: host -> (a file that only it has, arguments)
HOSTS = {
    "forge": ("backend/modules/k_prediction.py", ("--always-cpu", "--all-in-fp32")),
    "reforge": ("ldm_patched/modules/samplers.py", ("--always-cpu", "--all-in-fp32")),
    "a1111": ("modules/sd_samplers_kdiffusion.py", ("--use-cpu", "all", "--no-half")),
}
#: The settings that tests override, at the host's defaults: after a request it puts back only those that stand in its
#: config.json (process_images in modules/processing.py). The first two are not defaults: those need the network.
SETTINGS = {
    "show_progress_type": "Approx cheap",
    "live_previews_enable": False,
    "sd_vae_decode_method": "Full",
    "img2img_fix_steps": False,
    "always_discard_next_to_last_sigma": False,
    "sgm_noise_multiplier": False,
    "sigma_min": 0.0,
    "sigma_max": 0.0,
    "rho": 0.0,
    "use_old_karras_scheduler_sigmas": False,
    "use_downcasted_alpha_bar": False,
    "enable_quantization": False,
    "sd_noise_schedule": "Default",
    "refiner_switch_by_sample_steps": False,
}
#: for tests that look at latents: pictures in a hundredth of the autoencoder's time
_QUICK = {"sd_vae_decode_method": "Approx cheap"}
_STARTS_WITHIN = 600  # seconds: the first start of a host compiles its sources


def alwayson(*arguments: Any) -> dict[str, Any]:
    """The part of a request that sets our fields: by place, or by name in one mapping."""
    return {"alwayson_scripts": {"Fewstep": {"args": list(arguments)}}}


@dataclass
class Answer:
    status: int
    body: Any


@dataclass
class Host:
    """A running host. `name` is a1111, forge or reforge."""

    name: str
    url: str
    data: Path
    log: Path
    process: subprocess.Popen[bytes] = field(repr=False)

    # --- its API -----------------------------------------------------------------------------------------------------

    def call(self, path: str, body: Any = None, timeout: float = 300) -> Answer:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=timeout) as reply:
                return Answer(reply.status, json.loads(reply.read() or b"null"))
        except urllib.error.HTTPError as error:
            text = error.read()
            try:
                return Answer(error.code, json.loads(text))
            except ValueError:
                return Answer(error.code, text.decode(errors="replace"))

    def get(self, path: str) -> Any:
        answer = self.call(path)
        assert answer.status == 200, answer
        return answer.body

    def picture(self, mode: str = "txt2img", **request: Any) -> Picture:
        """One run of /sdapi/v1/txt2img or img2img, of 64 x 64 pixels unless the request says otherwise."""
        answer = self.call(f"/sdapi/v1/{mode}", self.request(mode, **request))
        assert answer.status == 200, f"{answer}\n{self.tail()}"
        picture = Picture(answer.body)
        # a host takes another sampler, without a word, for a name that it does not know
        for key, name in (("Sampler", request.get("sampler_name")), ("Schedule type", request.get("scheduler"))):
            assert name in (None, "Automatic") or f"{key}: {name}" in str(picture.info["infotexts"]), picture.info
        return picture

    def latents(self, mode: str = "txt2img", **request: Any) -> torch.Tensor:
        """The latents that one run ends with; the probe has recorded this run alone."""
        self.reset()
        request["override_settings"] = {**_QUICK, **request.get("override_settings", {})}
        self.picture(mode, **request)
        return self.tensor("last")

    def refusal(self, mode: str = "txt2img", **request: Any) -> Answer:
        answer = self.call(f"/sdapi/v1/{mode}", self.request(mode, **request))
        assert answer.status != 200, answer.body.get("info")
        return answer

    def request(self, mode: str, **request: Any) -> dict[str, Any]:
        size = {"width": 64, "height": 64, "steps": 4, "seed": 1, "cfg_scale": 3.0, "prompt": "a cat"}
        # Forge fails without it when hires is on (modules/processing.py)
        extra = {"hr_additional_modules": []} if self.name == "forge" and request.get("enable_hr") else {}
        return {**size, **extra, **request}

    def tail(self, lines: int = 40) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    # --- our probe in it ---------------------------------------------------------------------------------------------

    def run(self, code: str, **names: Any) -> Any:
        """Runs Python in the host's process; `names` are its variables, and what it assigns to `result` comes back."""
        answer = self.call("/fewstep-probe/run", {"code": code, "names": names})
        assert answer.status == 200, f"{answer.body}\n{self.tail()}"
        return answer.body["result"]

    def reset(self) -> None:
        self.run("probe.reset()")

    def calls(self) -> list[dict[str, Any]]:
        """sigma, batch, the host's sampling_step, sum of the prompt's condition and model's name of each call of the
        guided model since the last reset."""
        return list(self.run("result = probe.calls"))

    def sigmas(self) -> list[float]:
        return [call["sigma"] for call in self.calls()]

    def tensor(self, name: str) -> torch.Tensor:
        """What the probe has kept: `first` (the state in the first call) or `last` (the result); `states` or `answers`
        of all calls, stacked."""
        path = self.data / f"{name}.pt"
        code = "kept = getattr(probe, name); kept = torch.stack(kept) if isinstance(kept, list) else kept"
        self.run(f"{code}; torch.save(kept.float().cpu().clone(), path)", name=name, path=str(path))
        return torch.load(path, weights_only=True)


@dataclass
class Picture:
    """What the API answered: pictures in base64 and what the host says about them."""

    body: dict[str, Any]

    @property
    def info(self) -> dict[str, Any]:
        return dict(json.loads(self.body["info"]))

    @property
    def infotext(self) -> str:
        return str(self.info["infotexts"][0])

    @property
    def parameters(self) -> dict[str, str]:
        """The infotext's last line, as "key: value" pairs."""
        pairs = [each.partition(": ") for each in self.infotext.splitlines()[-1].split(", ")]
        return {key: value for key, _, value in pairs}

    @property
    def images(self) -> list[str]:
        return list(self.body["images"])

    @property
    def pixels(self) -> torch.Tensor:
        """All pictures, in 0..255. Shape (pictures, height, width, 3)."""
        opened = [Image.open(io.BytesIO(base64.b64decode(each))).convert("RGB") for each in self.images]
        return torch.stack([torch.from_numpy(np.array(each)).int() for each in opened])


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def kind_of(path: Path) -> str:
    return next(name for name, (file, _) in HOSTS.items() if (path / file).is_file())


@contextmanager
def start(path: Path, base: Path) -> Iterator[Host]:
    """A host with this pack, the probe and two neighbours among its extensions, ended afterwards."""
    name, port = kind_of(path), _free_port()
    data, models = base / "data", base / "models"
    extensions = data / "extensions"
    shutil.copytree(PACK, extensions / "fewstep", ignore=LEFT_OUT)
    shutil.copytree(HERE / "probe", extensions / "fewstep-probe")
    for neighbour in (HERE / "neighbours").iterdir():
        shutil.copytree(neighbour, extensions / neighbour.name)
    for number, model in enumerate(("first", "second")):
        write_checkpoint(models / f"{model}.safetensors", seed=number)
    (data / "config.json").write_text(json.dumps(SETTINGS))
    command = [
        os.environ.get("WEBUI_PYTHON", sys.executable), "launch.py", "--skip-prepare-environment",
        "--skip-python-version-check", "--skip-version-check", "--skip-torch-cuda-test", "--no-download-sd-model",
        "--api", "--server-name", "127.0.0.1", "--port", str(port), "--data-dir", str(data), "--ckpt-dir", str(models),
        # with a --data-dir, Forge's page may not have the scripts and styles of the checkout
        "--gradio-allowed-path", str(path),
        "--ckpt", str(models / "first.safetensors"), *HOSTS[name][1], *shlex.split(os.environ.get("WEBUI_ARGS", "")),
    ]  # fmt: skip
    environment = {
        **os.environ,
        "HOME": str(base),
        "OMP_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "GRADIO_ANALYTICS_ENABLED": "False",
    }
    log = base / "host.log"
    with log.open("wb") as sink:
        process = subprocess.Popen(command, cwd=path, env=environment, stdout=sink, stderr=sink, start_new_session=True)
    running = Host(name, f"http://127.0.0.1:{port}", data, log, process)
    try:
        _wait(running)
        yield running
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _wait(host: Host) -> None:
    until = time.monotonic() + _STARTS_WITHIN
    while time.monotonic() < until:
        assert host.process.poll() is None, f"the host ended while it started:\n{host.tail()}"
        try:
            # the probe's route is the last thing that a start adds
            if host.call("/fewstep-probe/run", {"code": "result = 1", "names": {}}, timeout=10).status == 200:
                return
        except OSError:
            pass
        time.sleep(0.5)
    raise AssertionError(f"the host did not start within {_STARTS_WITHIN} s:\n{host.tail()}")
