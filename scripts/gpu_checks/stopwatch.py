"""Time of an update, of limner and of any loop, and the time that the GPU works in it."""

__all__ = ["Stopwatch", "Times", "busy_seconds", "measure", "time_loop"]

import json
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import lightning as L
import torch

NUM_WARM_UP, NUM_PACE = 5, 3
"""Number of updates before the measurement, and for choosing the number of measured updates."""
NUM_TURNS = 3
MOST = 2000
"""Largest number of updates in a turn."""
ON_GPU = ("kernel", "gpu_memcpy", "gpu_memset")
"""Categories of a trace's events that keep a GPU busy."""


@dataclass
class Times:
    """Measured times."""

    turns: list[float] = field(default_factory=list)
    """Seconds of an update in each turn."""
    busy: float | None = None
    """Seconds in which the GPU works in an update; None if this was not measured."""

    @property
    def seconds(self) -> float:
        """Seconds of an update in the median turn."""
        return statistics.median(self.turns)

    @property
    def idle(self) -> float | None:
        """Share of the time that the GPU does nothing; None if this was not measured."""
        return None if self.busy is None else max(0.0, 1 - self.busy / self.seconds)


def measure(
    times: Times, *, device: str, seconds: float, num_profiled: int = 0, trace: Path | None = None
) -> Iterator[None]:
    """Yield once for each update that the caller is to do; the times are then in `times`.

    Args:
        times: Receives the times.
        device: "cpu" or "cuda".
        seconds: Seconds of a turn.
        num_profiled: Number of further updates that are profiled, with a GPU. The profiler slows
            the updates, so it does not run while the turns are measured.
        trace: Path of the profiler's file.
    """

    def now() -> float:
        if device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()

    for _ in range(NUM_WARM_UP):
        yield
    start = now()
    for _ in range(NUM_PACE):
        yield
    number = max(1, min(MOST, round(seconds * NUM_PACE / (now() - start))))
    for _ in range(NUM_TURNS):
        start = now()
        for _ in range(number):
            yield
        times.turns.append((now() - start) / number)
    if num_profiled and device == "cuda":
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
            for _ in range(num_profiled):
                yield
            now()
        profile.export_chrome_trace(str(trace))
        times.busy = busy_seconds(trace) / num_profiled


def time_loop(updates: Iterator[None], *, device: str, seconds: float) -> Times:
    """Return the times of a loop that yields after each update."""
    times = Times()
    for _ in measure(times, device=device, seconds=seconds):
        next(updates)
    return times


def busy_seconds(trace: Path) -> float:
    """Return the seconds in which at least one kernel or copy runs, from a Chrome trace."""
    events = json.loads(trace.read_text())["traceEvents"]
    spans = sorted(
        (event["ts"], event["ts"] + event["dur"]) for event in events if event.get("cat") in ON_GPU
    )
    busy, end = 0.0, float("-inf")
    for first, last in spans:
        busy += max(0.0, last - max(first, end))
        end = max(end, last)
    return busy / 1e6


class Stopwatch(L.Callback):
    """Callback that measures limner's updates by `measure`, and then ends the training.

    Args:
        options: Arguments of `measure`.
    """

    def __init__(self, **options: object) -> None:
        self.times = Times()
        self._updates = measure(self.times, **options)

    def on_train_start(self, *args: object) -> None:
        next(self._updates)

    def on_train_batch_end(self, trainer: L.Trainer, *args: object) -> None:
        if next(self._updates, self) is self:
            trainer.should_stop = True
