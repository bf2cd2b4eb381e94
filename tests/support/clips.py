"""Sequences of frames in files, and a small model that reads them, for tests of the data alone."""

from functools import partial
from pathlib import Path

import lightning as L
import numpy as np
import torch
from PIL import Image

from limner.data import FrameFolders
from limner.data.sequence_store import OpenedSequences, SequenceSettings


def write_frames(folder: Path, num_frames: int, *, number: int = 0, size=(12, 10)) -> Path:
    """Write frames 1.png, 2.png, ...; all pixels of a frame are 20 `number` + its position."""
    folder.mkdir(parents=True, exist_ok=True)
    for t in range(num_frames):
        pixels = np.full((size[1], size[0], 3), 20 * number + t, np.uint8)
        Image.fromarray(pixels).save(folder / f"{t + 1}.png")
    return folder


def write_clips(root: Path, num_clips: int, *, num_frames: int = 12) -> Path:
    """Write folders clip_0, clip_1, ... of frames, see `write_frames`."""
    for number in range(num_clips):
        write_frames(root / f"clip_{number}", num_frames, number=number)
    return root


def settings(**changes) -> SequenceSettings:
    """Return settings for frames of 10x10 pixels, with other values of some of them."""
    usual = {
        "image_shape": [3, 10, 10], "num_frames": 3, "validation_fraction": 0.0, "split_seed": 0,
        "store": "auto", "memory_limit_gib": 1.0, "on_corrupt": "error",
        "background": (255, 255, 255),
    }  # fmt: skip
    return SequenceSettings(**usual | changes)


def opened(path: Path, **changes) -> OpenedSequences:
    """Open the sequences of a folder; `changes` are other settings."""
    return FrameFolders(path=str(path)).open_sequences(settings(**changes))


def corners(store):
    """Return the value of each frame of each sequence: 20 number of the clip + number of frame."""
    return store.gather(torch.arange(len(store)))[:, :, 0, 0, 0].tolist()


class Watcher(L.LightningModule):
    """Model of one convolution that records the frames it reads."""

    reads_frames = True

    def __init__(self, *, channels: int = 3, optimizer=None) -> None:
        super().__init__()
        self.optimizer = optimizer
        self.network = torch.nn.Conv2d(channels, channels, 3, padding=1)
        self.seen: dict[str, list] = {"train": [], "val": []}

    def configure_optimizers(self):
        return (self.optimizer or partial(torch.optim.SGD, lr=0.1))(self.parameters())

    def training_step(self, batch, batch_idx):
        self.seen["train"].append(batch["frames"].clone())
        return self._loss(batch["frames"])

    def validation_step(self, batch, batch_idx):
        frames = batch["frames"]
        self.seen["val"].append(frames.clone())
        self.log("val/loss", self._loss(frames), batch_size=len(frames), sync_dist=True)

    def _loss(self, frames):
        """Return the error of the next frame, predicted from each frame."""
        predicted = self.network(frames[:, :-1].flatten(0, 1))
        return (predicted - frames[:, 1:].flatten(0, 1)).square().mean()


class Alone(Watcher):
    """Model that reads sequences, without saying so."""

    reads_frames = False
