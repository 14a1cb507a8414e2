"""What a run does to latents, counted while it happens: traffic, read-backs, and latents alive at once.

A CPU has no other side to read back from, so a pretended accelerator is placed beside it: tensors made with `place`,
made for the device of such a tensor, or computed from one are "on the accelerator" and say so when asked for their
device. Whatever takes a number of theirs to the host is a read-back, as it would be a wait for the device.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

Tensor = torch.Tensor
#: what placed tensors say their device is; nothing is ever computed there
ACCELERATOR = torch.device("cuda", 0)
_CPU = torch.device("cpu")
_DEVICE_OF = Tensor.device.__get__
#: operations that wait for a number or a number of elements; solve looks whether its matrix was singular
_READ_BACKS = {
    "aten::_local_scalar_dense", "aten::is_nonzero", "aten::equal", "aten::nonzero", "aten::_linalg_check_errors"
}  # fmt: skip
#: whose output nobody has written yet
_UNWRITTEN = {"aten::empty", "aten::empty_like", "aten::new_empty", "aten::empty_strided", "aten::new_empty_strided"}
#: whose first argument is written and not read
_OVERWRITES = {"aten::copy_", "aten::fill_", "aten::zero_", "aten::normal_"}


class Meter:
    """`with meter:` counts what happens inside. A latent is `latent` numbers of float32; larger tensors count more.

    operations   that make a latent or more; views are none
    reads, writes   of these, in latents; a latent that goes twice into an operation is read once
    read_backs   see the module's text
    alive, peak  memory in latents, now and at most
    """

    def __init__(self, latent: int) -> None:
        self._bytes = 4 * latent
        self.operations = self.read_backs = 0
        self.reads = self.writes = self.alive = self.peak = 0.0
        self._counting = True
        self._held: set[int] = set()
        self._modes = ExitStack()

    def __enter__(self) -> Meter:
        self._modes.enter_context(_Operations(self))
        self._modes.enter_context(_Devices(self))
        return self

    def __exit__(self, *error: Any) -> None:
        self._modes.close()

    @property
    def passes(self) -> float:
        return self.reads + self.writes

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Of what happens inside, memory alone is counted: the model's own work."""
        before, self._counting = self._counting, False
        try:
            yield
        finally:
            self._counting = before

    def place(self, tensor: Tensor, *, held: bool = True) -> Tensor:
        """The tensor, now on the accelerator; with held=False it is no part of the memory that is counted."""
        _place(tensor)
        if held:
            self.hold(tensor)
        return tensor

    def reset_peak(self) -> None:
        self.peak = self.alive

    def latents(self, tensor: Tensor) -> float:
        """Size in latents, 0 below one; an expanded tensor has the size of what it repeats."""
        size = min(tensor.numel() * tensor.element_size(), tensor.untyped_storage().nbytes())
        return size / self._bytes if size >= self._bytes else 0.0

    def hold(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key, size = storage._cdata, storage.nbytes() / self._bytes
        if size < 1.0 or key in self._held:
            return
        self._held.add(key)
        self.alive += size
        self.peak = max(self.peak, self.alive)
        weakref.finalize(storage, self._drop, key, size)

    def _drop(self, key: int, size: float) -> None:
        self._held.discard(key)
        self.alive -= size

    def read_back(self) -> None:
        self.read_backs += self._counting

    def ran(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> None:
        """Counts an operation that was carried out."""
        name, made = func.name().split(".")[0], list(_tensors(out))
        for each in made:
            self.hold(each)
        if not self._counting:
            return
        if name in _READ_BACKS and any(map(placed, _tensors(args))):
            self.read_backs += 1
        writes = sum(map(self.latents, made))
        if _is_view(func) or name in _UNWRITTEN or not writes:
            return
        read = {each.data_ptr(): each for each in _tensors(args[1:] if name in _OVERWRITES else args)}
        self.operations += 1
        self.writes += writes
        self.reads += sum(map(self.latents, read.values()))


class _Operations(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch has no types for its modes
    def __init__(self, meter: Meter) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # likewise
        self._meter = meter

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if any(map(placed, _tensors((args, kwargs)))):
            for each in _tensors(out):
                _place(each)
        self._meter.ran(func, args, kwargs or {}, out)
        return out


class _Devices(TorchFunctionMode):
    """Answers questions about devices, and turns what is asked of the accelerator into work for the CPU."""

    def __init__(self, meter: Meter) -> None:
        super().__init__()
        self._meter = meter

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func == _DEVICE_OF:
            return ACCELERATOR if placed(args[0]) else _CPU
        if func is torch.device:
            return func(*args, **(kwargs or {}))
        asked: list[torch.device] = []

        def there(value: Any) -> Any:
            device = _device(value)
            if device is None:
                return value
            asked.append(device)
            return _CPU

        args = tuple(map(there, args))
        kwargs = {key: there(value) for key, value in (kwargs or {}).items()}
        moves = func is Tensor.cpu or func is Tensor.tolist or func is Tensor.numpy or _CPU in asked
        source = args[0] if args and isinstance(args[0], Tensor) else None
        if moves and source is not None and placed(source):
            self._meter.read_back()
            # another tensor of the same numbers, which is not on the accelerator
            args = (_unplaced(source), *args[1:])
        out = func(*args, **kwargs)
        if ACCELERATOR in asked:
            if source is not None and out is source:
                out = source.view_as(source)  # the host's own tensor stays where it was
            for each in _tensors(out):
                _place(each)
        return out


def _device(value: Any) -> torch.device | None:
    if isinstance(value, torch.device):
        return ACCELERATOR if value.type == ACCELERATOR.type else value
    if isinstance(value, str) and value in ("cpu", "cuda"):
        return ACCELERATOR if value == "cuda" else _CPU
    return None


def _unplaced(tensor: Tensor) -> Tensor:
    with torch._C.DisableTorchFunction():
        alias = tensor.detach()
    alias._fewstep_placed = False  # type: ignore[attr-defined]
    return alias


def _place(tensor: Tensor) -> None:
    tensor._fewstep_placed = True  # type: ignore[attr-defined]


def placed(tensor: Tensor) -> bool:
    return getattr(tensor, "_fewstep_placed", False)


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (tuple, list)):
        for each in value:
            yield from _tensors(each)
    elif isinstance(value, dict):
        yield from _tensors(list(value.values()))


def _is_view(func: Any) -> bool:
    return any(each.alias_info is not None and not each.alias_info.is_write for each in func._schema.returns)
