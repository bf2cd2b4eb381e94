"""Estimate of the memory that a network needs for the activations of a picture.

The network runs on two small pictures while the bytes of its tensors are counted. The growth
between the two gives the bytes for a picture of any size, also where memory grows with the square
of the number of pixels, as in attention over the whole picture.
"""

__all__ = ["ActivationMemory", "free_bytes"]

import functools
import math
import os
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from limner.errors import UserError

SIDES = (64, 128)
"""Heights and widths in pixels of the pictures on which the network runs."""
SHARE = 0.9
"""Share of the free memory that activations may take."""


class ActivationMemory:
    """The memory of a network's activations, measured at the first use.

    Args:
        run: Function that runs the network on a square picture of a given side in pixels.
    """

    def __init__(self, run: Callable[[int], Any]) -> None:
        self._run = run

    def peak_bytes(self, num_pixels: int) -> int:
        """Return about how many bytes of tensors are in memory at once, for this many pixels."""
        few, many = self._measured
        growth = max(1.0, math.log(many / few) / (2 * math.log(SIDES[1] / SIDES[0])))
        return round(many * (num_pixels / SIDES[1] ** 2) ** growth)

    def check(self, height: int, width: int, *, device: torch.device, advice: str) -> None:
        """Raise UserError if the activations of a picture do not fit in the free memory.

        Args:
            height: Height in pixels of what the network reads at once.
            width: Width in pixels of what the network reads at once.
            device: Device of the network.
            advice: Advice to the user, at the end of the message.
        """
        if height * width <= SIDES[1] ** 2:
            return
        free, needed = free_bytes(device), self.peak_bytes(height * width)
        if free is not None and needed > SHARE * free:
            raise UserError(
                f"{width} x {height} pixels at once need about {needed / 2**30:.1f} GiB of "
                f"memory, but only {free / 2**30:.1f} GiB are free. {advice}"
            )

    @functools.cached_property
    def _measured(self) -> tuple[int, int]:
        few, many = (_counted(self._run, side) for side in SIDES)
        return few, many


def free_bytes(device: torch.device) -> int | None:
    """Return the free memory of a device in bytes; None if the system does not state it."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    found = []
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        found += [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable")]
        group = Path("/sys/fs/cgroup")
        limit = (group / "memory.max").read_text().strip()
        if limit != "max":
            found.append(int(limit) - int((group / "memory.current").read_text()))
    except (OSError, ValueError):  # another system, or no limit of a container
        pass
    if not found and hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        found.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    return max(0, min(found)) if found else None


class _Counted(TorchDispatchMode):
    """Context that counts the bytes of living tensors which operations have made."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = self.peak = 0
        self._known: set[int] = set()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        made = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, Tensor):
                self._add(tensor.untyped_storage())
        self.peak = max(self.peak, self.bytes)
        return made

    def _add(self, storage: torch.UntypedStorage) -> None:
        key = storage._cdata
        if key in self._known:
            return
        self._known.add(key)
        self.bytes += storage.nbytes()
        weakref.finalize(storage, self._remove, key, storage.nbytes())

    def _remove(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.bytes -= size


def _counted(run: Callable[[int], Any], side: int) -> int:
    with torch.inference_mode(), _Counted() as counted:
        run(side)
    return max(1, counted.peak)
