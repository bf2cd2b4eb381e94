"""Predicted frames beside the true frames, as a GIF and a strip, and the error of each step."""

__all__ = ["Predictions", "error_picture", "film_of", "step_titles", "strip"]

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning as L
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

from limner.callbacks.films import film, write_film
from limner.callbacks.frame_scores import FrameScores
from limner.callbacks.picture_labels import with_labels
from limner.callbacks.pictures import grid
from limner.callbacks.run_pictures import SAMPLES, write_picture
from limner.interfaces import Batch
from limner.pixels import to_float, to_uint8
from limner.schedules import Interval
from limner.warn_once import WarnOnce

TILE = 64  # pixels; largest height and width of a frame in a strip
MAX_SIDE = 512  # pixels; largest height and width of a GIF
MOST_COLUMNS = 40  # largest number of frames of a strip


class Predictions(L.Callback):
    """Callback that shows the first validation sequences of a model that predicts frames.

    After a validation, it writes `samples/update_<n>.gif` and `.png` into the run folder, and at
    the end of training `final.gif`, `final.png` and, with `metrics=frames`, `error_of_steps.png`.
    Loggers that accept images get the pictures too. For other models, the callback does nothing.

    Args:
        every_num_updates: Smallest number of updates between pictures, at least 1.
        num_sequences: Number of sequences that are shown, at least 1.
        frames_per_second: Speed of the GIF, above 0.
    """

    def __init__(
        self, *, every_num_updates: int, num_sequences: int, frames_per_second: float
    ) -> None:
        if every_num_updates < 1 or num_sequences < 1 or frames_per_second <= 0:
            raise ValueError(
                "callbacks.predictions: every_num_updates and num_sequences must be 1 or more, "
                "and frames_per_second above 0."
            )
        self.interval = Interval(every=every_num_updates, growth=0.0)
        self.num_sequences, self.frames_per_second = num_sequences, frames_per_second
        self.writing = WarnOnce("Writing predictions", OSError)
        self._validated = 0  # update of the validation before
        self._shown: list[tuple[Tensor, Tensor]] = []

    def state_dict(self) -> dict[str, Any]:
        return {"validated": self._validated}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        self._validated = state_dict["validated"]

    def on_validation_epoch_start(self, trainer: L.Trainer, model: L.LightningModule) -> None:
        self._shown = []

    def on_validation_batch_end(
        self,
        trainer: L.Trainer,
        model: L.LightningModule,
        outputs: Mapping[str, Any],
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        missing = self.num_sequences - sum(len(frames) for frames, _ in self._shown)
        if (
            trainer.state.fn == "fit"
            and trainer.is_global_zero
            and _predicts(model)
            and missing > 0
        ):
            pair = batch["frames"], outputs["output"]
            self._shown.append(tuple(to_uint8(each[:missing]).cpu() for each in pair))

    def on_validation_end(self, trainer: L.Trainer, model: L.LightningModule) -> None:
        if not self._shown:
            return
        update = trainer.global_step
        is_due = any(self.interval.is_due(n) for n in range(self._validated + 1, update + 1))
        self._validated = update
        if is_due:
            self._write(trainer, f"{SAMPLES}/update_{update:08d}")

    def on_train_end(self, trainer: L.Trainer, model: L.LightningModule) -> None:
        if self._shown:
            self._write(trainer, "final")
            self._write_errors(trainer)

    def _write(self, trainer: L.Trainer, name: str) -> None:
        frames, predicted = (torch.cat(each) for each in zip(*self._shown, strict=True))
        with self.writing():
            title = f"Predictions, update {trainer.global_step:,}"
            about = "Each true sequence, and the prediction of its last frames below it."
            picture = strip(frames, predicted, title=title, about=about)
            write_picture(trainer, picture, name, key="predictions", caption=about)
            write_film(
                Path(trainer.default_root_dir, f"{name}.gif"), film_of(frames, predicted),
                frames_per_second=self.frames_per_second, max_side=MAX_SIDE,
            )  # fmt: skip

    def _write_errors(self, trainer: L.Trainer) -> None:
        scores = [callback for callback in trainer.callbacks if isinstance(callback, FrameScores)]
        if not scores or not scores[0].steps:
            return
        with self.writing():
            name = scores[0].quality.scores[0]
            title = f"Update {trainer.global_step:,}"
            picture = error_picture(scores[0].steps, name, title=title)
            caption = f"The mean {name.replace('_', ' ')} of each step ahead, beside baselines."
            write_picture(
                trainer, picture, "error_of_steps", key="error_of_steps", caption=caption
            )


def strip(frames: Tensor, predicted: Tensor, *, title: str, about: str) -> Image.Image:
    """Return a picture with two rows for each sequence: its frames, and the predicted frames.

    Args:
        frames: Sequences uint8 (B, T, C, H, W).
        predicted: Predictions of the last frames, uint8 (B, N, C, H, W).
        title: First line of the picture.
        about: Explanation below the title.
    """
    num_inputs = frames.shape[1] - predicted.shape[1]
    blank = torch.full_like(frames[:, :num_inputs], 255)
    below = torch.cat([blank, predicted], 1)
    first = max(0, frames.shape[1] - MOST_COLUMNS)
    tiles = torch.stack([frames, below], 1)[:, :, first:]
    columns = tiles.shape[2]
    shown = to_float(_small(tiles.flatten(0, 2)))
    steps = range(first - num_inputs + 1, first - num_inputs + 1 + columns)
    return with_labels(
        grid(shown, columns=columns),
        title=title,
        about=about,
        rows=["true", "predicted"] * len(frames),
        columns=[str(step) if step <= 0 else f"+{step}" for step in steps],
    )


def film_of(frames: Tensor, predicted: Tensor) -> Tensor:
    """Return frames uint8 (T, 3, h, w) with the true sequences above, the predictions below them.

    While the input frames are shown, both rows are equal. Predicted frames have an orange border,
    and the title of each frame states whether it is an input or a prediction.

    Args:
        frames: Sequences uint8 (B, T, C, H, W).
        predicted: Predictions of the last frames, uint8 (B, N, C, H, W).
    """
    number, num_targets = len(frames), predicted.shape[1]
    num_inputs = frames.shape[1] - num_targets
    below = torch.cat([frames[:, :num_inputs], predicted], 1)
    marked = torch.zeros(2 * number, frames.shape[1], dtype=torch.bool)
    marked[number:, num_inputs:] = True
    return film(
        to_float(torch.cat([frames, below])), columns=number, marked=marked,
        titles=step_titles(num_inputs, num_targets), rows=["true", "predicted"],
    )  # fmt: skip


def step_titles(num_inputs: int, num_targets: int) -> list[str]:
    """Return the title of each frame of a film: the input frames, then the predicted frames."""
    inputs = [f"Input {i + 1} of {num_inputs}" for i in range(num_inputs)]
    return inputs + [f"Prediction {i + 1} of {num_targets}" for i in range(num_targets)]


def error_picture(
    steps: Mapping[str, Mapping[str, Sequence[float]]], name: str, *, title: str
) -> Image.Image:
    """Return a plot of a score against the step ahead, a line for the model and each baseline.

    Args:
        steps: Means {model or baseline: {score: its mean at each step}}.
        name: Name of the score.
        title: Title of the plot.
    """
    from matplotlib.figure import Figure  # slow to import, and only needed here

    figure = Figure(figsize=(6, 4), dpi=100, layout="constrained")
    axes = figure.add_subplot()
    for label, scores in steps.items():
        values, is_model = scores[name], label == "model"
        axes.plot(
            range(1, len(values) + 1), values, label=label if is_model else f"{label} frame",
            linewidth=2 if is_model else 1, linestyle="-" if is_model else "--",
        )  # fmt: skip
    axes.set(xlabel="step ahead", ylabel=name.replace("_", " "), title=title)
    axes.set_ylim(bottom=0)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.legend()
    content = io.BytesIO()
    figure.savefig(content, format="png")
    return Image.open(content).convert("RGB")


def _predicts(model: L.LightningModule) -> bool:
    """Return whether the outputs of a model are predicted frames."""
    return getattr(model, "reads_frames", False) and hasattr(model, "num_targets")


def _small(frames: Tensor) -> Tensor:
    """Return frames uint8 (N, C, h, w) of at most 64 x 64 pixels."""
    height, width = frames.shape[2:]
    if max(height, width) <= TILE:
        return frames
    size = [max(1, side * TILE // max(height, width)) for side in (height, width)]
    return interpolate(frames.float(), size, mode="area").round().to(torch.uint8)
