"""Batches of several views of a picture: random crops to train on, and whole pictures.

All views of a sample have the same crop and the same augmentation. Their shifts are a pure
function of (seed, update, position in the update), and of (split_seed, picture) for whole
pictures. Each view has its own degradation, such as its own noise.
"""

__all__ = ["ViewCrops", "WholeViews"]

from typing import Any

import torch
from torch import Tensor

from limner.augmentations.degradations import Degradation
from limner.data.picture_batches import CropBatches, PictureBatches, RawBatch
from limner.data.view_store import ViewStore
from limner.data.views import Shifts, stacked
from limner.interfaces import Augmentation, Batch, reference_view, trait
from limner.pixels import to_float
from limner.randomness import Noise, PictureNoise, generator_for, seed_for


class ViewCrops(CropBatches):
    """Endless stream of random crops of several views; see `CropBatches`.

    Args:
        store: Store of pictures, from which views are made, or a `ViewStore` of views.
        indices: int64 (N,): numbers of the training pictures.
        shifts: Shifts of the views; None for a `ViewStore`.
        crop_size: Height and width of a crop of the target.
        degradation: Degradation that makes the input of each view.
        others: Other arguments of `CropBatches`.
    """

    def __init__(
        self,
        store: Any,
        indices: Tensor,
        *,
        shifts: Shifts | None,
        degradation: Degradation,
        **others: Any,
    ) -> None:
        super().__init__(store, indices, degradation=degradation, **others)
        self.shifts = shifts

    def finish(self, batch: RawBatch) -> Batch:
        """Return the batch of a model from the crops of a loader, on their device."""
        return self._made(batch, self._views(batch))

    def before_and_after(self) -> tuple[Tensor, ...]:
        """Return the next targets before and after the augmentation, and inputs, (B, C, H, W)."""
        batch = next(iter(self))
        plain, changed = self._views(batch, change=False), self._views(batch)
        made = self._made(batch, changed)["input"]
        middle = reference_view(made.shape[1])
        inputs = made[:, middle].repeat_interleave(self._factor, 2)
        inputs = inputs.repeat_interleave(self._factor, 3).clamp(-1, 1)
        return plain[:, middle], changed[:, middle], inputs

    @property
    def _factor(self) -> int:
        return trait(self.degradation, Degradation, "factor")

    def _views(self, batch: RawBatch, *, change: bool = True) -> Tensor:
        """Return the views float32 (B, N, C, H, W) before their degradation."""
        pixels = batch["image"]
        if change and self.changes is not None:
            num_draws = trait(self.changes, Augmentation, "num_draws")
            uniform = self._uniform("augmentation", batch["update"], num_draws).to(pixels.device)
            if pixels.dim() == 4:
                pixels = self.changes(pixels, uniform=uniform)
            else:
                views = list(pixels.unbind(1))
                pixels = torch.stack(
                    self.changes.apply_all(views, uniform=uniform, colours=[True] * len(views)), 1
                )
        if self.shifts is None:
            return to_float(pixels)
        uniform = self._uniform("views", batch["update"], self.shifts.num_draws)
        return to_float(self.shifts.views(pixels, self.shifts(uniform)))

    def _made(self, batch: RawBatch, views: Tensor) -> Batch:
        num_steps, world_size, _ = self.block
        inputs = []
        for step, part in enumerate(views.chunk(num_steps)):
            noise = Noise()
            seed = seed_for(self.seed, "degradation", batch["update"], step)
            noise.start(seed, rank=self.rank, world_size=world_size)
            inputs.append(_inputs(part, self.degradation, noise))
        image = views[:, reference_view(views.shape[1])].contiguous(memory_format=self.layout)
        return {"image": image, "input": torch.cat(inputs)}

    def _batch(self, indices: Tensor, update: int) -> RawBatch:
        down, across = (0, 0) if self.shifts is None else self.shifts.margin
        size = self.crop_size + 2 * down, self.crop_size + 2 * across
        room = self.store.sizes[indices] - torch.tensor(size) + 1
        boxes = (self._uniform("crops", update, 2).double() * room).long()
        gather = (
            self.store.gather_views if isinstance(self.store, ViewStore) else self.store.gather
        )
        return {"image": gather(indices, boxes, size=size), "update": update}


class WholeViews(PictureBatches):
    """Whole pictures of a split with their views once and in order; see `PictureBatches`.

    Shifted views leave out a margin of the picture on each side, which the target lacks too.

    Args:
        shifts: Shifts of the views; None for a `ViewStore`.
        others: Arguments of `PictureBatches`.
    """

    def __init__(self, *others: Any, shifts: Shifts | None, **more: Any) -> None:
        super().__init__(*others, **more)
        self.shifts = shifts

    def finish(self, batch: RawBatch) -> Batch:
        """Return the batch of a model from one whole picture of a loader, on its device."""
        index, views = int(batch["index"]), batch["image"]
        if self.shifts is not None:
            generator = generator_for(self.split_seed, "views", index)
            uniform = torch.rand(1, self.shifts.num_draws, generator=generator)
            views = self.shifts.views(views, self.shifts(uniform))
        views = to_float(views)
        noise = PictureNoise(seed_for(self.split_seed, "degradation", index))
        image = views[:, reference_view(views.shape[1])].contiguous(memory_format=self.layout)
        return {
            "image": image, "input": _inputs(views, self.degradation, noise),
            "index": batch["index"], "weight": batch["weight"],
        }  # fmt: skip

    def _picture(self, i: int, weight: float) -> RawBatch:
        picture = (
            self.store.views(i) if isinstance(self.store, ViewStore) else self.store.picture(i)
        )
        margin = (0, 0) if self.shifts is None else self.shifts.margin
        height, width = (
            size - (size - 2 * edge) % self.scale
            for size, edge in zip(picture.shape[-2:], margin, strict=True)
        )
        return {
            "image": picture[None, ..., :height, :width].clone(),
            "index": torch.tensor([i]),
            "weight": torch.tensor([weight]),
        }


def _inputs(views: Tensor, degradation: Degradation, noise: Noise | PictureNoise) -> Tensor:
    """Return the inputs (B, N, C, H / factor, W / factor) of views (B, N, C, H, W)."""
    return stacked(views, lambda images: degradation(images, draws=noise).input)
