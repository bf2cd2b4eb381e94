"""Profile of a few updates, which shows how their time is spent."""

__all__ = ["Profiler"]

import logging
import os
from collections.abc import Sequence
from pathlib import Path

import lightning as L
from torch.autograd.profiler_util import FunctionEventAvg
from torch.profiler import ProfilerActivity, profile, schedule

from limner.files.printable import counted

log = logging.getLogger(__name__)

STEP = "ProfilerStep*"
"""Torch's name of the event of a whole update."""


class Profiler(L.Callback):
    """Callback that profiles rank 0 into `profile/trace.json.gz` and `profile/operators.txt`.

    The files are in the run folder. The trace opens in https://ui.perfetto.dev or
    chrome://tracing. The text lists the operators that took most time; `(outside operators)` is
    the Python code of Lightning and limner. An update lasts from the end of the previous update to
    its own end: loading of data, the training step, all callbacks, and validation if it happens in
    between. Profiling itself takes time, so compare shares within a profile rather than times of
    different runs.

    Args:
        num_skipped_updates: Number of updates after this start before the trace, at least 1.
        num_updates: Number of updates in the trace, at least 1.
        num_operators: Number of operators in operators.txt, at least 1.
        with_stack: Whether the trace also contains Python functions.
    """

    def __init__(
        self, *, num_skipped_updates: int, num_updates: int, num_operators: int, with_stack: bool
    ) -> None:
        for name, value in (
            ("num_skipped_updates", num_skipped_updates),
            ("num_updates", num_updates),
            ("num_operators", num_operators),
        ):
            if value < 1:
                raise ValueError(f"callbacks.profiler.{name}={value}: must be 1 or more.")
        self.num_skipped_updates, self.num_updates = num_skipped_updates, num_updates
        self.num_operators, self.with_stack = num_operators, with_stack
        self._profile: profile | None = None
        self._folder: Path | None = None
        self._written = False

    def on_train_start(self, trainer: L.Trainer, model: L.LightningModule) -> None:
        if not trainer.is_global_zero:
            return
        self._folder = Path(trainer.default_root_dir, "profile")
        os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # otherwise Kineto writes to the terminal
        on_gpu = trainer.strategy.root_device.type == "cuda"
        self._profile = profile(
            activities=[ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])],
            schedule=schedule(
                wait=self.num_skipped_updates - 1, warmup=1, active=self.num_updates, repeat=1
            ),
            on_trace_ready=self._write,
            with_stack=self.with_stack,
        )
        self._profile.start()

    def on_train_batch_end(
        self, trainer: L.Trainer, model: L.LightningModule, *args: object
    ) -> None:
        if self._profile is None:
            return
        self._profile.step()
        if self._written:
            self._stop()

    def on_train_end(self, trainer: L.Trainer, model: L.LightningModule) -> None:
        self._stop()
        if trainer.is_global_zero and not self._written:
            log.warning(
                "No profile: training ended within callbacks.profiler.num_skipped_updates=%d.",
                self.num_skipped_updates,
            )

    def on_exception(
        self, trainer: L.Trainer, model: L.LightningModule, exception: BaseException
    ) -> None:
        self._stop()

    def _stop(self) -> None:
        """Stop the profiler; it writes the recorded updates unless they have been written."""
        if self._profile is not None:
            running, self._profile = self._profile, None
            running.stop()

    def _write(self, done: profile) -> None:
        self._written = True
        self._folder.mkdir(exist_ok=True)
        done.export_chrome_trace(str(self._folder / "trace.json.gz"))
        lines = operators(done.key_averages(), num_operators=self.num_operators)
        (self._folder / "operators.txt").write_text("\n".join(lines) + "\n")
        log.info("Profile: %s", self._folder / "operators.txt")


def operators(events: Sequence[FunctionEventAvg], *, num_operators: int) -> list[str]:
    """Return lines of text that list the slowest operators of an update, in microseconds.

    Args:
        events: Averages of the events by name, including the event of whole updates.
        num_operators: Number of operators to list.
    """
    (whole,) = (event for event in events if event.key == STEP)
    on_device = any(event.self_device_time_total > 0 for event in events)
    named = [event for event in events if not event.key.startswith("ProfilerStep")]
    named.sort(key=lambda e: -(e.self_device_time_total if on_device else e.self_cpu_time_total))
    num_updates, total = whole.count, whole.cpu_time_total / whole.count
    lines = [
        f"{counted(num_updates, 'update')} of {total:,.0f} us on average, profiling included",
        "",
        f"{'operator':50} {'calls':>7} {'CPU us':>9} {'of all':>7} {'device us':>10}",
    ]
    outside = ("(outside operators)", num_updates, whole.self_cpu_time_total, 0.0)
    rows = [(e.key, e.count, e.self_cpu_time_total, e.self_device_time_total) for e in named]
    for name, count, cpu, device in [outside, *rows[:num_operators]]:
        lines.append(
            f"{name[:50]:50} {count / num_updates:7.1f} {cpu / num_updates:9.1f} "
            f"{cpu / num_updates / total:7.1%} {device / num_updates:10.1f}"
        )
    return lines
