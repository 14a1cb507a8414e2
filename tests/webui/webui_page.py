"""A host's page in headless Chromium, used as a person uses it. Each test has a page of its own."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlparse

from PIL import Image
from webui_host import Host

#: milliseconds that the page may take for what it does at once on an idle machine
PATIENCE = 15000
#: and for making a picture, or for the host to come back
LONG = 180000
CHROMIUM = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip


@dataclass
class Page:
    """A page of the host. The methods are for the tab `tab`, txt2img or img2img."""

    page: Any
    host: Host
    tab: str = "txt2img"
    #: what was not caught in the page, and what its console says of us
    errors: list[str] = field(default_factory=list)

    def open(self) -> None:
        self.page.on("pageerror", lambda error: self.errors.append(f"{error}\n{error.stack or ''}"))
        self.page.on("console", self._console)
        self.page.route("**/*", self._local_only)
        self.page.goto(self.host.url)
        self.ready()
        self.go_to(self.tab)

    def ready(self) -> None:
        """Waits until the page is built and the host's own scripts have run on it."""
        self.page.wait_for_selector("#txt2img_sampling input", timeout=LONG)
        self.page.wait_for_function("() => typeof get_uiCurrentTab === 'function' && !!get_uiCurrentTab()")
        self.page.wait_for_timeout(1500)  # and the first changes that the page makes by itself

    def _console(self, message: Any) -> None:
        # the hosts write errors of their own, for example on styles and scripts of other servers
        line = f"{message.text} {message.location.get('url', '')}"
        if message.type == "error" and "fewstep" in line.lower():
            self.errors.append(line)

    def _local_only(self, route: Any) -> None:
        if urlparse(route.request.url).hostname == "127.0.0.1":
            route.continue_()
        else:
            route.abort()

    def js(self, text: str, argument: Any = None) -> Any:
        return self.page.evaluate(text, argument)

    def until(self, ask: Callable[[], Any], what: str, patience: int = PATIENCE) -> Any:
        """Waits for a true answer and returns it."""
        for _ in range(patience // 200):
            answer = ask()
            if answer:
                return answer
            self.page.wait_for_timeout(200)
        raise AssertionError(f"{what}: not within {patience} ms\n{self.host.tail(10)}")

    def go_to(self, name: str) -> None:
        self.page.locator("#tabs > .tab-nav button").filter(has_text=re.compile(f"^\\s*{name}\\s*$", re.I)).click()

    # --- fields of the page ------------------------------------------------------------------------------------------

    def own(self, name: str) -> str:
        """The selector of a component of ours."""
        return f"#script_{self.tab}_fewstep_{name}"

    def at(self, name: str) -> str:
        """The selector of a component of the host's tab."""
        return f"#tab_{self.tab} #{self.tab}_{name}"

    def listed(self, selector: str) -> list[str]:
        """What a dropdown offers."""
        self.page.click(f"{selector} input")
        self.page.wait_for_selector("ul.options li", timeout=PATIENCE)
        found = self.js("() => [...document.querySelectorAll('ul.options li')].map((li) => li.ariaLabel)")
        self.page.keyboard.press("Escape")
        self.page.locator(f"{selector} input").blur()
        self.page.wait_for_selector("ul.options li", state="detached", timeout=PATIENCE)
        return list(found)

    def choose(self, selector: str, label: str) -> None:
        for _ in range(3):  # a page that is moving takes the click for another
            self.page.click(f"{selector} input")
            self.page.locator(f'ul.options li[aria-label="{label}"]').click(timeout=PATIENCE)
            self.page.wait_for_timeout(300)
            self.page.locator(f"{selector} input").blur()
            self.page.wait_for_selector("ul.options li", state="detached", timeout=PATIENCE)
            if self.value(selector) == label:
                return
        raise AssertionError(f"{selector} is {self.value(selector)!r}, not {label!r}")

    def type(self, selector: str, value: float | str) -> None:
        place = self.page.locator(f"{selector} input[type=number], {selector} textarea").first
        place.fill(str(value))
        place.blur()

    def drag(self, selector: str, moves: int) -> str:
        """Pulls a slider to the right with the mouse, and returns where it is then."""
        box = self.page.locator(f"{selector} input[type=range]").bounding_box()
        x, y = box["x"] + 10, box["y"] + box["height"] / 2
        self.page.mouse.move(x, y)
        self.page.mouse.down()
        for i in range(moves):
            self.page.mouse.move(x + i, y)
            self.page.wait_for_timeout(15)
        self.page.mouse.up()
        return str(self.page.locator(f"{selector} input[type=number]").input_value())

    def value(self, selector: str) -> str:
        return str(self.page.locator(f"{selector} input, {selector} textarea").first.input_value())

    def text(self, selector: str) -> str:
        """What stands in a component; nothing while it is hidden."""
        place = self.page.locator(selector).last  # gradio 3 gives the id to a block and to the text in it
        return place.inner_text().strip() if place.count() and place.is_visible() else ""

    def says(self, selector: str, part: str, patience: int = PATIENCE) -> str:
        try:
            return str(self.until(lambda: part in self.text(selector) and self.text(selector), part, patience))
        except AssertionError as error:
            raise AssertionError(f"expected {part!r} in {self.text(selector)!r}") from error

    # --- ours --------------------------------------------------------------------------------------------------------

    def open_accordion(self) -> None:
        self.page.click(f"{self.own('fewstep')} .label-wrap >> nth=0")
        self.page.wait_for_selector(self.own("variant"), state="visible", timeout=PATIENCE)

    def open_more(self) -> None:
        self.page.click(f"{self.own('more')} .label-wrap")
        self.page.wait_for_selector(self.own("eta"), state="visible", timeout=PATIENCE)

    def show_plan(self, shown: bool = True) -> None:
        self.page.locator(f"{self.own('plan')} input").set_checked(shown)

    def picture(self, selector: str) -> Image.Image | None:
        """The first picture in a component that can be seen."""
        found = self.js(
            "async (selector) => { const image = document.querySelector(selector + ' img');"
            "if (!image?.complete || !image.checkVisibility()) return null;"
            "const bytes = new Uint8Array(await (await fetch(image.src)).arrayBuffer());"
            "return btoa([...bytes].map((byte) => String.fromCharCode(byte)).join('')); }",
            selector,
        )
        return Image.open(io.BytesIO(base64.b64decode(found))) if found else None

    # --- the host's ways ---------------------------------------------------------------------------------------------

    def paste(self, infotext: str) -> None:
        """Puts an infotext into the prompt and presses the arrow below "Generate"."""
        self.page.fill(f"{self.at('prompt')} textarea", infotext)
        self.page.click(f"#tab_{self.tab} #paste")
        first = infotext.splitlines()[0]
        self.until(lambda: self.value(self.at("prompt")) == first, "the infotext is read")
        self.page.wait_for_timeout(500)

    def give_picture(self) -> None:
        """img2img's first picture."""
        data = io.BytesIO()
        Image.linear_gradient("L").resize((64, 64)).convert("RGB").save(data, "PNG")
        file = {"name": "start.png", "mimeType": "image/png", "buffer": data.getvalue()}
        self.page.set_input_files("#img2img_image input[type=file]", file)
        self.page.wait_for_selector("#img2img_image img, #img2img_image canvas", timeout=PATIENCE)
        self.page.wait_for_timeout(1000)

    def generate(self) -> str:
        """One run, with the button; what the page says under the picture. Only once for a page."""
        self.page.click(f"#{self.tab}_generate")
        self.page.wait_for_selector(f"#html_log_{self.tab} .performance, #html_log_{self.tab} .error", timeout=LONG)
        return self.text(f"#html_info_{self.tab}") + self.text(f"#html_log_{self.tab}")

    def settings(self, size: str) -> None:
        """Sets the size of our sampler menu and presses "Apply settings"."""
        self.go_to("settings")
        self.page.locator("#settings .tab-nav button").filter(has_text=re.compile(r"^\s*Fewstep\s*$")).click()
        self.page.locator("#setting_fewstep_sampler_menu label").filter(has_text=size).click()
        self.page.click("#settings_submit")
        self.says("#settings_result", "fewstep_sampler_menu", LONG)  # reForge loads its model again

    def reload_ui(self) -> None:
        with self.page.expect_navigation(timeout=LONG):
            self.page.click("#settings_restart_gradio")
        self.ready()
