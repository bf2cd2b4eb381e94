"""Building a model within limits on memory and work, set by the size of its weights file.

A config of one kilobyte can describe a model of a terabyte, or a loop of 10^12 layers. A model is
therefore first built on torch's meta device, where tensors have shapes but no memory, and its
work is counted. Only a model that fits its weights file is then built in memory.
"""

__all__ = ["build_within", "check_numbers"]

import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import FrameType
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

from limner.errors import UserError

LARGEST = 2**31 - 1
"""Largest whole number in a model's config, such as a count, a size, or a number of images."""
MIN_BYTES, BYTES_PER_BYTE = 64 << 20, 16
"""Bytes that a constructor may allocate: a constant, plus a factor of the weights file's size.

The factor allows for a file with half the precision, and for temporary tensors of the initial
random draws."""
MIN_CALLS, CALLS_PER_BYTE, CALLS_OF_OPERATION = 1_000_000, 0.1, 100
"""Function calls that building a model may take: a constant, plus calls per byte of the file.

An operation on tensors counts as `CALLS_OF_OPERATION` calls. A layer takes about a thousand."""
IMPORT = sys.modules["importlib._bootstrap"]._find_and_load.__code__


def check_numbers(node: Any, path: str) -> None:
    """Raise UserError for whole numbers in a config that are too large for a size or a count.

    Args:
        node: Plain data.
        path: Dotted key of the node, for messages.

    Raises:
        UserError: If the absolute value of a number is above `LARGEST`.
    """
    if isinstance(node, int) and abs(node) > LARGEST:
        raise UserError(f"{path} is beyond {LARGEST:,}, the largest number of a model's config.")
    pairs = node.items() if isinstance(node, Mapping) else ()
    pairs = enumerate(node) if isinstance(node, list) else pairs
    for key, value in pairs:
        check_numbers(value, f"{path}.{key}")


def build_within(make: Callable[[], Any], *, file_bytes: int, check: Callable[[Any], None]) -> Any:
    """Build a model that `check` accepts, with memory limited by the size of its weights file.

    A constructor that reads values of tensors cannot run on the meta device. Such a constructor
    runs in memory at once, and each of its operations is measured before it is done.

    Args:
        make: Function that builds the model, the same at every call.
        file_bytes: Size of the weights file in bytes.
        check: Function that raises if a model does not fit its weights. It can read only shapes
            and dtypes.

    Raises:
        UserError: If the model needs more memory or more calls than the file size allows.
    """
    sketch = None
    with _Bounds(file_bytes, on_meta=True) as bounds, suppress(Exception), torch.device("meta"):
        sketch = make()
    bounds.refuse()
    if sketch is not None:
        check(sketch)
        return make()
    with _Bounds(file_bytes, on_meta=False) as bounds:
        try:
            model = make()
        except Exception:
            bounds.refuse()
            raise
    check(model)
    return model


class _Bounds(TorchDispatchMode):
    """Context that stops code which allocates too much memory or calls too many functions."""

    def __init__(self, file_bytes: int, *, on_meta: bool) -> None:
        super().__init__()
        self.on_meta = on_meta
        self.bytes_left = MIN_BYTES + BYTES_PER_BYTE * file_bytes
        self.calls_left = MIN_CALLS + int(CALLS_PER_BYTE * file_bytes)
        self._num_imports = 0
        self._counts = True

    def refuse(self) -> None:
        """Raise UserError if a limit was reached."""
        if self.bytes_left < 0 or self.calls_left < 0:
            raise UserError(
                "model: this config asks for more "
                + ("memory" if self.bytes_left < 0 else "layers")
                + " than the weights beside it account for; they do not belong together."
            )

    def __enter__(self) -> "_Bounds":
        self._profile = sys.getprofile()
        sys.setprofile(self._count)
        return super().__enter__()

    def __exit__(self, *exception: Any) -> None:
        self._counts = False  # no error may be raised from here on
        sys.setprofile(self._profile)
        super().__exit__(*exception)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        sys.setprofile(None)  # the calls inside of torch count as one operation
        try:
            return self._done(func, args, kwargs or {})
        finally:
            self.calls_left -= CALLS_OF_OPERATION
            sys.setprofile(self._count)

    def _done(self, func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        if func.is_view or func._schema.is_mutable:
            return func(*args, **kwargs)
        if self.on_meta:
            made = func(*args, **kwargs)
            self._allocate(made)
            return made
        self._allocate(_sketched(func, args, kwargs))
        return func(*args, **kwargs)

    def _allocate(self, made: Any) -> None:
        tensors = [x for x in tree_leaves(made) if isinstance(x, Tensor)]
        self.bytes_left -= sum(x.numel() * x.itemsize for x in tensors)
        if self.bytes_left < 0:
            raise MemoryError("more than the weights file accounts for")

    def _count(self, frame: FrameType, event: str, _: Any) -> None:
        if not self._counts:
            return
        if frame.f_code is IMPORT:
            self._num_imports += {"call": 1, "return": -1}.get(event, 0)
        elif event in ("call", "c_call") and self._num_imports == 0:
            self.calls_left -= 1
            if self.calls_left < 0:
                raise MemoryError("more calls than the weights file accounts for")


def _sketched(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """Return the result of an operation without its memory; None if the meta device cannot."""
    args, kwargs = tree_map_only(Tensor, lambda x: x.to("meta"), (args, kwargs))
    if not any(isinstance(x, Tensor) for x in tree_leaves((args, kwargs))):
        kwargs = {**kwargs, "device": torch.device("meta"), "generator": None}
        kwargs = {key: kwargs[key] for key in kwargs if _takes(func, key)}
    elif kwargs.get("device") is not None:
        kwargs = {**kwargs, "device": torch.device("meta")}
    try:
        return func(*args, **kwargs)
    except Exception:
        return None


def _takes(func: Any, key: str) -> bool:
    return any(argument.name == key for argument in func._schema.arguments)
