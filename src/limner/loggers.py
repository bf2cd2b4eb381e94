"""Loggers whose history goes on after a resume, and which take pictures in the same way."""

__all__ = ["CSVLogger", "TensorBoardLogger", "WandbLogger"]

import csv
import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch.loggers as lightning_loggers
import numpy as np
from lightning.pytorch.loggers.logger import Logger
from lightning.pytorch.utilities import rank_zero_only
from PIL import Image


class CSVLogger(Logger):
    """`metrics.csv` in the run folder: a row for each update at which something was logged.

    After a resume the rows of earlier updates stay, and those of updates that are done again are
    replaced. (Lightning's own logger deletes the file.)

    Args:
        folder: The run folder.
    """

    name, version = "csv", ""

    def __init__(self, *, folder: str) -> None:
        super().__init__()
        self.path = Path(folder, "metrics.csv")
        self._columns: list[str] = ["update"]
        self._row: dict[str, Any] = {}
        self._start: int | None = None  # of the row in the file, once it is there
        self._changed = self._opened = False

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        if not self._opened:
            self._open(step)
        if self._row.get("update") != step:
            self.save()
            self._row, self._start = {"update": step}, None
        self._row |= metrics
        self._changed = True

    @rank_zero_only
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """config.yaml has them."""

    @rank_zero_only
    def save(self) -> None:
        """Writes the newest row, in place of itself if it was written before."""
        if not self._changed:
            return
        if self._start is not None:
            os.truncate(self.path, self._start)
        new = [name for name in self._row if name not in self._columns]
        if new or not self.path.exists():
            self._columns += new
            self._rewrite(self._rows())
        with open(self.path, "a", newline="") as file:
            self._start = file.seek(0, os.SEEK_END)
            csv.DictWriter(file, self._columns).writerow(self._row)
        self._changed = False

    @rank_zero_only
    def finalize(self, status: str) -> None:
        self.save()

    def _open(self, step: int) -> None:
        """Takes over the rows of an earlier start that lie before `step`."""
        self._opened = True
        rows = self._rows()
        if rows:
            self._columns = list(rows[0])
            self._rewrite([row for row in rows if int(row["update"]) < step])

    def _rows(self) -> list[dict[str, str]]:
        if not self.path.exists():
            return []
        with open(self.path, newline="") as file:
            return list(csv.DictReader(file))

    def _rewrite(self, rows: Sequence[Mapping[str, Any]]) -> None:
        partial = self.path.with_suffix(".partial")
        with open(partial, "w", newline="") as file:
            writer = csv.DictWriter(file, self._columns)
            writer.writeheader()
            writer.writerows(rows)
        os.replace(partial, self.path)


class TensorBoardLogger(lightning_loggers.TensorBoardLogger):
    """Event files in `tensorboard/` of the run folder, pictures too.

    Args:
        folder: The run folder.
    """

    def __init__(self, *, folder: str) -> None:
        super().__init__(save_dir=folder, name="", version="tensorboard")

    @rank_zero_only
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """config.yaml has them."""

    @rank_zero_only
    def log_image(self, key: str, images: Sequence[Image.Image], step: int) -> None:
        """Adds pictures under one key."""
        for image in images:
            pixels = np.asarray(image.convert("RGB"))
            self.experiment.add_image(key, pixels, step, dataformats="HWC")


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


def _has_login() -> bool:
    netrc = Path(os.environ.get("NETRC", "~/.netrc")).expanduser()
    return netrc.exists() and "api.wandb.ai" in netrc.read_text()
