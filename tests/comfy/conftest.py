"""A real ComfyUI for the tests of this folder: in process (`host`, `run_graph`) and as a server (`server`).

COMFYUI_PATH names the checkout. Without it one test skips for all (test_checkout.py); FEWSTEP_REQUIRE_HOSTS=1 makes
that a failure.
COMFYUI_ARGS adds arguments to the server, for example --front-end-root for another version of the page.
"""

from __future__ import annotations

import asyncio
import importlib.util
import inspect
import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
import time
import types
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

PACK = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(Path(__file__).parent))  # for exact.py, which these tests share
FOLDERS = ("models", "input", "output", "temp", "user", "custom_nodes")
#: the page's first-use dialog would swallow every click
PAGE_SETTINGS = {"Comfy.TutorialCompleted": True, "Comfy.VueNodes.Enabled": False}


def checkout() -> str:
    path = os.environ.get("COMFYUI_PATH")
    if path:
        return str(Path(path).resolve())
    if os.environ.get("FEWSTEP_REQUIRE_HOSTS") == "1":
        pytest.fail("COMFYUI_PATH is not set, and FEWSTEP_REQUIRE_HOSTS asks for the host")
    return pytest.skip("COMFYUI_PATH is not set: the tests against a real ComfyUI (make test-comfy) are left out")


# without a host one test says so, in one line, instead of hundreds
if not os.environ.get("COMFYUI_PATH"):
    collect_ignore = [each.name for each in Path(__file__).parent.glob("test_*.py") if each.name != "test_checkout.py"]


#: imported by the host at top level and never called by what is tested here; written only where no real one is found
STUBS = {
    "torchvision": {
        "__init__.py": "models = None\nfrom . import ops, transforms\n",
        "ops.py": "roi_align = deform_conv2d = None\n",
        "transforms/__init__.py": "class InterpolationMode:\n    NEAREST = 'nearest'\nfrom . import functional\n",
        "transforms/functional.py": "",
    },
    "torchaudio": {
        "__init__.py": "from . import functional, transforms\n",
        "functional.py": "",
        "transforms.py": "class MelScale:\n    pass\n",
    },
}


@pytest.fixture(scope="session")
def stubs(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder for sys.path, made before any of it is on sys.path: only then does find_spec see what is missing."""
    folder = tmp_path_factory.mktemp("stubs")
    for package, files in STUBS.items():
        if importlib.util.find_spec(package) is None:
            for name, text in files.items():
                path = folder / package / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
    os.environ["FEWSTEP_STUBS"] = str(folder)  # for the tests that start a process of their own
    return str(folder)


def make_base(base: Path) -> Path:
    for name in FOLDERS:
        (base / name).mkdir()
    return base


# --- in process ------------------------------------------------------------------------------------------------------


class QuietServer:
    """What the host's executor touches of its server."""

    client_id = last_node_id = last_prompt_id = None

    def __init__(self) -> None:
        self.sockets_metadata: dict[str, Any] = {}
        self.events: list[tuple[str, Any]] = []

    def send_sync(self, event: str, data: Any, sid: Any = None) -> None:
        self.events.append((event, data))

    def queue_updated(self) -> None:
        pass


@pytest.fixture(scope="session")
def host(tmp_path_factory: pytest.TempPathFactory, stubs: str) -> types.SimpleNamespace:
    """The host's modules, with this pack loaded by the host's loader; `before` is what its lists held until then."""
    path = checkout()
    base = make_base(tmp_path_factory.mktemp("comfy"))
    sys.path.insert(0, path)
    sys.path.append(stubs)
    argv, sys.argv = sys.argv, ["main.py", "--cpu", "--base-directory", str(base)]
    import comfy.options

    comfy.options.enable_args_parsing()  # before anything imports comfy.cli_args
    import comfy.cli_args  # reads sys.argv, once per process

    sys.argv = argv
    import utils.extra_config  # noqa: F401  before `nodes`, which puts comfy/ (with its own utils.py) on sys.path

    # isort: split
    import comfy.samplers
    import execution
    from comfy.k_diffusion import sampling

    import nodes

    before: dict[str, Any] = {}
    empty = base / "custom_nodes" / "empty"
    empty.mkdir()
    (empty / "__init__.py").write_text("NODE_CLASS_MAPPINGS = {}\n")

    async def load() -> None:
        await nodes.init_builtin_extra_nodes()
        before["functions"] = {name: value for name, value in vars(sampling).items() if not name.startswith("__")}
        before["samplers"] = {name: value for name, value in vars(comfy.samplers).items() if not name.startswith("__")}
        for name in ("KSAMPLER_NAMES", "SAMPLER_NAMES", "SCHEDULER_NAMES"):
            before[name] = (getattr(comfy.samplers, name), list(getattr(comfy.samplers, name)))
        before["handlers"] = dict(comfy.samplers.SCHEDULER_HANDLERS)
        before["modules"] = set(sys.modules)
        for folder in (empty, empty, PACK):  # twice: the host itself imports things for its first pack
            began = time.process_time()  # of this process alone: other work on the machine does not count
            assert await nodes.load_custom_node(str(folder), module_parent="custom_nodes")
            before[f"seconds {folder.name if folder == empty else 'pack'}"] = time.process_time() - began
        before["modules after"] = set(sys.modules)

    asyncio.run(load())
    return types.SimpleNamespace(nodes=nodes, execution=execution, before=before, base=base)


Graph = dict[str, Any]


@pytest.fixture
def run_graph(host: types.SimpleNamespace) -> Callable[[Graph], types.SimpleNamespace]:
    """Validates and executes an API-format prompt with the host's own validator and executor."""

    def run(prompt: Graph) -> types.SimpleNamespace:
        cls, server = host.execution.PromptExecutor, QuietServer()
        cached = "cache_args" in inspect.signature(cls).parameters  # not on 0.3.64
        executor = cls(server, **({"cache_args": {"lru": 0, "ram": 0, "ram_inactive": 0}} if cached else {}))
        ok, error, outputs, node_errors = asyncio.run(host.execution.validate_prompt("p", prompt, None))
        if not ok:
            return types.SimpleNamespace(ok=False, error=error, node_errors=node_errors)
        executor.execute(prompt, "p", {"client_id": "t"}, outputs)
        return types.SimpleNamespace(
            ok=executor.success,
            history=executor.history_result,
            events=server.events,
            messages=executor.status_messages,
        )

    return run


# --- as a server -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Server:
    address: str
    base: Path
    log: Path

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(self.url + path, timeout=30) as answer:
            return json.load(answer)

    def post(self, path: str, data: Any) -> tuple[int, Any]:
        """(status, JSON or None) of a JSON or raw body."""
        body = data if isinstance(data, bytes) else json.dumps(data).encode()
        request = urllib.request.Request(self.url + path, body, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                text = answer.read()
                return answer.status, json.loads(text) if text else None
        except urllib.error.HTTPError as error:
            text = error.read()
            try:
                return error.code, json.loads(text)
            except ValueError:
                return error.code, None

    def finish(self, prompt: Graph, timeout: float = 120) -> Any:
        """Queues a prompt and waits for its entry in the host's history."""
        status, answer = self.post("/prompt", {"prompt": prompt, "client_id": "tests"})
        assert status == 200, answer
        until = time.monotonic() + timeout
        while time.monotonic() < until:
            entry = self.get(f"/history/{answer['prompt_id']}").get(answer["prompt_id"])
            if entry is not None and entry["status"]["status_str"]:
                return entry
            time.sleep(0.1)
        raise AssertionError(f"the prompt did not finish in {timeout} s\n{self.log.read_text()[-2000:]}")


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def serving(base: Path, pack: Path, name: str, stubs: str) -> Iterator[Server]:
    """A server of the host with a pack in its custom_nodes under a name."""
    path = checkout()
    settings = base / "user" / "default" / "comfy.settings.json"
    settings.parent.mkdir()
    settings.write_text(json.dumps(PAGE_SETTINGS))
    (base / "custom_nodes" / name).symlink_to(pack)
    log, port = base / "server.log", free_port()
    environment = {
        **os.environ,
        "PYTHONPATH": stubs,
        "OMP_NUM_THREADS": "1",
        "HOME": str(base),
        "PYTHONWARNINGS": "ignore",
    }
    command = [
        sys.executable, "main.py", "--cpu", "--listen", "127.0.0.1", "--port", str(port), "--base-directory", str(base),
        "--disable-api-nodes", "--disable-auto-launch", "--database-url", "sqlite:///:memory:",
        "--preview-method", "latent2rgb", *shlex.split(os.environ.get("COMFYUI_ARGS", "")),
    ]  # fmt: skip
    with log.open("w") as out:
        process = subprocess.Popen(command, cwd=path, env=environment, stdout=out, stderr=subprocess.STDOUT)
    found = Server(f"127.0.0.1:{port}", base, log)
    try:
        until = time.monotonic() + 120
        while True:
            try:
                found.get("/system_stats")
                break
            except (OSError, ValueError):
                if process.poll() is not None or time.monotonic() > until:
                    raise AssertionError(f"ComfyUI did not start:\n{log.read_text()[-4000:]}") from None
                time.sleep(0.2)
        yield found
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, stubs: str) -> Iterator[Server]:
    """A server of the host with this pack in its custom_nodes."""
    checkout()
    with serving(make_base(tmp_path_factory.mktemp("server")), PACK, "fewstep", stubs) as found:
        yield found


@pytest.fixture
def archive_server(tmp_path: Path, stubs: str) -> Iterator[Server]:
    """A server of the host with what the registry's archive holds, in a folder as an unpacked download names it."""
    from archive import archive_files

    checkout()
    folder = tmp_path / "fewstep-main"
    for name in archive_files():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(PACK / name, folder / name)
    (tmp_path / "base").mkdir()
    with serving(make_base(tmp_path / "base"), folder, folder.name, stubs) as found:
        yield found


# --- the page --------------------------------------------------------------------------------------------------------

CHROMIUM = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip


def needed(found: Any, what: str) -> Any:
    if found:
        return found
    if os.environ.get("FEWSTEP_REQUIRE_HOSTS") == "1":
        pytest.fail(f"{what} is not installed, and FEWSTEP_REQUIRE_HOSTS asks for it")
    return pytest.skip(f"{what} is not installed: the tests in the browser are left out")


# for a module, not for the session: while playwright runs, asyncio.run (as run_graph needs it) refuses to
@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    needed(importlib.util.find_spec("playwright"), "playwright")
    chromium = needed(shutil.which("chromium"), "chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM)
        yield found
        found.close()


@pytest.fixture(scope="module")
def open_page(browser: Any, server: Server) -> Callable[..., Any]:
    """Opens the host's page with some of its settings changed for this page alone, and waits until it can be used.

    Requests to anything but the server fail.
    """

    def open_page(settings: dict[str, Any] | None = None) -> Any:
        page = browser.new_page(viewport={"width": 1600, "height": 1000})

        def allow(route: Any) -> None:
            if route.request.url.startswith(f"{server.url}/"):
                route.continue_()
            else:
                route.abort()

        def change(route: Any) -> None:
            if route.request.method != "GET":
                return route.continue_()
            answer = route.fetch()
            # whatever other tests have set on the server
            return route.fulfill(response=answer, json={**answer.json(), **PAGE_SETTINGS, **(settings or {})})

        page.route("**/*", allow)
        page.route("**/api/settings", change)
        page.goto(server.url)
        page.wait_for_function(
            "() => !!window.app?.graph && !!window.LiteGraph?.registered_node_types.FewstepKSampler", timeout=60_000
        )
        page.wait_for_timeout(3000)  # the page opens a workflow of its own in the meantime
        return page

    return open_page
