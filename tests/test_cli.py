"""The command line, mostly in this process; what needs a process of its own is at the end."""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import fewstep
import pytest
import torch
from fewstep.commands import cli, showcase
from fewstep.commands.defaults import DEFAULTS, MODELS
from fewstep.demo import models
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
TABLES = {"solvers": fewstep.solvers(), "schedules": fewstep.schedules()}


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Default output folders are relative: never write into the checkout."""
    monkeypatch.chdir(tmp_path)


def strict(text: str) -> Any:
    """JSON without the NaN and Infinity that Python alone would accept."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    return json.loads(text, parse_constant=refuse)


def size(path: Path) -> tuple[int, int]:
    with Image.open(path) as picture:
        return picture.size


def say(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """What a command that must succeed prints."""
    status = cli.main(words)
    captured = capsys.readouterr()
    assert status == 0, captured.err
    return captured.out


# --- list ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", TABLES)
def test_list_shows_every_row(capsys: pytest.CaptureFixture[str], table: str) -> None:
    words = say(capsys, "list", table).split()
    for row in TABLES[table].values():
        missing = {row.id, *row.frames, *row.label.split()} - set(words)
        assert not missing, row.id
    assert set(say(capsys, "list").split()) >= set(words)


@pytest.mark.parametrize("id", [id for rows in TABLES.values() for id in rows])
def test_list_explains_a_row(capsys: pytest.CaptureFixture[str], id: str) -> None:
    text = " ".join(say(capsys, "list", id).split())
    row = next(rows[id] for rows in TABLES.values() if id in rows)
    for option in row.options:
        if option.text:
            values: Sequence[Any] = (f"{option.name}=NAME",)
        else:
            values = option.choices or (f"{option.low:g}..{option.high:g}", f"{option.name}={option.default:g}")
        for expected in (option.name, option.help, *map(str, values)):
            assert expected in text
    assert not [part for part in (row.label, row.reference, row.about, *row.aliases) if part not in text]
    if id in TABLES["solvers"]:
        assert all(str(order) in text for order in row.orders.values())


def test_list_by_alias(capsys: pytest.CaptureFixture[str]) -> None:
    assert say(capsys, "list", "dpmpp_fast") == say(capsys, "list", "dpmpp_3s")


def test_list_for_machines(capsys: pytest.CaptureFixture[str]) -> None:
    found = strict(say(capsys, "list", "--json"))
    for name, rows in TABLES.items():
        assert [record["id"] for record in found[name]] == list(rows)
        for record, row in zip(found[name], rows.values(), strict=True):
            assert tuple(record["frames"]) == row.frames
            assert record["reference"] == row.reference
            assert {each["name"]: each["default"] for each in record["options"]} == {
                o.name: o.default for o in row.options
            }
    dpmpp_3m = next(record for record in found["solvers"] if record["id"] == "dpmpp_3m")
    assert dpmpp_3m["orders"] == {"paper": 3, "official": 2}
    karras = next(record for record in found["schedules"] if record["id"] == "karras")
    assert (karras["options"][0]["low"], karras["options"][0]["high"]) == (0.5, 100.0)


# --- plot ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("dpm_solver_3s", "--frame", "vp", "--calls", "11", "--option", "nodes=paper"),
        ("--frame", "flow", "--calls", "1"),
        ("deis_tab3", "--calls", "60", "--end", "sigma_min"),
    ],
)
def test_plot_draws(capsys: pytest.CaptureFixture[str], tmp_path: Path, words: tuple[str, ...]) -> None:
    text = say(capsys, "plot", *words, "--out", "new/plan.png")
    assert min(size(tmp_path / "new" / "plan.png")) > 400
    with Image.open(tmp_path / "new" / "plan.png") as picture:
        dark, light = picture.convert("L").getextrema()
    assert dark < 100 < 240 < light
    assert "model calls" in text


def test_plot_for_machines(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    words = ("dpmpp_3m", "--schedule", "edm", "--schedule-option", "rho=5", "--calls", "6", "--sigma-max", "80")
    found = strict(say(capsys, "plot", *words, "--option", "variant=official", "--json"))
    sigmas = fewstep.schedule("karras", 6, rho=5.0, sigma_max=80.0)
    plan = fewstep.plan("dpmpp_3m", sigmas, variant="official")
    assert found["sigmas"] == sigmas
    assert found["schedule"] == "karras"
    assert found["order"] == 2
    assert found["options"]["variant"] == "official"
    for record, call in zip(found["calls"], plan, strict=True):
        assert (record["scale"], tuple(record["weights"])) == (call.scale, call.weights)
        assert (record["form"], record["clock"], record["exact_degree"]) == (call.form, call.clock, call.exact_degree)
        assert record["level"]["host"] == call.level.host
    assert found["calls"][-1]["target"]["lam"] is None  # infinite at sigma 0
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("frame", DEFAULTS)
def test_defaults_fit_together(capsys: pytest.CaptureFixture[str], frame: str) -> None:
    found = strict(say(capsys, "plot", "--frame", frame, "--json"))
    row = DEFAULTS[frame]
    assert (row.solver, row.schedule, len(found["calls"])) == ("auto", "auto", row.calls)
    # what was chosen is said
    assert found["solver"] in fewstep.solvers()
    assert found["notes"][0] == f"chosen by auto for {row.calls} calls on {frame}"
    assert found["schedule"].removeprefix("auto: ") in fewstep.schedules()


# --- sample ----------------------------------------------------------------------------------------------------------

SMALL = ("sample", "--calls", "3", "--count", "1", "--classes", "trouser,8")


@pytest.mark.parametrize("model", MODELS)
def test_sample(capsys: pytest.CaptureFixture[str], tmp_path: Path, model: str) -> None:
    record = strict(say(capsys, *SMALL, "--model", model, "--seed", "5", "--json", "--out", "a.png"))
    assert record["classes"] == [1, 8]
    assert record["calls"] == 3
    assert record["solver"].removeprefix(f"{DEFAULTS[MODELS[model]].solver}: ") in fewstep.solvers()
    assert record["path"] == "a.png"
    assert 0 < record["seconds"] < 60
    say(capsys, *SMALL, "--model", model, "--seed", "5", "--json", "--out", "b.png")
    say(capsys, *SMALL, "--model", model, "--seed", "6", "--json", "--out", "c.png")
    pictures = {name: (tmp_path / f"{name}.png").read_bytes() for name in "abc"}
    assert pictures["a"] == pictures["b"]
    assert pictures["a"] != pictures["c"]
    width, height = size(tmp_path / "a.png")
    assert width > 2 * 64
    assert height > 64


def test_sample_shows_its_progress(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(SMALL) == 0
    captured = capsys.readouterr()
    assert "3/3" in captured.err
    assert "2 pictures, 3 model calls each" in captured.out
    assert Path("out", "sample.png").is_file()


def test_sample_reports_where_its_error_is_made(capsys: pytest.CaptureFixture[str]) -> None:
    args = (*SMALL, "--calls", "6", "--report")
    calls = strict(say(capsys, *args, "--json"))["report"]["calls"]
    assert [each["call"] for each in calls] == [1, 2, 3, 4, 5, 6]
    assert sum(each["share"] or 0.0 for each in calls) == pytest.approx(1.0)
    text = say(capsys, *args)
    assert "error of the lower order in each step, as at the end (median of 2)" in text
    assert "report" not in strict(say(capsys, *SMALL, "--json"))


@pytest.mark.parametrize("model", MODELS)
def test_networks_know_their_classes(model: str) -> None:
    """Trousers and bags differ in every row of pixels; guidance and the frame are set up right if these do."""
    defaults = DEFAULTS[MODELS[model]]
    plan = fewstep.plan(defaults.solver, fewstep.schedule(defaults.schedule, 10, frame=MODELS[model]), MODELS[model])
    pictures = models.draw(plan, models.denoiser(model, [1, 8] * 3, 2.0), models.noise(plan, 6, seed=0))
    assert pictures.shape == (6, 1, 32, 32)
    assert 0.8 < float(pictures.amax()) < 1.5
    lit = (pictures[:, 0] > 0).float().mean((1, 2))
    assert bool((lit[1::2] > 1.3 * lit[0::2]).all()), lit  # a bag covers more than trousers
    corners = pictures[:, 0, :3, :3]
    assert float(corners.mean()) < -0.9  # the background is black


# --- bad input -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("list solverz", ("'solverz'", "'solvers'")),
        ("plot dpmp_2m", ("unknown solver 'dpmp_2m'", "did you mean 'dpmpp_2m'")),
        ("plot --frame eps", ("unknown frame 'eps'",)),
        ("plot --schedule karas", ("unknown schedule 'karas'", "'karras'")),
        ("plot --calls 0", ("0",)),
        ("plot --calls many", ("--calls", "many")),
        ("plot --sigma-min 20", ("20",)),
        ("plot --sigma-max nan", ("nan",)),
        ("plot flow_ab3", ("flow_ab3", "ve")),
        ("plot --frame flow --sigma-max 14", ("14",)),
        ("plot dpmpp_2m --option last=regulr", ("'regulr'", "'regular'")),
        ("plot dpmpp_2m --option lats=regular", ("'lats'", "'last'")),
        ("plot dpmpp_2m --option eta=0.5", ("eta", "deterministic")),
        ("plot dpm_solver_23", ("'dpm_solver_23'", "chooses its steps while it runs")),
        ("plot dpmpp_1s --option last=regular", ("no options", "'last'")),
        ("plot dpmpp_2m --option last", ("'last'", "NAME=VALUE")),
        ("plot dpmpp_2m --option last=auto --option last=denoise", ("twice",)),
        ("plot --schedule karras --schedule-option rho=seven", ("'seven'", "a number")),
        ("plot --schedule karras --schedule-option rho=0", ("0.5..100",)),
        ("plot --schedule karras --schedule-option rho=nan", ("0.5..100",)),
        ("plot --out plan.txt", ("'plan.txt'", ".png")),
        ("plot --colour red", ("--colour",)),
        ("sample --model sd", ("unknown model 'sd'", "flow", "vp")),
        ("sample --classes shoe", ("unknown class 'shoe'", "sneaker")),
        ("sample --classes 10", ("unknown class '10'",)),
        ("sample --count 0", ("--count is 0", "1 to 100000")),
        ("sample --seed -1", ("--seed is -1",)),
        ("sample --guidance inf", ("--guidance is inf",)),
        ("sample --out .", ("--out",)),
        ("sample --solver flow_ab3 --model vp", ("flow_ab3", "vp")),
        ("compare --model sd", ("unknown model 'sd'", "flow", "vp")),
        ("compare --count 0", ("--count is 0",)),
        ("compare --classes shoe", ("unknown class 'shoe'",)),
        ("compare --reference-calls 1", ("reference_calls is 1",)),
        ("compare --count 1000000000", ("--count is 1000000000", "1 to 100000")),
        ("compare --within 0", ("within is 0.0",)),
        ("compare --within inf", ("within is inf",)),
        ("compare flow_ab2", ("'flow_ab2'", "SOLVERS SCHEDULES CALLS")),
        ("train", ("train",)),
        ("", ("COMMAND",)),
    ],
)
def test_bad_input_is_one_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, line: str, words: tuple[str, ...]
) -> None:
    try:
        status = cli.main(line.split())
    except SystemExit as stop:  # argparse's own checks
        status = stop.code
    captured = capsys.readouterr()
    assert status == 2
    assert captured.out == ""
    assert captured.err.startswith("fewstep")
    assert captured.err.count("\n") == 1
    assert not [word for word in words if word not in captured.err], captured.err
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_output_that_cannot_be_written(capsys: pytest.CaptureFixture[str]) -> None:
    Path("file").touch()
    assert cli.main(["plot", "--out", "file/plan.png"]) == 2
    assert "file" in capsys.readouterr().err


def test_nan_stops_the_run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "denoiser", lambda *_: lambda x, sigma: torch.full_like(x, math.nan))
    assert cli.main([*SMALL, "--json"]) == 1
    error = capsys.readouterr().err
    assert "NaN" in error
    assert "call 0" in error
    assert not Path("out", "sample.png").exists()


def test_a_missing_package_is_named(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "fewstep.commands.plan_figure", raising=False)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)  # Python's way to say: not installed
    assert cli.main(["plot"]) == 2
    assert "pip install matplotlib" in capsys.readouterr().err


@pytest.mark.parametrize("words", [(), *((name,) for name in cli.COMMANDS)])
def test_help(capsys: pytest.CaptureFixture[str], words: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main([*words, "--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    takes_ids = ("--json", *TABLES["solvers"])
    expected = {
        (): cli.COMMANDS,
        ("demo",): ("--out",),
        ("statistics",): ("--json", "--out"),
        ("tune",): ("--json", "--calls", "--count", "--name"),
        ("comfy",): ("run",),
    }.get(words, takes_ids)
    assert not [name for name in expected if name not in text]


# --- compare ---------------------------------------------------------------------------------------------------------

COMPARED = ("compare", "flow_ab1,flow_ab2 beta 3,6", "--count", "4", "--batch", "2", "--reference-calls", "20")


def test_compare_writes_its_folder(capsys: pytest.CaptureFixture[str]) -> None:
    text = say(capsys, *COMPARED, "--steps", "--classes", "0,bag")
    folder = Path("out", "compare")
    record = strict((folder / "table.json").read_text(encoding="utf-8"))
    assert [row["setting"] for row in record["table"]] == [
        "flow_ab1 beta 3", "flow_ab1 beta 6", "flow_ab2 beta 3", "flow_ab2 beta 6",
    ]  # fmt: skip
    errors = {row["setting"]: row["error"] for row in record["table"]}
    assert errors["flow_ab2 beta 6"] < errors["flow_ab2 beta 3"]
    assert record["sentence"] in text
    assert record["conditions"] == "flow, guidance 2, classes 0,8,0,8"
    assert "flow_ab2 beta 6: " in text  # of --steps
    assert (folder / "table.csv").read_text(encoding="utf-8").count("\n") == 5
    for name in ("plot.png", "grid.png"):
        assert min(size(folder / name)) > 200
    # all of it is known: the same command asks three times who the model is, and other noise is refused
    before = (folder / "table.csv").read_bytes()
    say(capsys, *COMPARED, "--classes", "0,bag")
    assert (folder / "table.csv").read_bytes() == before
    assert cli.main([*COMPARED, "--classes", "0,bag", "--seed", "1"]) == 2
    assert "give another --out, or delete it" in capsys.readouterr().err
    assert cli.main([*COMPARED, "--classes", "0,1"]) == 2
    assert "has conditions" in capsys.readouterr().err


def test_compare_has_settings_of_its_own_for_each_model() -> None:
    """Every one of them exists: nothing is left out."""
    from fewstep.commands.defaults import COMPARED as SETTINGS
    from fewstep.samplers.noise_range import NoiseRange
    from fewstep.samplers.settings import candidates
    from fewstep.samplers.times import sigma_range

    for model, frame in MODELS.items():
        where = fewstep.frame(frame)
        low, high = sigma_range(where.time)
        found = candidates(SETTINGS[model], NoiseRange(where, high, low), 2.0)
        assert not [each.name for each in found if each.plan is None]
        assert found[0].setting.solver == "auto"


def test_compare_speaks_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([*COMPARED[:1], "ddim karras 2", *COMPARED[2:], "--model", "vp", "--json", "--within", "9"]) == 0
    captured = capsys.readouterr()
    assert strict(captured.out)["sentence"].startswith("ddim karras 2 is the cheapest within 9 of the reference")
    assert captured.err == ""


def test_an_interrupted_compare_goes_on(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped at the second setting's first model call; the second time only that setting is run."""
    from fewstep.demo import models as demo_models

    asked: list[float] = []
    real = demo_models.denoiser
    most = [10**9]

    def counted(*args: Any) -> Any:
        denoiser = real(*args)

        def model(x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
            if len(asked) == most[0]:
                raise KeyboardInterrupt
            asked.append(float(sigma[0]))
            return denoiser(x, sigma)

        return model

    monkeypatch.setattr(demo_models, "denoiser", counted)
    words = ("compare", "flow_ab1 beta 3,6", "--count", "4", "--batch", "4", "--reference-calls", "20")
    most[0] = 10
    assert cli.main(words) == 130
    assert "before the reference was made" in capsys.readouterr().err
    asked.clear()
    most[0] = 3 + 20 + 10 + 3
    assert cli.main(words) == 130
    assert "the reference and 1 setting(s) are in out/compare/comparison.safetensors" in capsys.readouterr().err
    asked.clear()
    most[0] = 10**9
    say(capsys, *words)
    assert len(asked) == 3 + 1 + 6


def test_compare_says_before_the_work_what_is_wrong_with_its_folder(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    assert cli.main([*COMPARED, "--json", "--out", str(tmp_path / "file" / "out")]) == 2
    captured = capsys.readouterr()
    assert (captured.out, captured.err.count("\n")) == ("", 1)
    assert "cannot be written" in captured.err
    (tmp_path / "comparison.safetensors").write_bytes(b"torn")
    assert cli.main([*COMPARED, "--json", "--out", str(tmp_path)]) == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert "give another --out, or delete it" in captured.err


# --- demo ------------------------------------------------------------------------------------------------------------


def test_demo(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The main job, smaller: all files are there, and more calls come nearer to the reference."""
    monkeypatch.setattr(showcase, "CALLS", (2, 6))
    monkeypatch.setattr(showcase, "REFERENCE_CALLS", (24, 12))
    text = say(capsys, "demo", "--out", "made")
    table = Path("made", "demo.md").read_text(encoding="utf-8")
    assert table.strip() in text
    lines = Path("made", "demo.csv").read_text(encoding="utf-8").splitlines()
    rms = {tuple(row[key] for key in (0, 2, 3)): float(row[5]) for row in (line.split(",") for line in lines[1:])}
    assert len(rms) == 2 * sum(len(study.solvers) for study in showcase.STUDIES) == table.count("\n") - 2
    for study in showcase.STUDIES:
        for solver in study.solvers:
            assert rms[study.model, solver, "6"] < rms[study.model, solver, "2"]
    for name in ("demo.png", "plan.png"):
        assert min(size(Path("made", name))) > 500


def test_demo_refuses_a_reference_that_has_not_converged(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(showcase, "CALLS", (6,))
    monkeypatch.setattr(showcase, "REFERENCE_CALLS", (7, 2))
    assert cli.main(["demo"]) == 2
    assert "has not converged" in capsys.readouterr().err


# --- in a process of its own -----------------------------------------------------------------------------------------


def python(*words: str, **more: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-W", "error", *words], capture_output=True, text=True, check=False, **more)


def test_a_checkout_runs_under_any_name(tmp_path: Path) -> None:
    """`python FOLDER`, from elsewhere; and the folder's own modules do not answer to other people's imports."""
    folder = tmp_path / "few-step.main"
    folder.mkdir()
    for name in ("__init__.py", "__main__.py"):
        shutil.copy(ROOT / name, folder)
    for name in ("samplers", "commands"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    done = python(str(folder), "--version", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, f"fewstep {fewstep.__version__}\n"), done.stderr
    inside = python(".", "list", "ddim", cwd=folder)
    assert inside.returncode == 0, inside.stderr
    code = f"import runpy, sys; sys.argv = ['x', 'list']\ntry: runpy.run_path({str(folder)!r}, run_name='__main__')\n"
    code += "except SystemExit as stop: assert stop.code == 0\n"
    code += "assert 'torch' not in sys.modules and 'matplotlib' not in sys.modules\n"
    code += "try: import samplers\nexcept ImportError: pass\nelse: raise AssertionError('samplers is on sys.path')"
    done = python("-c", code, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_a_reader_that_goes_away() -> None:
    running = subprocess.Popen(
        [sys.executable, str(ROOT), "list"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert running.stdout is not None
    assert running.stderr is not None
    running.stdout.close()
    assert running.stderr.read() == ""
    assert running.wait(timeout=60) == 0
    running.stderr.close()


def test_interrupt_is_quiet() -> None:
    words = [sys.executable, str(ROOT), "sample", "--calls", "900", "--count", "1"]
    running = subprocess.Popen(words, stderr=subprocess.PIPE, env={**os.environ, "PYTHONUNBUFFERED": "1"})
    assert running.stderr is not None
    try:
        seen = b""
        while not re.search(rb" [1-9]\d*/900", seen):  # the bar may leave out numbers
            piece = os.read(running.stderr.fileno(), 1000)
            assert piece, seen
            seen += piece
        running.send_signal(signal.SIGINT)
        rest = running.stderr.read()
        assert running.wait(timeout=60) == 130
        assert b"Traceback" not in rest
    finally:
        running.kill()
        running.wait()
        running.stderr.close()
    assert not Path("out", "sample.png").exists()


@pytest.mark.parametrize("name", ["solvers", "schedules"])
def test_docs_pages_are_current(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """`make docs` writes them; this fails when a table has changed since."""
    from fewstep.commands import cli

    assert cli.main(["list", name, "--markdown"]) == 0
    assert (ROOT / "docs" / f"{name}.md").read_text() == capsys.readouterr().out


def test_auto_is_listed_by_its_name(capsys: pytest.CaptureFixture[str]) -> None:
    found = strict(say(capsys, "list", "auto", "--json"))
    assert [row["id"] for rows in found.values() for row in rows] == ["auto", "auto"]
    assert "guidance" in say(capsys, "list", "auto")
