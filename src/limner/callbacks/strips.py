"""Strips of pictures that a model changes: input, output and target side by side."""

__all__ = ["Gallery", "Strips"]

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import lightning as L
import torch
from PIL import Image
from torch import Tensor, distributed

from limner.callbacks.cycle_strips import CycleGallery
from limner.callbacks.pair_scores import PairScores
from limner.callbacks.picture_labels import with_labels
from limner.callbacks.pictures import grid
from limner.callbacks.run_pictures import SAMPLES, write_picture
from limner.callbacks.strip_tiles import TILE, centre, colours, fitted, without_repeats
from limner.interfaces import Batch
from limner.metrics.baselines import Pair, bicubic, enlarged, pairs_of
from limner.metrics.picture_quality import PictureQuality
from limner.metrics.picture_scores import quality_for
from limner.pixels import to_float
from limner.schedules import Interval
from limner.warn_once import WarnOnce

ZOOM = 4  # factor by which the most detailed place is enlarged
FRAME = torch.tensor([1.0, -1.0, -1.0])  # red; colour of the frame around that place


class Strip(NamedTuple):
    """One picture: its PSNR, and its parts side by side."""

    psnr: float
    """PSNR of the output in dB."""
    tiles: Tensor
    """uint8 (N, 3, 256, 256)."""


class Gallery:
    """The first strips of a set of pictures, and the worst and the best by PSNR.

    A strip shows the centre of a picture, at most 256 x 256 pixels of the target: input, output
    and target. For super-resolution, three more tiles show the most detailed place, enlarged 4
    times: by bicubic enlargement, in the output, and in the target. A frame marks the place.

    Args:
        quality: Settings of the PSNR.
        num_images: Number of first strips.
    """

    caption = "Input, output and target of validation pictures."
    caption_of_extremes = "The validation pictures with the smallest and the largest PSNR."

    def __init__(self, quality: PictureQuality, num_images: int) -> None:
        self.psnr = PictureQuality(
            scores=["psnr"], colour=quality.colour, border=quality.border, perceptual=None
        )
        self.num_images, self.scale = num_images, 1
        self.first: dict[str, Strip] = {}
        self.extremes: dict[str, Strip] = {}

    def add(self, outputs: Mapping[str, Tensor], batch: Batch) -> None:
        """Add the pictures of a batch and the model's `output` (B, C, H, W) in [-1, 1]."""
        outputs = outputs["output"]
        kept = [i for i, w in enumerate(batch.get("weight", torch.ones(len(outputs)))) if w > 0]
        for output, pair in zip(outputs[kept], pairs_of(batch), strict=True):
            self.scale = pair.scale
            psnr = self.psnr(output, pair.target)["psnr"]
            is_first = len(self.first) < self.num_images
            extremes = [
                name
                for name, sign in (("worst", -1), ("best", 1))
                if name not in self.extremes or sign * psnr > sign * self.extremes[name].psnr
            ]
            if is_first or extremes:
                strip = Strip(psnr, _tiles(pair, output))
                if is_first:
                    self.first[f"picture {len(self.first) + 1}"] = strip
                self.extremes |= dict.fromkeys(extremes, strip)

    def take_extremes(self, others: Sequence[Mapping[str, Strip]]) -> None:
        """Take the worst and the best of the galleries of all processes."""
        found = [each for each in others if each]
        if found:
            worst = min((each["worst"] for each in found), key=lambda strip: strip.psnr)
            best = max((each["best"] for each in found), key=lambda strip: strip.psnr)
            self.extremes = {"worst": worst, "best": best}

    def picture(self, strips: Mapping[str, Strip], *, title: str) -> Image.Image:
        """Return one picture of strips by name, a row for each."""
        columns = ["input", "output", "target"]
        about = f"The centre of each picture, at most {TILE}x{TILE} pixels, with its PSNR."
        if self.scale > 1:
            columns += [f"{name}, {ZOOM}x" for name in ("bicubic", "output", "target")]
            about += f" The last three columns enlarge the framed place {ZOOM} times."
        shown = without_repeats(strips)
        tiles = torch.cat([strip.tiles for strip in shown.values()])
        return with_labels(
            grid(to_float(tiles), columns=len(columns)),
            title=title,
            about=about,
            rows=[f"{name}: {strip.psnr:.2f} dB" for name, strip in shown.items()],
            columns=columns,
        )


class Strips(L.Callback):
    """Callback that writes strips of the first validation pictures, of a model that reads inputs.

    The files are `samples/update_<n>.png` in the run folder, after a validation, and at the end of
    training `final.png` and `worst_and_best.png`, see `Gallery` and, for a model that translates
    between two domains, `CycleGallery`. Loggers that accept images get the pictures too. For a
    model that draws images, the callback does nothing.

    Args:
        every_num_updates: Smallest number of updates between pictures, at least 1.
        num_images: Number of pictures with a strip, at least 1.
    """

    def __init__(self, *, every_num_updates: int, num_images: int) -> None:
        if every_num_updates < 1 or num_images < 1:
            raise ValueError(
                "callbacks.strips: every_num_updates and num_images must be 1 or more."
            )
        self.interval = Interval(every=every_num_updates, growth=0.0)
        self.num_images = num_images
        self.writing = WarnOnce("Writing strips", OSError)
        self._validated = 0  # update of the validation before
        self._gallery: Gallery | CycleGallery | None = None

    def state_dict(self) -> dict[str, Any]:
        return {"validated": self._validated}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        self._validated = state_dict["validated"]

    def on_validation_epoch_start(self, trainer: L.Trainer, model: L.LightningModule) -> None:
        self._gallery = None
        if trainer.state.fn != "fit":
            return
        if getattr(model, "reads_domains", False):
            self._gallery = CycleGallery(self.num_images)
        elif _has_targets(model):
            self._gallery = Gallery(_settings(trainer), self.num_images)

    def on_validation_batch_end(
        self,
        trainer: L.Trainer,
        model: L.LightningModule,
        outputs: Mapping[str, Any],
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if self._gallery is not None:
            self._gallery.add(outputs, batch)

    def on_validation_epoch_end(self, trainer: L.Trainer, model: L.LightningModule) -> None:
        if self._gallery is None:
            return
        update = trainer.global_step
        is_due = any(self.interval.is_due(n) for n in range(self._validated + 1, update + 1))
        self._validated = update
        if is_due:
            self._write(trainer, f"{SAMPLES}/update_{update:08d}")

    def on_train_end(self, trainer: L.Trainer, model: L.LightningModule) -> None:
        if self._gallery is None:
            return
        if trainer.world_size > 1:
            everywhere: list[Any] = [None] * trainer.world_size
            distributed.all_gather_object(everywhere, self._gallery.extremes)
            self._gallery.take_extremes(everywhere)
        self._write(trainer, "final")
        if trainer.is_global_zero and self._gallery.extremes:
            with self.writing():
                title = f"Worst and best validation picture, update {trainer.global_step:,}"
                picture = self._gallery.picture(self._gallery.extremes, title=title)
                write_picture(
                    trainer, picture, "worst_and_best", key="worst_and_best",
                    caption=self._gallery.caption_of_extremes,
                )  # fmt: skip

    def _write(self, trainer: L.Trainer, name: str) -> None:
        if not trainer.is_global_zero or not self._gallery.first:
            return
        with self.writing():
            title = f"Validation pictures, update {trainer.global_step:,}"
            picture = self._gallery.picture(self._gallery.first, title=title)
            write_picture(trainer, picture, name, key="strips", caption=self._gallery.caption)


def _has_targets(model: L.LightningModule) -> bool:
    """Return whether the outputs of a model are compared with targets."""
    return getattr(model, "reads_input", False) and getattr(model, "compares_with_target", True)


def _settings(trainer: L.Trainer) -> PictureQuality:
    """Return the colour and the border of the run's scores, or those that fit the data."""
    for callback in trainer.callbacks:
        if isinstance(callback, PairScores):
            return callback.quality(trainer.datamodule)
    return quality_for(trainer.datamodule, scores=["psnr"])


def _tiles(pair: Pair, output: Tensor) -> Tensor:
    """Return the tiles of a strip, uint8 (N, 3, 256, 256) on the CPU."""
    shown = [centre(colours(x)) for x in (enlarged(pair), output, pair.target)]
    if pair.scale == 1:
        return torch.stack([fitted(each) for each in shown])
    side = min(TILE // ZOOM, *shown[0].shape[1:])
    top, left = _detailed(shown[2], side)
    large = centre(colours(bicubic(pair)))
    zoomed = [e[:, top : top + side, left : left + side] for e in (large, *shown[1:])]
    framed = [*shown[:2], _framed(shown[2], top, left, side)]
    return torch.stack([fitted(each) for each in (*framed, *zoomed)])


def _detailed(picture: Tensor, side: int) -> tuple[int, int]:
    """Return the corner (top, left) of the square with the largest sum of absolute gradients."""
    grey = picture.mean(0)
    steps = torch.zeros_like(grey)
    steps[1:] += grey.diff(dim=0).abs()
    steps[:, 1:] += grey.diff(dim=1).abs()
    sums = torch.nn.functional.avg_pool2d(steps[None, None], side, stride=max(1, side // 8))
    row, column = divmod(int(sums.argmax()), sums.shape[3])
    return row * max(1, side // 8), column * max(1, side // 8)


def _framed(picture: Tensor, top: int, left: int, side: int) -> Tensor:
    """Return a picture with a red frame of one pixel along the border of a square."""
    framed = picture.clone()
    bottom, right = top + side - 1, left + side - 1
    framed[:, [top, bottom], left : right + 1] = FRAME[:, None, None]
    framed[:, top : bottom + 1, [left, right]] = FRAME[:, None, None]
    return framed
