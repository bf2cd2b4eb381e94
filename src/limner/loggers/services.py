"""Loggers for TensorBoard and Weights & Biases, with resume and the same method for pictures."""

__all__ = ["TensorBoardLogger", "WandbLogger"]

import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning.pytorch.loggers as lightning_loggers
import numpy as np
from lightning.pytorch.loggers.logger import Logger, rank_zero_experiment
from lightning.pytorch.utilities import rank_zero_only
from PIL import Image
from torch.utils.tensorboard import SummaryWriter

SECONDS_BETWEEN_CONNECTIONS = 600.0
"""Seconds between two attempts to connect to W&B.

Without a network, wandb waits for a minute and a half, and training waits too.
"""


class TensorBoardLogger(Logger):
    """Logger that writes values and pictures to event files in `tensorboard/` of the run folder.

    Args:
        folder: Run folder.
    """

    name, version = "tensorboard", ""

    def __init__(self, *, folder: str) -> None:
        super().__init__()
        self.folder = Path(folder, "tensorboard")
        self._writer: SummaryWriter | None = None
        self._options: dict[str, int] = {}
        threading.excepthook = _without_tensorboard(threading.excepthook)

    @property
    def save_dir(self) -> str:
        return str(self.folder.parent)

    @property
    def log_dir(self) -> str:
        return str(self.folder)

    @property
    @rank_zero_experiment
    def experiment(self) -> SummaryWriter:
        """Writer of the event files, opened at the first use."""
        if self._writer is None:
            self._writer = SummaryWriter(self.log_dir, **self._options)
            self._options = {}  # a writer that replaces a failed one must not purge
        return self._writer

    def go_on_from(self, update: int) -> None:
        """Hide values that an earlier start logged after `update`; call this before logging."""
        self._options = {"purge_step": update + 1}

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        with self._replacing_broken_writers():
            for name, value in metrics.items():
                self.experiment.add_scalar(name, value, step)

    @rank_zero_only
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Write nothing, since config.yaml has the hyperparameters."""

    @rank_zero_only
    def log_image(self, key: str, images: Sequence[Image.Image], step: int) -> None:
        """Add pictures under one key."""
        with self._replacing_broken_writers():
            for image in images:
                pixels = np.asarray(image.convert("RGB"))
                self.experiment.add_image(key, pixels, step, dataformats="HWC")

    @rank_zero_only
    def save(self) -> None:
        if self._writer is not None:
            with self._replacing_broken_writers():
                self._writer.flush()

    @rank_zero_only
    def finalize(self, status: str) -> None:
        if self._writer is not None:
            with self._replacing_broken_writers():
                self._writer.flush()
                self._writer.close()

    @contextmanager
    def _replacing_broken_writers(self) -> Iterator[None]:
        """Discard a writer that has failed, since it never writes again."""
        # TensorBoard's thread also prints a traceback
        # (test_tensorboard_writes_again_when_the_disk_has_room).
        try:
            yield
        except Exception:
            self._writer = None
            raise


class WandbLogger(lightning_loggers.WandbLogger):
    """Logger for Weights & Biases.

    Without an API key, it writes offline files, which `wandb sync` can send later. A run folder is
    one W&B run, also after a resume.

    Args:
        folder: Run folder.
        project: Name of the W&B project.
    """

    def __init__(self, *, folder: str, project: str) -> None:
        known = os.environ.get("WANDB_API_KEY") or _has_login()
        super().__init__(
            save_dir=folder,
            project=project,
            id=hashlib.sha256(str(Path(folder).resolve()).encode()).hexdigest()[:12],
            resume="allow",
            offline=not known or os.environ.get("WANDB_MODE") == "offline",
        )
        self._failure: Exception | None = None
        self._next_attempt = 0.0

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """W&B run, which connects at the first use, and at most every 600 s after a failure."""
        if self._failure is not None and time.monotonic() < self._next_attempt:
            raise self._failure
        try:
            return super().experiment
        except Exception as error:
            self._failure = error
            self._next_attempt = time.monotonic() + SECONDS_BETWEEN_CONNECTIONS
            raise


def _without_tensorboard(hook: Callable[..., object]) -> Callable[..., object]:
    """Return an excepthook without the tracebacks of TensorBoard's writer threads.

    The writers raise the same exceptions at their next call.
    """
    if getattr(hook, "hides_tensorboard", False):
        return hook

    def show(arguments: threading.ExceptHookArgs) -> None:
        if not type(arguments.thread).__module__.startswith("tensorboard."):
            hook(arguments)

    show.hides_tensorboard = True
    return show


def _has_login() -> bool:
    netrc = Path(os.environ.get("NETRC", "~/.netrc")).expanduser()
    return netrc.exists() and "api.wandb.ai" in netrc.read_text()
