"""Our axes in the host's X/Y/Z plot."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from modules import scripts

from ..samplers.choices import Choice
from .fields import fields, read, values_of
from .words import ATTRIBUTE, TITLE


def add_axes() -> None:
    """Appends an axis for each field, once. The host loads its own scripts before those of extensions."""
    plot = next((each.module for each in scripts.scripts_data if each.script_class.__module__ == "xyz_grid.py"), None)
    if plot is None:
        return
    known = {axis.label for axis in plot.axis_options}
    for field in fields():
        label = f"[{TITLE}] {field.name}"
        if label not in known:
            plot.axis_options.append(_axis(plot, label, field))


def _axis(plot: Any, label: str, field: Choice) -> Any:
    return plot.AxisOption(
        label,
        str if field.choices or field.text else float,
        plot.apply_field(ATTRIBUTE + field.name),
        confirm=_confirm(field.name),
        choices=(lambda: values_of(field)) if values_of(field) else None,
    )


def _confirm(name: str) -> Callable[[Any, list[Any]], None]:
    def confirm(p: Any, values: list[Any]) -> None:
        for value in values:
            read([{name: value}])

    return confirm
