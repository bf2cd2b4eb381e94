"""A part of a user's own code, called on two images before training."""

__all__ = ["NUM_IMAGES", "TriedPart"]

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import torch
from torch import Tensor, nn

from limner.config.own_code import OwnCallError
from limner.errors import UserError

NUM_IMAGES = 2
OF_DEVICES = ("cuda", "cpu", "device", "triton")
"""Words of exceptions that may be due to the device of the trial, which is the CPU."""


@dataclass(frozen=True)
class TriedPart:
    """A part of the model, with the key that names the part in messages."""

    key: str
    part: Any

    @property
    def name(self) -> str:
        return f"{type(self.part).__module__}.{type(self.part).__qualname__}"

    def call(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Return the output of a method of a copy of the part; None if a trial is impossible.

        Raises:
            OwnCallError: If the method raises an exception.
        """
        try:
            copied = copy.deepcopy(self.part)
        except Exception:  # such as a part that holds a lock: only training can show its output
            return None
        if isinstance(copied, nn.Module):
            copied.eval()
        try:
            with torch.random.fork_rng(devices=[]):
                call = copied if method == "forward" else getattr(copied, method)
                return call(*args, **kwargs)
        except Exception as error:
            if any(word in str(error).lower() for word in OF_DEVICES):
                return None  # training may be on a device where the call works
            shapes = ", ".join(str(tuple(x.shape)) for x in args if isinstance(x, Tensor))
            called = f"{self.key}: {self.name}.{method}" + (shapes and f" on inputs {shapes}")
            raise OwnCallError(called, error) from error

    def check(self, output: Any, shape: Sequence[int], due: str, *, method: str = "") -> None:
        """Raise UserError if an output is not a tensor of this shape.

        Args:
            output: Output of the part; None if there was no trial.
            shape: Required shape.
            due: What the part must return, the end of the message.
            method: Name of the method, for the message; empty for `forward`.
        """
        if output is None or (isinstance(output, Tensor) and output.shape == tuple(shape)):
            return
        self.refuse(output, due, method=method)

    def check_values(self, method: str, *args: Any, **kwargs: Any) -> None:
        """Raise UserError if a method does not return one value for each image, (2,)."""
        values, shape = self.call(method, *args, **kwargs), (NUM_IMAGES,)
        is_mean = isinstance(values, Tensor) and values.dim() == 0
        due = f"one value for each image, {shape}" + is_mean * ": leave out the mean" + "."
        self.check(values, shape, due, method=method)

    def refuse(self, output: Any, due: str, *, method: str = "") -> NoReturn:
        """Raise UserError for an output; the arguments are the same as for `check`."""
        raise UserError(
            f"{self.key}: {self.name}{method and f'.{method}'} returned {_described(output)} "
            f"for {NUM_IMAGES} images.\nIt must return {due}"
        )


def _described(output: Any) -> str:
    """Return the shape of a tensor, the shapes in a tuple, or the name of another class."""
    if isinstance(output, Tensor):
        return str(tuple(output.shape))
    if isinstance(output, tuple | list):
        return f"a {type(output).__name__} of {', '.join(map(_described, output))}"
    return f"a {type(output).__name__}"
