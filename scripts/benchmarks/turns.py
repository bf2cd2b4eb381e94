"""The opponent's side of a turn: train when the parent commands it, and wait otherwise.

Only one opponent runs at a time, and other load on the machine affects all opponents alike.
"""

__all__ = ["Turns"]

import os
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.players import PIPE

BATCH = 100
"""Number of images that are drawn at a time."""


class Turns:
    """Timer of a training's updates, which follows the commands of the parent.

    Args:
        device: "cpu" or "cuda".
        draw: Function that draws a number of images in [-1, 1] with the averaged weights.
        save: Function that writes the state that resuming needs to a file.
    """

    def __init__(
        self, *, device: str, draw: Callable[[int], Tensor], save: Callable[[Path], Any]
    ) -> None:
        self.device, self.draw, self.save = device, draw, save
        self._parent = Connection(int(os.environ[PIPE]))
        self._left = self._measured = 1  # the first update shows that the set-up is complete
        self._start = self._clocks()

    def after_update(self) -> bool:
        """Return whether to do another update. Call this method after every update."""
        self._left -= 1
        if self._left == self._measured:
            self._start = self._clocks()
        elif self._left == 0:
            wall, cpu = self._clocks()
            self._parent.send((wall - self._start[0], cpu - self._start[1]))
            return self._obey()
        return True

    def _obey(self) -> bool:
        """Follow commands until the command is to train (return True) or to end (return False)."""
        does = {"draw": self._draw, "save": self._save, "memory": self._memory}
        while True:
            command, *arguments = self._parent.recv()
            if command == "end":
                return False
            if command == "train":
                unmeasured, self._measured = arguments
                self._left = unmeasured + self._measured
                return True
            self._parent.send(does[command](*arguments))

    def _draw(self, num_images: int) -> float:
        """Return the seconds until the images exist as bytes, the form that scores read."""
        start = self._now()
        for _ in range(-(-num_images // BATCH)):
            images = self.draw(BATCH).float()
            images.add(1).mul_(127.5).round_().clamp_(0, 255).byte().cpu()
        return self._now() - start

    def _save(self, path: Path) -> float:
        """Return the seconds until the file is written."""
        start = self._now()
        self.save(path)
        return self._now() - start

    def _memory(self) -> int:
        """Return the peak bytes of tensors on a GPU, else of this process and its workers."""
        if self.device == "cuda":
            return torch.cuda.max_memory_allocated()
        workers = [
            child
            for children in Path("/proc/self/task").glob("*/children")
            for child in children.read_text().split()
        ]
        own = sum(_bytes(f"/proc/{worker}/smaps_rollup", "Private_") for worker in workers)
        return own + _bytes("/proc/self/status", "VmHWM")

    def _clocks(self) -> tuple[float, float]:
        """Return the wall-clock seconds, and the CPU seconds of this process."""
        return self._now(), time.process_time()

    def _now(self) -> float:
        """Return the wall-clock seconds after the device has finished its work."""
        if self.device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()


def _bytes(file: str, start: str) -> int:
    """Return the bytes on the lines of a /proc file that start with `start`; 0 without a file."""
    path = Path(file)
    lines = path.read_text().splitlines() if path.exists() else []
    return sum(1024 * int(line.split()[1]) for line in lines if line.startswith(start))
