"""One module of another project, without what its package imports beside it."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any


def alone(name: str, folder: Path, stand_ins: Mapping[str, Mapping[str, Any]]) -> ModuleType:
    """The module `name`, whose top package lies in `folder`; it sees `stand_ins` {module: its contents}.

    The package's own __init__ is not executed, and afterwards sys.modules is as it was. Raises what the import raises.
    """
    top = name.partition(".")[0]
    made = {top: ModuleType(top)}
    made[top].__path__ = [str(folder)]
    for each, contents in stand_ins.items():
        made[each] = ModuleType(each)
        made[each].__path__ = []  # so that a stand-in can have others inside it
        vars(made[each]).update(contents)
    for each, module in made.items():
        parent, _, last = each.rpartition(".")
        if parent in made:
            setattr(made[parent], last, module)
    before = {each: module for each, module in sys.modules.items() if each == top or each.startswith(f"{top}.")}
    before |= {each: sys.modules[each] for each in made if each in sys.modules}
    for each in before:
        del sys.modules[each]
    try:
        sys.modules |= made
        return importlib.import_module(name)
    finally:
        for each in [each for each in sys.modules if each in made or each == top or each.startswith(f"{top}.")]:
            del sys.modules[each]
        sys.modules |= before
