"""What Fewstep Compare reads, without the host: tests/comfy/test_compare.py runs it in the real one."""

from __future__ import annotations

from typing import Any

import fewstep
import numpy as np
import pytest
import torch
from fewstep.nodes.compare import FewstepCompare
from fewstep.nodes.digests import digest, tensors_in
from fewstep.nodes.images import image
from fewstep.nodes.inputs import read_lines
from fewstep.samplers.noise_range import NoiseRange
from fewstep.samplers.settings import candidates
from PIL import Image


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("a b 5\n\n  c d 6  \r\n", ["a b 5", "c d 6"]),
        ("# all\na b 5 # best so far\n#", ["a b 5"]),
        ("a，b c 5，8 last＝regular", ["a,b c 5,8 last=regular"]),
        ("", []),
    ],
)
def test_lines_of_settings(text: str, lines: list[str]) -> None:
    assert read_lines(text, "settings") == lines


def test_what_is_no_text_names_its_field() -> None:
    with pytest.raises(ValueError, match="settings: got 5, expected a text"):
        read_lines(5, "settings")


@pytest.mark.parametrize(("frame", "top", "low"), [("ve", 14.6, 0.03), ("flow", 1.0, 0.003)])
def test_the_settings_that_the_node_comes_with_exist_everywhere(frame: str, top: float, low: float) -> None:
    default = FewstepCompare.INPUT_TYPES()["required"]["settings"][1]["default"]
    found = candidates(read_lines(default, "settings"), NoiseRange(fewstep.frame(frame), top, low), 5.0)
    assert len(found) == 15
    assert all(each.plan is not None for each in found)


def test_a_digest_sees_every_tensor_of_a_condition() -> None:
    def condition(value: float = 0.0, pooled: float = 0.0, **more: Any) -> Any:
        return [[torch.full((1, 2, 3), value), {"pooled": torch.full((1, 4), pooled, dtype=torch.bfloat16), **more}]]

    same = digest(tensors_in(condition()))
    assert same == digest(tensors_in(condition(hooks=object(), strength=0.5)))
    changed = [condition(1.0), condition(pooled=1.0), condition(mask=torch.ones(2)), [*condition(), *condition()]]
    assert len({same, *(digest(tensors_in(each)) for each in changed)}) == 5
    assert digest([("a", torch.zeros(2, 3))]) != digest([("a", torch.zeros(3, 2))])


def test_a_picture_as_the_host_has_them() -> None:
    picture = Image.new("L", (5, 3), 51)
    found = image(picture)
    assert found.shape == (1, 3, 5, 3)
    assert np.allclose(found, 0.2)
