"""Comparing in the real host: its numbers are those of the Python package, on the same noise and the same function."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator
from typing import Any

import fewstep
import pytest
import torch
from doors import answer
from exact import CONDITION, exact_model
from harness import rms
from test_nodes import WIRES, base, node, python_model, refusal, report

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("host", "forgetful")]
Tensor = torch.Tensor
Graph = dict[str, Any]


@pytest.fixture
def forgetful() -> Iterator[None]:
    """No test goes on from what another one has compared."""
    from fewstep.nodes import compare

    compare._kept.clear()
    yield
    compare._kept.clear()


def denoise(x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    return answer(x, sigma.flatten())


class Vae:
    """Decodes the first three channels to pictures of twice the size, or a film of them."""

    def __init__(self, film: bool = False) -> None:
        self.film = film
        self.seen: list[Tensor] = []

    def decode(self, latents: Tensor) -> Tensor:
        self.seen.append(latents)
        flat = latents[:, :, 0] if self.film else latents
        pictures = flat[:, :3].movedim(1, -1).repeat_interleave(2, 1).repeat_interleave(2, 2).clamp(0, 1)
        film = [torch.zeros_like(pictures), pictures, torch.ones_like(pictures)]
        return torch.stack(film, 1) if self.film else pictures


def by_hand(patcher: Any, vae: Any = None, **inputs: Any) -> Any:
    from fewstep.nodes.compare import FewstepCompare

    given = {"latent_image": {"samples": torch.zeros(1, 4, 4, 4)}, "seed": 1, "cfg": 1.0, "reference_calls": 24}
    given |= {"settings": "dpmpp_2m,deis_tab2 karras 4,5", "samples": 4}
    return FewstepCompare().compare(patcher, CONDITION, CONDITION, vae or Vae(), **given | inputs)


@pytest.mark.parametrize(("network", "cfg", "batch"), [("vp", 3.0, 1), ("flow", 1.0, 3)])
def test_in_a_graph_it_says_what_the_python_package_says(
    run_graph: Callable[[Graph], Any], network: str, cfg: float, batch: int
) -> None:
    settings = "auto auto 4,6\ndpmpp_2m,deis_tab2 beta 4,6  # a remark"
    compare = node(
        "FewstepCompare", **WIRES, vae=["demo", 3], seed=5, cfg=cfg, settings=settings, samples=4, reference_calls=24
    )
    graph = base(network, batch) | {
        "compare": compare,
        "grid": node("SaveImage", images=["compare", 0], filename_prefix="grid"),
        "plot": node("SaveImage", images=["compare", 1], filename_prefix="plot"),
        "text": node("PreviewAny", source=["compare", 2]),
        "table": node("PreviewAny", source=["compare", 3]),
        "csv": node("PreviewAny", source=["compare", 4]),
    }
    done = run_graph(graph)
    sentence, csv = report(done), report(done, "csv")

    from fewstep.nodes import demo_host
    from fewstep.nodes.inside import range_of

    where = range_of(demo_host.model(network))
    count = 4 if batch == 1 else 6  # whole batches
    noise = torch.randn(count, 1, 32, 32, generator=torch.manual_seed(5))
    model = python_model(network, cfg, batch)

    def whole(x: Tensor, sigma: Tensor) -> Tensor:
        """One state alone is asked with the condition of the first."""
        return model(x.expand(batch, *x.shape[1:]), sigma.expand(batch))[: len(x)]

    found = fewstep.compare(
        whole, noise * (1 + where.sigma_max**2) ** 0.5 if network == "vp" else noise,
        settings.partition("  #")[0].splitlines(), frame=where.frame, sigma_max=where.sigma_max,
        sigma_min=where.sigma_min, guidance=cfg, reference_calls=24, batch=batch,
    )  # fmt: skip
    names = [line.split(",")[0] for line in csv.splitlines()]
    assert names == ["setting", *(row["setting"] for row in found.table)]
    head = csv.splitlines()[0].split(",")
    errors = [float(line.split(",")[head.index("error")]) for line in csv.splitlines()[1:]]
    print(network, errors, [row["error"] for row in found.table])
    # two implementations round the network's answers in float32: measured 4e-6
    assert errors == pytest.approx([row["error"] for row in found.table], rel=1e-4)
    assert sentence
    assert sentence in report(done, "table")
    assert all(len(done.history["outputs"][name]["images"]) == 1 for name in ("grid", "plot"))


def test_the_pictures_are_what_the_host_decodes(host: types.SimpleNamespace) -> None:
    """Scaled as the host's latents are, a film by its middle picture; both layouts of the grid."""
    patcher = exact_model(denoise, "FLOW", {})
    patcher.model.latent_format.scale_factor = 0.5
    vae = Vae()
    grid, plot, *_ = by_hand(patcher, vae)
    assert grid.shape[0] == plot.shape[0] == 1
    assert grid.shape[-1] == plot.shape[-1] == 3
    assert 0.0 <= float(grid.min()) < float(grid.max()) <= 1.0
    from fewstep.nodes import compare

    [(kept, _)] = compare._kept
    assert torch.allclose(vae.seen[0], kept.ends[:1] / 0.5)
    row = by_hand(patcher, vae, settings="dpmpp_2m,deis_tab2 karras 4")[0]
    # four samples side by side are wider than two numbers of calls
    assert row.shape != grid.shape

    film = exact_model(denoise, "FLOW", {})
    film.model.latent_format.latent_dimensions = 3
    vae = Vae(film=True)
    shown = by_hand(film, vae, latent_image={"samples": torch.zeros(1, 4, 2, 4, 4)})[0]
    assert vae.seen[0].ndim == 5
    assert rms(shown - shown.mean()) > 0.01  # the first picture is black and the last white, in the whole film


def test_settings_that_are_added_cost_their_own_calls_alone(host: types.SimpleNamespace) -> None:
    patcher = exact_model(denoise, "EPS", {})
    *_, csv = by_hand(patcher)
    first = len(patcher.model.asked)
    assert first > 24 * 4
    patcher.model.asked.clear()
    *_, longer = by_hand(patcher, settings="dpmpp_2m,deis_tab2 karras 4,5,6")
    # two settings of 6 calls on 4 samples, a call to warm up, three for the fingerprint and two that are timed
    assert len(patcher.model.asked) == 2 * 6 * 4 + 1 + 3 + 2
    errors = [{line.split(",")[0]: line.split(",")[6] for line in text.splitlines()} for text in (csv, longer)]
    assert errors[0].items() <= errors[1].items()
    # what is near enough is asked of what is known; without it the default is what it always is
    patcher.model.asked.clear()
    near = by_hand(patcher, within=5.0)[2]
    assert len(patcher.model.asked) == 3 + 2
    assert "within 5" in near
    assert by_hand(patcher)[2] != near
    # other noise or another model is another comparison
    for change in ({"seed": 2}, {"latent_image": {"samples": torch.zeros(1, 4, 4, 8)}}, {"reference_calls": 26}):
        patcher.model.asked.clear()
        by_hand(patcher, **change)
        assert len(patcher.model.asked) >= first, change
    other = exact_model(lambda x, alpha, sigma: 0.5 * denoise(x, alpha, sigma), "EPS", {})
    by_hand(other, **change)
    assert len(other.model.asked) >= first


def test_an_interrupted_comparison_goes_on(host: types.SimpleNamespace) -> None:
    import comfy.model_management as management

    whole = by_hand(exact_model(denoise, "EPS", {}))
    from fewstep.nodes import compare

    compare._kept.clear()
    limit = [24 * 4 + 12 * 4 + 30]

    def interrupting(x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        if len(patcher.model.asked) == limit[0]:
            management.interrupt_current_processing()
        return denoise(x, alpha, sigma)

    patcher = exact_model(interrupting, "EPS", {})
    with pytest.raises(management.InterruptProcessingException):
        by_hand(patcher)
    [(kept, _)] = compare._kept
    assert 1 <= len(kept.rows) < 4
    limit[0] = -1
    patcher.model.asked.clear()
    again = by_hand(patcher)
    assert len(patcher.model.asked) < 24 * 4
    assert torch.equal(again[0], whole[0])
    assert again[2] == whole[2]


def test_a_profile_is_compared_with_the_others(
    host: types.SimpleNamespace, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    import test_tune

    monkeypatch.setenv("FEWSTEP_DATA", str(tmp_path))
    from fewstep.nodes.compare import FewstepCompare

    before = FewstepCompare.IS_CHANGED(settings="profile:mine 4")
    patcher = exact_model(denoise, "EPS", {})
    test_tune.by_hand(patcher, options="teacher_calls=15, rounds=4", samples=32)
    *_, table, csv = by_hand(patcher, settings="dpmpp_2m karras 4\nprofile:mine 4", samples=16)
    errors = {line.split(",")[0]: float(line.split(",")[6]) for line in csv.splitlines()[1:]}
    print(errors)
    assert fewstep.load_profile("profile:mine").entries[4].tuned
    assert errors["profile:mine 4"] < errors["dpmpp_2m karras 4"]
    assert "profile:mine 4" in table
    assert FewstepCompare.IS_CHANGED(settings="profile:mine 4") != before
    assert FewstepCompare.IS_CHANGED(settings="auto auto 4") == []


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ("", "settings: no settings to compare; expected 'SOLVERS SCHEDULES CALLS"),
        ("# nothing", "settings: no settings to compare"),
        ("dpmp_2m karras 5", "settings: setting 'dpmp_2m karras 5': unknown solver 'dpmp_2m'; did you mean 'dpmpp_2m'"),
        ("dpmpp_2m karras", "settings: setting 'dpmpp_2m karras': expected 'SOLVERS SCHEDULES CALLS"),
        ("profile:nobody 5", "settings: setting 'profile:nobody 5': there is no profile at"),
        ("dpmpp_2m_sde karras 5", "settings: setting 'dpmpp_2m_sde karras 5': dpmpp_2m_sde adds noise"),
        ("nonsense\nrk45 karras 5", "settings: 2 faults: "),
    ],
)
def test_bad_settings_are_told_before_any_call(run_graph: Callable[[Graph], Any], settings: str, words: str) -> None:
    compare = node("FewstepCompare", **WIRES, vae=["demo", 3], seed=5, cfg=1.0, settings=settings, samples=4)
    graph = base("vp", 1) | {"compare": compare, "text": node("PreviewAny", source=["compare", 2])}
    assert words in refusal(run_graph(graph), "compare")
