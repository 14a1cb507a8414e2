"""A real A1111, Forge or reForge for the tests of this folder, as a server with its page (`host`).

WEBUI_PATH names the checkout, whose `repositories/` the host's own launcher has filled, and WEBUI_PYTHON the
interpreter of its environment. Without WEBUI_PATH one test skips for all (test_checkout.py); FEWSTEP_REQUIRE_HOSTS=1
makes that a failure. WEBUI_ARGS adds arguments to the server.
"""

from __future__ import annotations

import base64
import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent))  # for what these tests share

from webui_host import Host, start


def checkout() -> Path:
    path = os.environ.get("WEBUI_PATH")
    if path:
        return Path(path).resolve()
    if os.environ.get("FEWSTEP_REQUIRE_HOSTS") == "1":
        pytest.fail("WEBUI_PATH is not set, and FEWSTEP_REQUIRE_HOSTS asks for the host")
    return pytest.skip("WEBUI_PATH is not set: the tests against a real A1111, Forge or reForge are left out")


# without a host one test says so, in one line, instead of hundreds
if not os.environ.get("WEBUI_PATH"):
    collect_ignore = [each.name for each in Path(__file__).parent.glob("test_*.py") if each.name != "test_checkout.py"]


@pytest.fixture(scope="session")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    with start(checkout(), tmp_path_factory.mktemp("webui")) as running:
        yield running


@pytest.fixture(scope="session")
def picture() -> str:
    """A picture to start from, as the API takes it."""
    image = Image.effect_noise((64, 64), 60).convert("RGB")
    sink = io.BytesIO()
    image.save(sink, "PNG")
    return base64.b64encode(sink.getvalue()).decode()


@pytest.fixture(autouse=True)
def clean(request: pytest.FixtureRequest) -> None:
    """Each test begins with a probe that records nothing and leaves the model's answers alone."""
    if "host" in request.fixturenames:
        request.getfixturevalue("host").reset()
