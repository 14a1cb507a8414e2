"""The options through the API: used, written into the infotext, read back from it, and refused where they are wrong."""

from __future__ import annotations

from typing import Any

import pytest
from fewstep.a1111.fields import ORDER
from webui_host import Host, alwayson

LABEL = "Fewstep DPM++ 3M"


def settled(host: Host) -> dict[str, Any]:
    """The options of the last plan that ran, and whether answers were thresholded."""
    return dict(host.run("import sys; result = dict(probe.plan.options)"))


@pytest.fixture(autouse=True)
def watch(host: Host) -> None:
    """The probe keeps the plan that the door makes next."""
    host.run(
        """
import sys
door = sys.modules["fewstep_ext.a1111.sampling"]
if not hasattr(door, "unwatched"):
    door.unwatched = door.make_plan
    def make_plan(*args):
        probe.plan = door.unwatched(*args)
        probe.asked.append({**probe.plan.options, "thresholding": door.request.of(args[3]).bound})
        return probe.plan
    door.make_plan = make_plan
probe.asked = []
"""
    )


def test_the_api_lists_our_arguments_in_order(host: Host) -> None:
    info = next(
        each for each in host.get("/sdapi/v1/script-info") if each["name"] == "fewstep" and not each["is_img2img"]
    )
    assert info["is_alwayson"]
    assert [each["label"] for each in info["args"]] == list(ORDER)


def test_defaults_write_nothing(host: Host) -> None:
    picture = host.picture(sampler_name=LABEL, steps=6)
    assert picture.parameters["Sampler"] == LABEL
    assert "Fewstep variant" not in picture.infotext
    assert settled(host) == {"variant": "official", "start": "euler", "final": "off", "last": "denoise"}


@pytest.mark.parametrize(
    "arguments",
    [("paper", "2s", "on", "regular"), ({"variant": "paper", "start": "2s", "final": "on", "last": "regular"},)],
)
def test_arguments_by_position_and_by_name(host: Host, arguments: tuple[Any, ...]) -> None:
    picture = host.picture(sampler_name=LABEL, scheduler="Karras", steps=6, **alwayson(*arguments))
    assert settled(host) == {"variant": "paper", "start": "2s", "final": "on", "last": "regular"}
    found = {key: value for key, value in picture.parameters.items() if key.startswith("Fewstep ")}
    assert found == {
        "Fewstep variant": "paper",
        "Fewstep start": "2s",
        "Fewstep final": "on",
        "Fewstep last": "regular",
    }


def test_the_infotext_makes_the_same_picture_again(host: Host) -> None:
    if host.name == "forge":
        pytest.skip("Forge answers every request with an infotext with 500 (its own modules/api/api.py)")
    first = host.picture(sampler_name=LABEL, scheduler="Fewstep Time quadratic", steps=6, **alwayson("paper", "2s"))
    again = host.call("/sdapi/v1/txt2img", {"infotext": first.infotext})
    assert again.status == 200, again
    assert settled(host)["variant"] == "paper"
    assert settled(host)["start"] == "2s"
    assert again.body["images"] == first.images


def test_options_are_not_told_of_the_hosts_samplers(host: Host) -> None:
    picture = host.picture(sampler_name="Euler", **alwayson("paper", "2s"))
    assert "Fewstep" not in picture.infotext


@pytest.mark.parametrize(
    ("label", "arguments", "message"),
    [
        ("Fewstep DPM++ 2S", ({"start": "2s"},), "start: dpmpp_2s has no such option; set it back to 'auto'"),
        (LABEL, ({"variant": "taylor"},), "variant"),
        (LABEL, ("nonsense",), "variant is 'nonsense', expected one of default,"),
        (LABEL, ({"strat": "2s"},), "there is no field 'strat'"),
        (LABEL, ({"thresholding": -1},), "thresholding is -1, expected a number"),
        (LABEL, ({"thresholding": "much"},), "thresholding is 'much'"),
    ],
)
def test_bad_options_are_refused(host: Host, label: str, arguments: tuple[Any, ...], message: str) -> None:
    answer = host.refusal(sampler_name=label, **alwayson(*arguments))
    assert answer.status == 422, answer
    assert message in answer.body["detail"]
    assert not host.calls(), "the model was called before the request was refused"


def test_the_host_goes_on_after_a_refusal(host: Host) -> None:
    host.refusal(sampler_name=LABEL, **alwayson("nonsense"))
    assert len(host.picture(sampler_name=LABEL).images) == 1


def test_thresholding_bounds_the_result(host: Host) -> None:
    host.run("probe.answer = lambda x, sigma: 3.0 * torch.sign(x)")
    picture = host.picture(sampler_name=LABEL, **alwayson({"thresholding": 2}))
    assert picture.parameters["Fewstep thresholding"] == "2"
    assert float(host.tensor("last").abs().max()) == pytest.approx(2.0, rel=1e-4)
    host.picture(sampler_name=LABEL)
    assert float(host.tensor("last").abs().max()) == pytest.approx(3.0, rel=1e-4)


def test_a_second_pass_has_the_same_options(host: Host) -> None:
    picture = host.picture(
        sampler_name="Euler", hr_sampler_name=LABEL, enable_hr=True, hr_scale=2, hr_upscaler="Latent",
        denoising_strength=0.7, **alwayson({"last": "regular"}),
    )  # fmt: skip
    assert picture.parameters["Hires sampler"] == LABEL
    assert picture.parameters["Fewstep last"] == "regular"
    assert settled(host)["last"] == "regular"


def xyz_arguments(host: Host, label: str, values: str) -> list[Any]:
    """The X/Y/Z plot's arguments with one axis: the host's own defaults, with the type and the values of X replaced."""
    info = next(
        each for each in host.get("/sdapi/v1/script-info") if each["name"] == "x/y/z plot" and not each["is_img2img"]
    )
    arguments = [each["value"] for each in info["args"]]
    names = [each["label"] for each in info["args"]]
    choices = info["args"][names.index("X type")]["choices"]
    choices = [each[0] if isinstance(each, list) else each for each in choices]
    assert choices.count(label) == 1
    arguments[names.index("X type")] = choices.index(label)
    arguments[names.index("X values")] = values
    for other in ("Y type", "Z type"):
        arguments[names.index(other)] = choices.index("Nothing")
    # axes with choices take their values from the second control of this label
    arguments[names.index("X values") + 1] = values.split(",")
    return arguments


@pytest.mark.parametrize(("axis", "values"), [("last", "regular,denoise"), ("thresholding", "0,2")])
def test_axes_of_the_plot(host: Host, axis: str, values: str) -> None:
    arguments = xyz_arguments(host, f"[Fewstep] {axis}", values)
    host.picture(sampler_name=LABEL, steps=3, script_name="x/y/z plot", script_args=arguments)
    asked = [each[axis] for each in host.run("result = probe.asked")]
    assert asked == {"last": ["regular", "denoise"], "thresholding": [0.0, 2.0]}[axis]


def test_a_bad_value_on_an_axis_is_refused(host: Host) -> None:
    arguments = xyz_arguments(host, "[Fewstep] last", "sideways")
    answer = host.refusal(sampler_name=LABEL, script_name="x/y/z plot", script_args=arguments)
    assert "sideways" in str(answer.body)
    assert not host.calls()
