"""`fewstep comfy run` against a real ComfyUI server. tests/test_comfy_command.py asks a stand-in the same and more."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from fewstep.commands import cli
from fewstep.commands.comfy_client import Server
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "example_workflows" / "api" / "txt2img.json"

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(server: Any, nodes: dict[str, Any], *words: str) -> int:
    Path("w.json").write_text(json.dumps(nodes), encoding="utf-8")
    return cli.main(["comfy", "run", "w.json", "--server", server.address, *words])


def node(class_type: str, title: str = "", **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs} | ({"_meta": {"title": title}} if title else {})


def picture(last: str = "SaveImage", **more: Any) -> dict[str, Any]:
    empty = node("EmptyImage", "Empty", width=24, height=16, batch_size=2, color=0xFF8000)
    return {"1": empty, "2": node(last, images=["1", 0], **more)}


def test_pictures(server: Any, capsys: pytest.CaptureFixture[str]) -> None:
    nodes = picture(filename_prefix="headless/picture") | {"3": node("PreviewImage", images=["1", 0])}
    assert run(server, nodes, "--json", "--set", "Empty.width=32") == 0
    record = json.loads(capsys.readouterr().out)
    assert len(record["files"]) == 2, "the previews of node 3 are not wanted beside saved files"
    for each in record["files"]:
        stored = Path(server.base, "output", each["subfolder"], each["filename"])
        assert Path(each["path"]).read_bytes() == stored.read_bytes()
        assert Path(each["path"]).parent == Path("out", "headless")
        with Image.open(each["path"]) as image:
            assert image.size == (32, 16)
            assert image.getpixel((3, 3)) == (0xFF, 0x80, 0)
    assert run(server, nodes, "--json", "--set", "Empty.width=32") == 0
    again = json.loads(capsys.readouterr().out)
    assert [each["path"] for each in again["files"]] == [each["path"] for each in record["files"]], "cached nodes"


def test_previews(server: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(server, picture("PreviewImage")) == 0
    assert capsys.readouterr().out.count("wrote out") == 2


def test_a_picture_goes_there_and_back(server: Any) -> None:
    Image.new("RGB", (20, 10), (1, 2, 3)).save("my picture.png")
    nodes = {"1": node("LoadImage", image="x.png"), "2": node("SaveImage", images=["1", 0], filename_prefix="back")}
    assert run(server, nodes, "--set", "LoadImage.image=@my picture.png") == 0
    (path,) = Path("out").glob("back*.png")
    with Image.open(path) as image:
        assert (image.size, image.getpixel((5, 5))) == ((20, 10), (1, 2, 3))


def test_texts(server: Any, capsys: pytest.CaptureFixture[str]) -> None:
    nodes = {"1": node("PrimitiveString", value="none"), "2": node("PreviewAny", "Show", source=["1", 0])}
    assert run(server, nodes, "--set", "1.value=hello there") == 0
    assert "Show: hello there" in capsys.readouterr().out


def test_validation(server: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(server, picture(filename_prefix="x"), "--set", "Empty.width=0", "--set", "Empty.batch_size=many") == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    width, batch = sorted(lines, key=lambda line: "width" not in line)
    assert width == "fewstep: node 'Empty' (id 1), input 'width': Value 0 smaller than min of 1"
    assert batch.startswith("fewstep: node 'Empty' (id 1), input 'batch_size': ")
    assert "many" in batch


def test_an_unknown_node(server: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(server, {"1": node("NoSuchNode"), "2": node("PreviewAny", source=["1", 0])}) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "NoSuchNode" in line


def test_a_part_is_left_out(server: Any, capsys: pytest.CaptureFixture[str]) -> None:
    bad = {"3": node("EmptyImage", "Bad", width=0, height=1, batch_size=1, color=0)}
    assert run(server, picture() | bad | {"4": node("PreviewImage", images=["3", 0])}) == 2  # 2 lacks its prefix
    capsys.readouterr()
    good = picture(filename_prefix="good")
    assert run(server, good | bad | {"4": node("PreviewImage", images=["3", 0])}) == 1
    captured = capsys.readouterr()
    assert captured.out.count("wrote out") == 2
    assert "left out by the server: node 'Bad' (id 3), input 'width'" in captured.err


def test_a_node_fails(server: Any, capsys: pytest.CaptureFixture[str]) -> None:
    Path("text.png").write_text("no picture")
    nodes = {"1": node("LoadImage", "Mine", image="x.png"), "2": node("PreviewImage", images=["1", 0])}
    assert run(server, nodes, "--set", "Mine.image=@text.png") == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("fewstep: node 'Mine' (id 1), LoadImage: ")
    assert "Error: " in line


# --- with a sampler --------------------------------------------------------------------------------------------------


@pytest.fixture
def example(server: Any) -> str:
    with urlopen(f"http://{server.address}/object_info") as answer:
        known = json.load(answer)
    if "FewstepDemoModel" not in known or not EXAMPLE.is_file():
        pytest.skip("this server has no FewstepDemoModel")
    return str(EXAMPLE)


def test_a_step_is_a_tick(server: Any, example: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("comfy", "run", example, "--server", server.address, "--json", "--set", "FewstepKSampler.steps=8")
    assert cli.main(words) == 0
    record = json.loads(capsys.readouterr().out)
    (sampler,) = [each for each in record["progress"] if each["title"] == "Fewstep KSampler"]
    assert (sampler["value"], sampler["total"]) == (8, 8)
    assert all(Path(each["path"]).stat().st_size for each in record["files"])
    assert record["files"]


def test_an_input_that_the_file_leaves_out(server: Any, example: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("comfy", "run", example, "--server", server.address)
    assert cli.main([*words, "--set", "FewstepKSampler.options=sigma_min=0.1"]) == 0
    assert cli.main([*words, "--set", "FewstepKSampler.options=nonsense"]) == 1
    assert "options: cannot read 'nonsense'" in capsys.readouterr().err
    assert cli.main([*words, "--set", "FewstepKSampler.option=rho=5"]) == 2
    assert "unknown input 'option'; did you mean 'options'" in capsys.readouterr().err


def test_timeout_stops_the_sampler(server: Any, example: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("comfy", "run", example, "--server", server.address, "--set", "FewstepKSampler.steps=9999")
    assert cli.main([*words, "--timeout", "3"]) == 1
    error = capsys.readouterr().err
    assert "did not end within 3 s" in error
    prompt_id = error.rpartition("prompt ")[2].split()[0]
    end = time.monotonic() + 30
    while (record := Server(server.address).history(prompt_id)) is None:
        assert time.monotonic() < end, "the sampler still runs"
        time.sleep(0.1)
    assert "execution_interrupted" in [kind for kind, _ in record["status"]["messages"]]
