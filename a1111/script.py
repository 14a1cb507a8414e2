"""The accordion under the host's samplers: fields, the plan's picture, infotext and the API's arguments."""

from __future__ import annotations

from typing import Any

from modules import scripts

from . import preview
from .fields import field, fields
from .request import put
from .words import KEY, TITLE

#: the host's components that the plan's picture is made from, by the end of their elem_id
_HOSTS = ("sampling", "scheduler", "steps")


class FewstepScript(scripts.Script):  # type: ignore[misc]
    """Always on; the host makes one for txt2img and one for img2img.

    API: alwayson_scripts {"Fewstep": {"args": [...]}} with the values of `fields()` in their order, or with one object
    of names and values.
    """

    def __init__(self) -> None:
        super().__init__()
        self._of_host: dict[str, Any] = {}
        self._own: list[Any] = []
        self._outputs: tuple[Any, ...] = ()

    def title(self) -> str:
        return TITLE

    def show(self, is_img2img: bool) -> Any:
        tab = "img2img" if is_img2img else "txt2img"
        for name in _HOSTS:
            self.on_after_component(self._seen(name), elem_id=f"{tab}_{name}")
        return scripts.AlwaysVisible

    def _seen(self, name: str) -> Any:
        def seen(found: Any) -> None:
            self._of_host[name] = found.component
            self._connect()

        return seen

    def ui(self, is_img2img: bool) -> list[Any]:
        import gradio

        with gradio.Accordion(TITLE, open=False, elem_id=self.elem_id("fewstep")):
            with gradio.Row():
                self._own = [_component(gradio, each.name, self.elem_id(each.name)) for each in fields()]
            button = gradio.Button("Show the plan", elem_id=self.elem_id("plan"))
            words = gradio.Markdown(preview.words(None), elem_id=self.elem_id("words"))
            picture = gradio.Image(
                type="pil", interactive=False, show_label=False, visible=False, elem_id=self.elem_id("picture")
            )
        self._outputs = (button, words, picture)
        self._connect()
        self.infotext_fields = [
            (component, _paste(each.name)) for each, component in zip(fields(), self._own, strict=True)
        ]
        self.paste_field_names = [KEY + each.name for each in fields()]
        return self._own

    def _connect(self) -> None:
        """Once the host's components and our own are there, in whichever order the page was built."""
        if not self._outputs or len(self._of_host) < len(_HOSTS):
            return
        button, words, picture = self._outputs
        self._outputs = ()
        of_host = [self._of_host[name] for name in _HOSTS]
        of_host[0].change(preview.words, inputs=[of_host[0]], outputs=[words], show_progress=False)
        button.click(_show_plan, inputs=[*of_host, *self._own], outputs=[picture, words])

    def process(self, p: Any, *arguments: Any) -> None:
        request = put(p, arguments)
        used = (getattr(p, "sampler_name", None), getattr(p, "hr_sampler_name", None))
        if any(preview.row_of(name) for name in used):
            p.extra_generation_params.update(request.infotext)


def _component(gradio: Any, name: str, elem_id: str) -> Any:
    asked = field(name)
    if asked.choices:
        return gradio.Dropdown(label=name, choices=list(asked.choices), value=asked.default, elem_id=elem_id)
    return gradio.Number(label=name, value=asked.default, elem_id=elem_id)


def _paste(name: str) -> Any:
    """A picture whose infotext does not name the field was made with its default."""
    asked = field(name)

    def value(parameters: dict[str, Any]) -> Any:
        text = parameters.get(KEY + name, asked.default)
        try:
            return text if asked.choices else float(text)
        except ValueError:
            return asked.default

    return value


def _show_plan(sampler: Any, scheduler: Any, steps: Any, *values: Any) -> tuple[Any, str]:
    import gradio

    picture, words = preview.plan_picture(sampler, scheduler, steps, values)
    return gradio.update(value=picture, visible=picture is not None), words
