"""The accordion, the menus, the settings and the X/Y/Z plot on a running host's page, in headless Chromium.

FEWSTEP_SCREENSHOTS=1 writes the pictures of docs/img/ that show the page; without it the tests write nothing.
"""

from __future__ import annotations

import importlib.util
import io
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fewstep.a1111.fields import fields
from fewstep.a1111.words import sampler_label, schedule_label
from fewstep.samplers.menu import menu
from fewstep.samplers.schedules import schedules
from fewstep.samplers.solvers import solver
from harness import made_profile
from PIL import Image
from webui_host import Host
from webui_page import CHROMIUM, LONG, Page

IMAGES = Path(__file__).resolve().parents[2] / "docs" / "img"
OURS = "Fewstep "
#: the picture that most tests ask for
INFOTEXT = "a cat\nSteps: 6, Sampler: {sampler}, Schedule type: {schedule}, CFG scale: 3, Seed: 1, Size: 64x64{more}"


def infotext(sampler: str, schedule: str = "Karras", **more: Any) -> str:
    added = "".join(f", {OURS}{name}: {value}" for name, value in more.items())
    return INFOTEXT.format(sampler=sampler, schedule=schedule, more=added)


def needed(found: Any, what: str) -> Any:
    if found:
        return found
    if os.environ.get("FEWSTEP_REQUIRE_HOSTS") == "1":
        pytest.fail(f"{what} is not installed, and FEWSTEP_REQUIRE_HOSTS asks for it")
    return pytest.skip(f"{what} is not installed: the tests of the page are left out")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    needed(importlib.util.find_spec("playwright"), "playwright")
    chromium = needed(shutil.which("chromium"), "chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM)
        yield found
        found.close()


@pytest.fixture
def opened(request: pytest.FixtureRequest, browser: Any, host: Host) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 1400})
    found = Page(context.new_page(), host, getattr(request, "param", "txt2img"))
    found.open()
    yield found
    found.page.unroute_all(behavior="ignoreErrors")
    context.close()
    assert found.errors == []
    for file in ("script", "preview"):  # errors of what the page calls
        assert f"/a1111/{file}.py" not in host.log.read_text(errors="replace")


@pytest.fixture
def page(opened: Page) -> Page:
    """A page with a model (Forge loads it with the first picture) and our accordion open."""
    if opened.host.run("result = type(shared.sd_model).__name__") == "FakeInitialModel":
        opened.host.picture()
        opened.host.reset()
    opened.open_accordion()
    return opened


both = pytest.mark.parametrize("opened", ["txt2img", "img2img"], indirect=True)


# --- menus -----------------------------------------------------------------------------------------------------------


def ours(labels: list[str]) -> list[str]:
    return [label for label in labels if label.startswith(OURS)]


def samplers(size: str) -> list[str]:
    return list(dict.fromkeys(sampler_label(solver(id)) for id in menu(size).values()))


# --- settings --------------------------------------------------------------------------------------------------------


# first, because gradio's "Reload UI" waits for ever for pages that earlier tests closed in the middle of a request
def test_the_size_of_the_menu_is_a_setting(opened: Page) -> None:
    def check(size: str) -> None:
        opened.go_to("txt2img")
        assert ours(opened.listed(opened.at("sampling"))) == samplers(size)

    try:
        opened.settings("all")
        radios = opened.page.locator("#column_settings_fewstep .gradio-radio")
        assert radios.count() == 2
        opened.reload_ui()
        check("all")
        opened.go_to("settings")
        opened.reload_ui()
        check("all")
        opened.open_accordion()
        opened.choose(opened.at("sampling"), "Fewstep DPM++ 2M")
        opened.says(opened.own("words"), "linear extrapolation in lambda")
        opened.settings("short")
        opened.reload_ui()
        check("short")
    finally:
        opened.host.call("/sdapi/v1/options", {"fewstep_sampler_menu": "short"}, LONG)
    # known and not traced: after a Reload UI, and only then, gradio 3's page stumbles once over each change from a
    # sampler of the host to one of ours, which takes effect all the same
    opened.errors[:] = [each for each in opened.errors if "reading 'props'" not in each]


@both
def test_our_samplers_and_schedules_are_in_the_menus(opened: Page) -> None:
    assert ours(opened.listed(opened.at("sampling"))) == samplers("short")
    short = opened.host.run("from fewstep_ext.a1111.menus import SHORT_SCHEDULES as result")
    expected = [schedule_label(schedules()[id]) for id in short]
    assert ours(opened.listed(opened.at("scheduler"))) == expected


# --- the accordion ---------------------------------------------------------------------------------------------------


def labels(page: Page) -> dict[str, str]:
    place = "[data-testid=block-info]"
    return {each.name: page.text(f"{page.own(each.name)} {place}").strip() for each in fields()}


@both
def test_the_accordion_has_a_field_per_option(opened: Page) -> None:
    assert not opened.text(opened.own("words"))
    opened.open_accordion()
    assert not opened.text(opened.own("eta"))
    opened.open_more()
    assert labels(opened) == {each.name: each.name for each in fields()}
    for each in fields():
        assert opened.value(opened.own(each.name)) == defaults()[each.name]
        if each.choices:
            assert opened.listed(opened.own(each.name)) == list(each.choices)


@both
def test_words_and_labels_follow_the_sampler(page: Page) -> None:
    page.open_more()
    page.says(page.own("words"), "the host's own")
    page.choose(page.at("sampling"), "Fewstep DPM++ 2S")
    page.says(page.own("words"), "Singlestep: blocks of 2 calls")
    page.says(page.own("meanings"), "how n calls become blocks")
    page.until(lambda: labels(page)["start"] == "start (unused)", "start is marked")
    unused = [name for name, label in labels(page).items() if label.endswith("(unused)")]
    used = {option.name for option in solver("dpmpp_2s").options} | {"thresholding", "profile"}
    assert unused == [each.name for each in fields() if each.name not in used]
    page.choose(page.at("sampling"), "Fewstep DEIS tAB3")
    page.says(page.own("words"), "polynomial of degree 3")
    page.says(page.own("meanings"), "how the history begins")
    page.until(lambda: labels(page)["start"] == "start", "start is not marked")
    page.choose(page.at("sampling"), "Euler")
    page.says(page.own("words"), "the host's own")
    page.until(lambda: page.text(page.own("meanings")) == "", "no option is explained")
    page.until(lambda: labels(page)["split"] == "split", "nothing is marked")


def test_an_option_that_the_sampler_lacks_is_told_before_and_by_the_run(page: Page) -> None:
    page.paste(infotext("Fewstep DPM++ 3M", start="2s"))
    page.says(page.own("words"), "quadratic extrapolation")
    assert "No picture" not in page.text(page.own("words"))
    page.choose(page.at("sampling"), "Fewstep DPM++ 2S")
    assert page.value(page.own("start")) == "2s"
    page.says(page.own("words"), "No picture can be made with these options: start: dpmpp_2s has no such option")
    told = page.generate()
    if page.host.name == "reforge":
        # its modules_forge/main_thread.py prints an error and forgets it, whatever the error; the words above stay
        assert "TypeError: 'NoneType' object is not iterable" in told
        told = page.host.tail(200)
    assert "Fewstep: start: dpmpp_2s has no such option; set it back to 'auto'" in told
    assert page.host.calls() == []
    page.choose(page.own("start"), "auto")
    page.until(lambda: "No picture" not in page.text(page.own("words")), "the warning goes away")


# --- the plan --------------------------------------------------------------------------------------------------------


def levels(picture: Image.Image) -> int:
    """The ticks on the picture's axis: one for each level of the plan."""
    assert picture.size == (1120, 560)
    dark = [picture.convert("L").getpixel((x, 440)) < 100 for x in range(130, 1060)]
    return sum(here and not before for before, here in zip([False, *dark], dark, strict=False))


def shown(page: Page, calls: int) -> Image.Image:
    """The plan's picture, once it is that of so many calls."""
    page.says(page.own("told"), f"{calls} model calls")

    def right() -> Image.Image | None:
        picture = page.picture(page.own("picture"))
        return picture if picture is not None and levels(picture) == calls + 1 else None

    return page.until(right, f"a picture with {calls + 1} levels")


def test_the_plan_is_shown_and_redrawn(page: Page) -> None:
    page.paste(infotext("Fewstep DPM++ 3M"))
    assert page.picture(page.own("picture")) is None
    page.show_plan()
    first = shown(page, 6)
    assert "start euler" in page.text(page.own("told"))
    page.type(page.at("steps"), 9)
    shown(page, 9)
    page.choose(page.own("start"), "2s")
    page.says(page.own("told"), "start 2s")
    page.type(page.at("steps"), 6)
    page.choose(page.own("start"), "auto")
    page.says(page.own("told"), "start euler")
    assert shown(page, 6).tobytes() == first.tobytes()
    page.choose(page.at("sampling"), "Fewstep DPM++ 2S")
    page.says(page.own("told"), "nodes schedule")
    second = shown(page, 6)
    assert second.tobytes() != first.tobytes()
    page.choose(page.at("scheduler"), "Fewstep Time quadratic")
    page.until(lambda: page.picture(page.own("picture")).tobytes() != second.tobytes(), "the picture of other levels")
    shown(page, 6)
    page.choose(page.at("sampling"), "Fewstep Flow AB3")
    page.says(page.own("told"), "is defined on flow")
    assert page.picture(page.own("picture")) is None
    page.choose(page.at("sampling"), "Euler")
    page.says(page.own("told"), "Only samplers whose names begin with Fewstep")
    page.choose(page.at("sampling"), "Fewstep DPM++ 3M")
    shown(page, 6)
    calls = page.drag(page.at("steps"), 60)
    assert int(calls) > 20
    page.says(page.own("told"), f"{calls} model calls")
    page.show_plan(False)
    page.until(lambda: not page.text(page.own("told")), "the words on the plan go away")
    assert page.picture(page.own("picture")) is None


@both
def test_the_plan_has_the_calls_of_the_run(page: Page) -> None:
    page.paste(infotext("Fewstep DPM++ 3S"))
    calls = 6
    if page.tab == "img2img":
        page.type(page.at("denoising_strength"), 0.6)
        calls = 4
        page.give_picture()
    page.show_plan()
    shown(page, calls)
    page.generate()
    assert len(page.host.calls()) == calls


# --- runs and their infotext -----------------------------------------------------------------------------------------


@both
def test_an_option_goes_into_the_run_and_under_the_picture(page: Page) -> None:
    page.paste(infotext("Fewstep DPM++ 3M", "Fewstep Time quadratic"))
    page.choose(page.own("variant"), "paper")
    page.type(page.own("thresholding"), 2.5)
    if page.tab == "img2img":
        page.give_picture()
    told = page.generate()
    for part in (
        "Sampler: Fewstep DPM++ 3M",
        "Schedule type: Fewstep Time quadratic",
        "Fewstep variant: paper",
        "Fewstep thresholding: 2.5",
    ):
        assert part in told
    assert "Fewstep start" not in told


def defaults() -> dict[str, str]:
    """The fields' defaults as the page shows them."""
    return {each.name: str(each.default).removesuffix(".0") for each in fields()}


@both
def test_an_infotext_is_pasted(page: Page) -> None:
    page.paste(infotext("Fewstep DEIS tAB3", "Fewstep Flow shift", start="2s", last="regular", thresholding=3))
    expected = defaults() | {"start": "2s", "last": "regular", "thresholding": "3"}
    assert page.value(page.at("sampling")) == "Fewstep DEIS tAB3"
    assert page.value(page.at("scheduler")) == "Fewstep Flow shift"
    assert page.value(page.at("steps")) == "6"
    assert {each.name: page.value(page.own(each.name)) for each in fields()} == expected
    page.says(page.own("words"), "polynomial of degree 3")
    # what is not named was at its default
    page.paste(infotext("Fewstep DPM++ 3M", "Karras", final="off"))
    expected = defaults() | {"final": "off"}
    assert page.value(page.at("sampling")) == "Fewstep DPM++ 3M"
    assert page.value(page.at("scheduler")) == "Karras"
    assert {each.name: page.value(page.own(each.name)) for each in fields()} == expected


def test_a_profile_is_found_drawn_run_and_pasted(page: Page) -> None:
    profile, name = page.own("profile"), "made later"
    assert name not in page.listed(profile)
    made = made_profile("ve")
    file = made.save(f"profile:{name}")
    try:
        page.page.click(page.own("profiles_refresh"))
        page.until(lambda: name in page.listed(profile), "the list is read again")
        page.paste(infotext("Fewstep DPM-Solver 23"))
        page.choose(profile, name)
        page.says(page.own("words"), f"Profile {name} in the place of DPM-Solver 23")
        page.show_plan()
        page.says(page.own("told"), "no plan of 6 calls; it has 5, 7")
        page.type(page.at("steps"), 7)
        shown(page, 7)
        assert f"Fewstep profile: {name}" in page.generate()
        assert page.host.sigmas() == pytest.approx([call.level.host for call in made.plan(7)], rel=1e-6)  # float32
        page.paste(infotext("Fewstep DPM++ 3M"))
        assert page.value(profile) == "none"
        page.paste(infotext("Fewstep DPM++ 3M", profile=name))
        assert page.value(profile) == name
    finally:
        file.unlink()
    page.paste(infotext("Fewstep DPM++ 3M", profile="nobody"))
    assert page.value(profile) == "nobody"
    page.says(page.own("words"), "unknown profile")


def test_the_plot_has_our_axes_once_and_makes_a_grid(page: Page) -> None:
    page.paste(infotext("Fewstep DPM++ 3M"))
    page.choose("#tab_txt2img #script_list", "X/Y/Z plot")
    kind = "#script_txt2img_xyz_plot_x_type"
    page.page.wait_for_selector(kind, state="visible")
    axes = [label for label in page.listed(kind) if label.startswith("[Fewstep]")]
    assert axes == [f"[Fewstep] {each.name}" for each in fields()]
    page.choose(kind, "[Fewstep] last")
    page.page.locator("#xyz_grid_fill_x_tool_button:visible").first.click()
    tokens = "#tab_txt2img .token:visible"
    page.until(lambda: page.page.locator(tokens).count() == 3, "the three values of the axis")
    page.generate()
    assert len(page.host.calls()) == 3 * 6
    grid = page.picture("#txt2img_gallery")
    assert grid is not None
    assert grid.width >= 3 * 64
    assert "X Type: [Fewstep] last" in grid.info["parameters"]
    assert 'X Values: "auto,regular,denoise"' in grid.info["parameters"]


# --- pictures of the documentation -----------------------------------------------------------------------------------


def test_screenshot(page: Page) -> None:
    if os.environ.get("FEWSTEP_SCREENSHOTS") != "1":
        pytest.skip("FEWSTEP_SCREENSHOTS is not set: the pictures of the documentation are not made")
    page.page.set_viewport_size({"width": 1480, "height": 1600})  # sampler names fit
    page.paste(infotext("Fewstep DPM++ 3M", "Fewstep Time quadratic", start="2s").replace("64x64", "512x512"))
    page.type(page.at("steps"), 10)
    page.show_plan()
    shown(page, 10)
    # a machine of tests has no font for the signs on these buttons
    page.page.add_style_tag(content="#txt2img_random_seed, #txt2img_reuse_seed { visibility: hidden }")
    page.page.mouse.move(0, 0)
    page.page.wait_for_timeout(1000)
    above = page.page.locator("#txt2img_settings").bounding_box()
    end = page.page.locator(page.own("fewstep")).bounding_box()
    edge = 6  # what stands around them begins there
    clip = {
        "x": above["x"] - edge,
        "y": above["y"] - edge,
        "width": above["width"] + 2 * edge,
        "height": end["y"] + end["height"] - above["y"] + 2 * edge,
    }
    data = page.page.screenshot(clip=clip, full_page=True)
    name = {"a1111": "webui.png", "forge": "webui_forge.png"}.get(page.host.name)
    if name:
        Image.open(io.BytesIO(data)).convert("RGB").save(IMAGES / name, optimize=True)
