"""The accordion under the host's samplers: fields, the plan's picture, infotext and the API's arguments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Lock
from typing import Any

from modules import scripts

from ..samplers.choices import Choice
from . import preview
from .auto import forget
from .fields import PROFILE, field, fields, values_of
from .request import put
from .words import KEY, TITLE

#: what the plan's picture is made from besides our fields: the host's components of a tab, by the end of their elem_id
_SEEN = ("sampling", "scheduler", "steps", "cfg_scale")
_HOSTS: dict[str, tuple[str, ...]] = {"txt2img": _SEEN, "img2img": (*_SEEN, "denoising_strength")}
_COLUMNS = 4
#: so many fields are for most samplers; the others stand in an accordion of their own
_MOST = 8
_OTHERS = "For samplers with noise and adaptive ones"
#: of the infotext, where a profile ran in the first pass of hires fix alone
_SECOND_PASS = "second pass"
#: a slider that is dragged asks for many plans, and the last must be answered last
_IN_TURN = Lock()


class FewstepScript(scripts.Script):  # type: ignore[misc]
    """Always on; the host makes one for txt2img and one for img2img.

    API: alwayson_scripts {"Fewstep": {"args": [...]}} with the values of `fields()` in their order, or with one object
    of names and values.
    """

    def __init__(self) -> None:
        super().__init__()
        self._of_host: dict[str, Any] = {}
        self._own: list[Any] = []
        self._others: tuple[Any, ...] = ()
        self._sampler: Any = None
        # not in show(), which the host calls again for every elem_id
        for tab, names in _HOSTS.items():
            for name in names:
                self.on_after_component(self._seen(name), elem_id=f"{tab}_{name}")

    def title(self) -> str:
        return TITLE

    def show(self, is_img2img: bool) -> Any:
        return scripts.AlwaysVisible

    def _seen(self, name: str) -> Any:
        def seen(found: Any) -> None:
            self._of_host[name] = found.component
            self._connect()

        return seen

    def ui(self, is_img2img: bool) -> list[Any]:
        import gradio

        options = [each for each in fields() if each is not PROFILE]
        made: dict[str, Any] = {}
        with gradio.Accordion(TITLE, open=False, elem_id=self.elem_id("fewstep")):
            with gradio.Row():
                made[PROFILE.name] = _component(gradio, PROFILE, self)
                _refresh(made[PROFILE.name], self.elem_id("profiles_refresh"))
            made |= self._rows(gradio, options[:_MOST])
            with gradio.Accordion(_OTHERS, open=False, elem_id=self.elem_id("more")):
                made |= self._rows(gradio, options[_MOST:])
            words = gradio.Markdown(lambda: preview.words(self._default()), elem_id=self.elem_id("words"))
            show = gradio.Checkbox(label="Show the plan", value=False, elem_id=self.elem_id("plan"))
            picture = gradio.Image(
                type="pil",
                interactive=False,
                show_label=False,
                show_download_button=False,
                visible=False,
                elem_id=self.elem_id("picture"),
            )
            told = gradio.Markdown(visible=False, elem_id=self.elem_id("told"))
            drawn = gradio.State(None)
            meanings = gradio.Markdown(lambda: preview.meanings(self._default()), elem_id=self.elem_id("meanings"))
        self._own = [made[each.name] for each in fields()]
        self._others = (words, show, picture, told, drawn, meanings)
        self._connect()
        self.infotext_fields = [
            (component, _paste(each.name)) for each, component in zip(fields(), self._own, strict=True)
        ]
        self.paste_field_names = [KEY + each.name for each in fields()]
        return self._own

    def _rows(self, gradio: Any, shown: Sequence[Choice]) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for first in range(0, len(shown), _COLUMNS):
            with gradio.Row():
                made |= {each.name: _component(gradio, each, self) for each in shown[first : first + _COLUMNS]}
        return made

    def _connect(self) -> None:
        """Once the host's components and our own are there, in whichever order the page was built."""
        names = _HOSTS["img2img" if self.is_img2img else "txt2img"]
        if not self._others or len(self._of_host) < len(names):
            return
        words, show, picture, told, drawn, meanings = self._others
        of_host = [self._of_host[name] for name in names]
        self._others, self._of_host = (), {}  # the API calls ui() again, outside of the page
        self._sampler = sampler = of_host[0]
        _answer(sampler, _sampler, [sampler], [meanings, *self._own])
        for each in (sampler, *self._own):
            _answer(each, _words, [sampler, *self._own], [words])
        for each in (show, *of_host, *self._own):
            _answer(each, _plan, [show, drawn, *self._own, *of_host], [picture, told, drawn])

    def _default(self) -> Any:
        """The sampler that the page begins with, which a person may have saved as a default."""
        return getattr(self._sampler, "value", None)

    def process(self, p: Any, *arguments: Any) -> None:
        request = put(p, arguments)
        forget(p)
        # a cell of the X/Y/Z plot has the infotext of the cell before
        for name in (*(each.name for each in fields()), _SECOND_PASS):
            p.extra_generation_params.pop(KEY + name, None)
        first, second = (preview.row_of(getattr(p, name, None)) for name in ("sampler_name", "hr_sampler_name"))
        if not first:  # a profile is for the first pass
            request = request.without_profile()
        if first or second:
            p.extra_generation_params.update(request.infotext)
        if request.profile and getattr(p, "enable_hr", False):
            p.extra_generation_params[KEY + _SECOND_PASS] = "without the profile"


def _component(gradio: Any, asked: Choice, script: Any) -> Any:
    place: dict[str, Any] = {"label": asked.name, "value": asked.default, "elem_id": script.elem_id(asked.name)}
    values = values_of(asked)
    if values:
        # a pasted picture may name a profile that is not here: it is shown, and refused with a reason
        return gradio.Dropdown(choices=values, allow_custom_value=asked.text, min_width=100, **place)
    if asked.text:
        return gradio.Textbox(max_lines=1, min_width=100, **place)
    return gradio.Number(min_width=100, **place)


def _refresh(component: Any, elem_id: str) -> None:
    """The host's own button beside a list of files."""
    from modules.ui_common import create_refresh_button

    create_refresh_button(component, lambda: None, lambda: {"choices": values_of(PROFILE)}, elem_id)


def _paste(name: str) -> Any:
    """A picture whose infotext does not name the field was made with its default."""
    asked = field(name)

    def value(parameters: dict[str, Any]) -> Any:
        text = parameters.get(KEY + name, asked.default)
        try:
            return text if asked.choices or asked.text else float(text)
        except ValueError:
            return asked.default

    return value


def _answer(component: Any, function: Callable[..., Any], inputs: list[Any], outputs: list[Any]) -> None:
    """Calls a function at each change, and again: gradio 3 forgets what changes while it waits for an answer."""
    known: dict[str, Any] = {"inputs": inputs, "outputs": outputs, "show_progress": False}
    for name in ("change", "release"):  # a slider's pointer is released after its last change
        if hasattr(component, name):
            getattr(component, name)(function, **known).then(function, **known)


def _sampler(sampler: Any) -> list[Any]:
    import gradio

    labels = [preview.field_label(each.name, sampler) for each in fields()]
    return [preview.meanings(sampler), *(gradio.update(label=label) for label in labels)]


def _words(sampler: Any, *values: Any) -> str:
    return preview.words(sampler, values)


def _plan(show: bool, drawn: Any, *given: Any) -> tuple[Any, Any, Any]:
    """drawn: for which values the picture was drawn; it is not drawn for them again."""
    import gradio

    if not show:
        return gradio.update(visible=False), gradio.update(visible=False), None
    if given == drawn:
        return gradio.update(), gradio.update(), drawn
    own = len(fields())
    sampler, scheduler, steps, *rest = given[own:]
    with _IN_TURN:
        picture, told = preview.plan_picture(sampler, scheduler, steps, given[:own], *rest)
    return gradio.update(value=picture, visible=picture is not None), gradio.update(value=told, visible=True), given
