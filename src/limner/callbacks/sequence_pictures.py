"""Pictures and films of sequences of frames during training, always of the same codes."""

__all__ = ["SequencePictures", "sheet"]

from collections.abc import Sequence
from pathlib import Path

import lightning as L
import torch
from PIL import Image
from torch import Tensor

from limner.callbacks.films import film, write_film
from limner.callbacks.picture_labels import with_labels
from limner.callbacks.pictures import grid, interleave
from limner.callbacks.run_pictures import PeriodicPictures, write_picture
from limner.callbacks.validation_images import held_out
from limner.interfaces import Reconstructs, Samples
from limner.randomness import generator_for

COLUMNS = 10
"""Largest number of frames in a row of a sheet."""


class SequencePictures(PeriodicPictures):
    """Callback that draws the sequences of a model with `reads_frames` in the run folder.

    It writes `samples/update_<n>.png`, whose rows are sequences and whose columns are frames, and
    `samples/update_<n>.gif`, in which all sequences move; at the end `final.png` and `final.gif`.
    For a model that reconstructs, the same files with the ending `_reconstructions` show held-out
    sequences, and their reconstructions below them. It does nothing for other models. Loggers that
    accept images get the sheets too.

    Args:
        every_num_updates: Smallest number of updates between pictures, at least 1.
        num_sequences: Number of sequences in a picture, at least 1.
        frames_per_second: Speed of the films, above 0.
        seed: Seed of the codes.
    """

    key, number = "sequences", "num_sequences"

    def __init__(
        self, *, every_num_updates: int, num_sequences: int, frames_per_second: float, seed: int
    ) -> None:
        super().__init__(every_num_updates=every_num_updates, num_images=num_sequences)
        if not 0 < frames_per_second <= 50:
            raise ValueError(
                f"callbacks.sequences.frames_per_second={frames_per_second}: must be above 0 and "
                "at most 50."
            )
        self.frames_per_second, self.seed = frames_per_second, seed

    def draw(self, trainer: L.Trainer, model: L.LightningModule, name: str) -> None:
        if not getattr(model, "reads_frames", False):
            return
        update = f"update {trainer.global_step:,}"
        with self.writing():
            if isinstance(model, Samples):
                generator = generator_for(self.seed, "pictures")
                frames = model.sample(self.num_images, generator=generator)
                about = "Each row shows one sequence; the numbers above are numbers of frames."
                if getattr(model, "ema", None) is not None:
                    about += " Drawn with the EMA weights."
                self._write(trainer, frames, name, title=f"Samples, {update}", about=about)
            if isinstance(model, Reconstructs):
                frames, labels = held_out(trainer, model, max(1, self.num_images // 2))
                pairs = interleave(frames, model.reconstruct(frames, *labels), columns=1)
                self._write(
                    trainer, pairs, f"{name}_reconstructions",
                    title=f"Reconstructions, {update}",
                    about="The reconstructions of held-out sequences are below the originals.",
                    rows=["original", "reconstruction"] * len(frames),
                )  # fmt: skip

    def _write(
        self, trainer: L.Trainer, frames: Tensor, name: str, *, title: str, about: str,
        rows: Sequence[str] = (),
    ) -> None:  # fmt: skip
        key = title.partition(",")[0].lower()
        picture, columns = sheet(frames)
        write_picture(
            trainer, with_labels(picture, title=title, about=about, rows=rows, columns=columns),
            name, key=key, caption=f"{key.capitalize()}. {about}",
        )  # fmt: skip
        columns_of_film = 2 if rows else round(len(frames) ** 0.5)
        write_film(
            Path(trainer.default_root_dir, f"{name}.gif"),
            film(frames, columns=max(1, columns_of_film)),
            frames_per_second=self.frames_per_second,
        )  # fmt: skip


def sheet(frames: Tensor) -> tuple[Image.Image, list[str]]:
    """Return a picture with a row for each sequence, and the numbers of the frames in its columns.

    Args:
        frames: Sequences (N, T, C, H, W) in [-1, 1]. At most 10 frames of each are shown, at equal
            distances.
    """
    length = frames.shape[1]
    times = torch.linspace(0, length - 1, min(length, COLUMNS)).round().long()
    shown = frames[:, times.to(frames.device)].flatten(0, 1)
    return grid(shown, columns=len(times)), [str(time + 1) for time in times.tolist()]
