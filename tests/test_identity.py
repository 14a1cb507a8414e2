"""A network is told by its weights: not by its type of numbers or its matrices, but by every other training."""

import copy

import pytest
import torch
from fewstep.demo.networks import load
from fewstep.samplers.identity import identity


@pytest.fixture(scope="module")
def network() -> torch.nn.Module:
    return load("vp")


def test_same_weights_same_identity(network: torch.nn.Module) -> None:
    assert identity(network) == identity(load("vp")) != ""
    assert identity(copy.deepcopy(network).half()) == identity(network)


def test_matrices_may_be_patched_or_quantised(network: torch.nn.Module) -> None:
    other = copy.deepcopy(network)
    with torch.no_grad():
        for each in other.parameters():
            if each.ndim > 1:
                each.mul_(1.5)
    assert identity(other) == identity(network)


def test_other_training_other_identity(network: torch.nn.Module) -> None:
    other = copy.deepcopy(network)
    with torch.no_grad():
        for each in other.parameters():
            each.mul_(1.01)
    assert identity(other) != identity(network)
    assert identity(load("flow")) != identity(network)


def test_hosts_have_classes_of_their_own(network: torch.nn.Module) -> None:
    """A checkpoint's UNet is a UNetModel in A1111 and ComfyUI and an IntegratedUNet2DConditionModel in Forge."""

    class Other(torch.nn.Module):
        pass

    other = Other()
    for name, child in network.named_children():
        other.add_module(name, child)
    assert identity(other) == identity(network)


def test_nothing_to_tell_it_by() -> None:
    assert identity(torch.nn.Identity()) == ""
    assert identity(torch.nn.LayerNorm(4, device="meta")) == ""
