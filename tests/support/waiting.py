"""Detection of code that reads a value from the device, which would wait for a GPU."""

import contextlib
from collections.abc import Iterator

import pytest
import torch

READS = ("item", "tolist", "nonzero", "cpu", "numpy")
READS += ("__bool__", "__float__", "__int__", "__index__", "__iter__")


@contextlib.contextmanager
def no_waiting() -> Iterator[None]:
    """Make `.item()`, `if tensor`, `float(tensor)` and the like raise AssertionError."""

    def read(self, *args, **kwargs):
        raise AssertionError("waits for the device")

    with pytest.MonkeyPatch.context() as patch:
        for name in READS:
            patch.setattr(torch.Tensor, name, read)
        yield
