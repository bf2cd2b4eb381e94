"""Lightning's loggers, with a history that goes on after a resume, and pictures in one way."""

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
from lightning.pytorch.loggers.logger import rank_zero_experiment
from lightning.pytorch.utilities import rank_zero_only
from PIL import Image

SECONDS_BETWEEN_CONNECTIONS = 600.0
"""wandb waits a minute and a half for a network that is not there, and training with it."""


class TensorBoardLogger(lightning_loggers.TensorBoardLogger):
    """Event files in `tensorboard/` of the run folder, pictures too.

    Args:
        folder: The run folder.
    """

    def __init__(self, *, folder: str) -> None:
        super().__init__(save_dir=folder, name="", version="tensorboard")
        threading.excepthook = _without_tensorboard(threading.excepthook)

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The writer of event files."""
        writer = super().experiment
        self._kwargs.pop("purge_step", None)  # one that replaces a broken writer hides nothing
        return writer

    def go_on_from(self, update: int) -> None:
        """To be called first by a run that has been here before: what came later is hidden."""
        self._kwargs["purge_step"] = update + 1

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        with self._replacing_broken_writers():
            super().log_metrics(metrics, step)

    @rank_zero_only
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """config.yaml has them."""

    @rank_zero_only
    def log_image(self, key: str, images: Sequence[Image.Image], step: int) -> None:
        """Add pictures under one key."""
        with self._replacing_broken_writers():
            for image in images:
                pixels = np.asarray(image.convert("RGB"))
                self.experiment.add_image(key, pixels, step, dataformats="HWC")

    @rank_zero_only
    def save(self) -> None:
        with self._replacing_broken_writers():
            super().save()

    @contextmanager
    def _replacing_broken_writers(self) -> Iterator[None]:
        """A writer that has failed once never writes again: the next call opens a new file."""
        try:
            yield
        except Exception:
            self._experiment = None
            raise


class WandbLogger(lightning_loggers.WandbLogger):
    """Weights & Biases; without an API key it writes offline, to be sent by `wandb sync` later.

    A run folder is one W&B run, also after a resume.

    Args:
        folder: The run folder.
        project: The project's name.
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
        """The run at W&B; connects at the first use, and not too soon again if that fails."""
        if self._failure is not None and time.monotonic() < self._next_attempt:
            raise self._failure
        try:
            return super().experiment
        except Exception as error:
            self._failure = error
            self._next_attempt = time.monotonic() + SECONDS_BETWEEN_CONNECTIONS
            raise


def _without_tensorboard(hook: Callable[..., object]) -> Callable[..., object]:
    """Leaves out tracebacks of TensorBoard's writers, which raise them at the next call too."""
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
