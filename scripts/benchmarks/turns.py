"""Inside an opponent's process: trains when it is its turn, and waits otherwise.

All opponents share what else happens on the machine, and none ever runs beside another.
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
"""Images that are drawn at a time."""


class Turns:
    """Times the updates of a training and does what the parent says.

    Args:
        device: "cpu" or "cuda".
        draw: Draws as many images in [-1, 1] as it is told, by the averaged weights.
        save: Writes all that is needed to go on training into a file.
    """

    def __init__(
        self, *, device: str, draw: Callable[[int], Tensor], save: Callable[[Path], Any]
    ) -> None:
        self.device, self.draw, self.save = device, draw, save
        self._parent = Connection(int(os.environ[PIPE]))
        self._left = self._measured = 1  # the first update tells that all is set up
        self._start = self._clocks()

    def after_update(self) -> bool:
        """To be called after every update; whether there is another one to do."""
        self._left -= 1
        if self._left == self._measured:
            self._start = self._clocks()
        elif self._left == 0:
            wall, cpu = self._clocks()
            self._parent.send((wall - self._start[0], cpu - self._start[1]))
            return self._obey()
        return True

    def _obey(self) -> bool:
        """Does as it is told until that is to train, or to end."""
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
        """Seconds until so many images are there as bytes, as a score reads them."""
        start = self._now()
        for _ in range(-(-num_images // BATCH)):
            images = self.draw(BATCH).float()
            images.add(1).mul_(127.5).round_().clamp_(0, 255).byte().cpu()
        return self._now() - start

    def _save(self, path: Path) -> float:
        """Seconds until the file is there."""
        start = self._now()
        self.save(path)
        return self._now() - start

    def _memory(self) -> int:
        """Bytes at the peak: on a GPU of tensors, else of this process and its workers."""
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
        """Seconds of the clock, and of the processor for this process."""
        return self._now(), time.process_time()

    def _now(self) -> float:
        """The clock, once the device has done all that it was given."""
        if self.device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()


def _bytes(file: str, start: str) -> int:
    """The sum of the lines of a file in /proc that start so; 0 where there is no such file."""
    path = Path(file)
    lines = path.read_text().splitlines() if path.exists() else []
    return sum(1024 * int(line.split()[1]) for line in lines if line.startswith(start))
