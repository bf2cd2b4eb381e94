"""Pictures of the steps in which a model paints: a strip for each sample, and a GIF."""

__all__ = ["PaintingSteps"]

import math
from pathlib import Path

import lightning as L
import torch
from torch import Tensor

from limner.callbacks.films import film, write_film
from limner.callbacks.picture_labels import with_labels
from limner.callbacks.pictures import grid
from limner.callbacks.run_pictures import PeriodicPictures, write_picture
from limner.models import VAE
from limner.models.conditions import drawn_labels
from limner.models.variational import paints
from limner.randomness import generator_for

MOST_COLUMNS = 16  # largest number of steps with a column
MAX_SIDE = 512  # pixels; largest height and width of the GIF
FRAMES_PER_SECOND = 4
PAUSE = 6  # number of frames for which the GIF shows the last step


class PaintingSteps(PeriodicPictures):
    """Callback that writes the steps in which a DRAW model paints samples.

    The files are `samples/update_<n>_steps.png` in the run folder, and `final_steps.png` and
    `final_steps.gif` at the end of training. Loggers that accept images get the pictures too. The
    codes of the samples are the same at each update. For other models, the callback does nothing.

    Args:
        every_num_updates: Number of updates between pictures, at least 1.
        num_images: Number of samples, at least 1.
        seed: Seed of the codes.
    """

    key = "painting_steps"

    def __init__(self, *, every_num_updates: int, num_images: int, seed: int) -> None:
        super().__init__(every_num_updates=every_num_updates, num_images=num_images)
        self.seed = seed

    def draw(self, trainer: L.Trainer, model: L.LightningModule, name: str) -> None:
        painted = self._paint(trainer, model, name)
        if painted is None or name != "final":
            return
        with self.writing():
            frames = torch.cat([painted, painted[-1:].expand(PAUSE, *painted.shape[1:])])
            columns = math.ceil(painted.shape[1] ** 0.5)
            write_film(
                Path(trainer.default_root_dir, "final_steps.gif"),
                film(frames.transpose(0, 1), columns=columns),
                frames_per_second=FRAMES_PER_SECOND, max_side=MAX_SIDE,
            )  # fmt: skip

    def _paint(self, trainer: L.Trainer, model: L.LightningModule, name: str) -> Tensor | None:
        """Write the picture, and return the images (T, B, C, H, W) if the model paints."""
        is_painter = isinstance(model, VAE) and paints(model.network["decoder"])
        if not is_painter:
            return None
        generator = generator_for(self.seed, "painting_steps")
        codes = model.sample_codes(self.num_images, generator=generator)
        labels = drawn_labels(model, self.num_images, generator=generator)
        painted = model.paint(codes, labels).float().cpu()
        steps = _shown(len(painted))
        with self.writing():
            picture = with_labels(
                grid(painted[steps].transpose(0, 1).flatten(0, 1), columns=len(steps)),
                title=f"Painting steps, update {trainer.global_step:,}",
                about="Each row is a sample. Each column shows the expected image after a step.",
                rows=(),
                columns=[str(step + 1) for step in steps],
            )
            write_picture(
                trainer, picture, f"{name}_steps", key="steps",
                caption="Expected images of samples after each painting step.",
            )  # fmt: skip
        return painted


def _shown(num_steps: int) -> list[int]:
    """Return the steps that have a column, the last step included."""
    count = min(num_steps, MOST_COLUMNS)
    return [-(-(i + 1) * num_steps // count) - 1 for i in range(count)]
