"""Batches of pictures of different sizes: random crops to train on, and whole pictures.

A loader gives uint8 pixels. Its `finish` makes the model's batch of them on the device: it
augments the targets, converts them to float32, and computes the inputs. Stored inputs are read
beside their targets, and augmented and converted with them. So that several processes
and a resumed run see the same numbers, each crop, augmentation and degradation is a pure function
of (seed, update, position in the update). A whole picture has one fixed degradation, the same in
every validation, in every run and on every device.
"""

__all__ = ["CropBatches", "PictureBatches", "RawBatch"]

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypedDict

import torch
from torch import Tensor

from limner.augmentations.degradations import Degradation
from limner.data.batches import TrainingBatches, read_ahead
from limner.data.paired_store import AnyStore, PairedStore
from limner.interfaces import Augmentation, Batch, trait
from limner.pixels import to_float
from limner.randomness import Noise, PictureNoise, generator_for, seed_for


class RawBatch(TypedDict, total=False):
    """What a loader gives: pixels, and the numbers by which `finish` draws."""

    image: Tensor
    """Crops or one picture, uint8 (B, C, H, W)."""
    input: Tensor
    """Stored inputs of these, if there are any, uint8 (B, C', H / scale, W / scale)."""
    update: int
    """Number of the update, of a training batch."""
    index: Tensor
    """Number of the whole picture, int64 (1,)."""
    weight: Tensor
    """1.0 for the whole picture; 0.0 if another process has it too, float32 (1,)."""


class CropBatches(TrainingBatches):
    """Endless stream of random crops, one batch per update, starting at the current update.

    An epoch reads every training picture `crops_per_picture` times, in random order.

    Args:
        store: Store with the pictures of the split, and possibly other pictures. A `PairedStore`
            gives inputs too.
        indices: int64 (N,): numbers of the training pictures.
        crop_size: Height and width of a crop.
        crops_per_picture: Number of crops of each picture in an epoch.
        augmentation: Augmentation of the uint8 crops, or None.
        degradation: Degradation that makes the inputs of the crops; None for stored inputs, or
            none.
        recolours: Whether the augmentation may change the values of stored inputs, and of their
            targets. It moves both alike in any case.
        others: Other arguments of `TrainingBatches`.
    """

    def __init__(
        self,
        store: AnyStore,
        indices: Tensor,
        *,
        crop_size: int,
        crops_per_picture: int,
        augmentation: Augmentation | None,
        degradation: Degradation | None,
        recolours: Sequence[bool],
        **others: Any,
    ) -> None:
        super().__init__(store, indices.repeat(crops_per_picture), augmentation=None, **others)
        self.crop_size, self.changes, self.degradation = crop_size, augmentation, degradation
        self.recolours = recolours

    def finish(self, batch: RawBatch) -> Batch:
        """Return the batch of a model from the crops of a loader, on their device."""
        update = batch["update"]
        pixels = self._augmented(batch)
        parts = {key: to_float(value, layout=self.layout) for key, value in pixels.items()}
        if self.degradation is None:
            return parts
        images = parts["image"]
        num_steps, world_size, _ = self.block
        steps = []
        for step, part in enumerate(images.chunk(num_steps)):
            noise = Noise()
            seed = seed_for(self.seed, "degradation", update, step)
            noise.start(seed, rank=self.rank, world_size=world_size)
            steps.append(_with_input(part, self.degradation, noise))
        if num_steps == 1:
            return steps[0]
        return {key: torch.cat([each[key] for each in steps]) for key in steps[0]}

    def before_and_after(self) -> tuple[Tensor, ...]:
        """Return the next crops before and after the augmentation, float32 (B, C, H, W).

        Stored inputs stand to the left of their targets. Inputs that a degradation makes are a
        third tensor, enlarged by copies of pixels to the size of the crops.
        """
        batch = next(iter(self))
        shown = _beside(batch), _beside(self._augmented(batch))
        if self.degradation is None:
            return shown
        made = self.finish(batch)
        return *shown, _enlarged(made["input"], made["image"]).clamp(-1, 1)

    def _augmented(self, batch: RawBatch) -> dict[str, Tensor]:
        pixels = {key: batch[key] for key in ("image", "input") if key in batch}
        images = batch["image"]
        if self.changes is None:
            return pixels
        num_draws = trait(self.changes, Augmentation, "num_draws")
        uniform = self._uniform("augmentation", batch["update"], num_draws)
        uniform = uniform.to(images.device, non_blocking=True)
        if "input" not in batch:
            return {"image": self.changes(images, uniform=uniform)}
        both = self.changes.apply_all(
            [batch["input"], images], uniform=uniform, colours=self.recolours
        )
        return dict(zip(("input", "image"), both, strict=True))

    def _batch(self, indices: Tensor, update: int) -> RawBatch:
        step = self.store.scale if isinstance(self.store, PairedStore) else 1
        room = (self.store.sizes[indices] - self.crop_size) // step + 1
        boxes = (self._uniform("crops", update, 2).double() * room).long() * step
        size = self.crop_size, self.crop_size
        batch: RawBatch = {
            "image": self.store.gather(indices, boxes, size=size), "update": update,
        }  # fmt: skip
        if isinstance(self.store, PairedStore):
            batch["input"] = self.store.gather_inputs(indices, boxes, size=size)
        return batch

    def _uniform(self, stream: str, update: int, num_draws: int) -> Tensor:
        """Return numbers (B, num_draws) from U[0, 1) for the crops of this rank."""
        generator = generator_for(self.seed, stream, update)
        return self._mine(torch.rand(self.images_per_update, num_draws, generator=generator))


class PictureBatches:
    """Whole pictures of a split once and in order, one in each batch.

    Height and width are cut at the bottom and at the right to multiples of the scale. The pictures
    are split among the ranks. Every rank gets the same number of batches, as collective operations
    require: a rank with one picture less repeats its last one with `weight` 0.

    Args:
        store: Store with the pictures of the split, and possibly other pictures. A `PairedStore`
            gives inputs too.
        indices: int64 (N,): numbers of the pictures, at least one for each rank, or none.
        scale: Height of a target divided by the height of its input.
        degradation: Degradation that makes the inputs; None for stored inputs, or none.
        split_seed: Seed of the degradation of each picture.
        rank: Number of this process.
        world_size: Number of processes.
        layout: Memory layout of the images.
    """

    def __init__(
        self,
        store: AnyStore,
        indices: Tensor,
        *,
        scale: int,
        degradation: Degradation | None,
        split_seed: int,
        rank: int,
        world_size: int,
        layout: torch.memory_format,
    ) -> None:
        store.refuse_small(indices, scale, key="scale")
        shares = [share.tolist() for share in torch.tensor_split(indices, world_size)]
        mine = shares[rank]
        self.store, self.scale, self.degradation = store, scale, degradation
        self.split_seed, self.layout = split_seed, layout
        self.pictures = [(i, 1.0) for i in mine]
        self.pictures += [(i, 0.0) for i in mine[-1:]] * (len(shares[0]) - len(mine))

    def __len__(self) -> int:
        return len(self.pictures)

    def __iter__(self) -> Iterator[RawBatch]:
        if self.store.waits:
            return read_ahead(self._picture, iter(self.pictures))
        return (self._picture(*each) for each in self.pictures)

    def finish(self, batch: RawBatch) -> Batch:
        """Return the batch of a model from one whole picture of a loader, on its device."""
        images = to_float(batch["image"], layout=self.layout)
        about = {"index": batch["index"], "weight": batch["weight"]}
        if "input" in batch:
            about["input"] = to_float(batch["input"], layout=self.layout)
        if self.degradation is None:
            return {"image": images, **about}
        noise = PictureNoise(seed_for(self.split_seed, "degradation", int(batch["index"])))
        return {**_with_input(images, self.degradation, noise), **about}

    def _picture(self, i: int, weight: float) -> RawBatch:
        picture = self.store.picture(i)
        height, width = (size - size % self.scale for size in picture.shape[1:])
        batch: RawBatch = {
            "image": picture[None, :, :height, :width].clone(),
            "index": torch.tensor([i]),
            "weight": torch.tensor([weight]),
        }
        if isinstance(self.store, PairedStore):
            batch["input"] = self.store.input(i)[None].clone()
        return batch


def _with_input(images: Tensor, degradation: Degradation, noise: Noise | PictureNoise) -> Batch:
    degraded = degradation(images, draws=noise)
    batch: Batch = {"image": images, "input": degraded.input}
    if degraded.mask is not None:
        batch["mask"] = degraded.mask
    return batch


def _beside(pixels: Mapping[str, Any]) -> Tensor:
    """Return the images of a batch, to the right of their stored inputs if there are any."""
    image = to_float(pixels["image"])
    if "input" not in pixels:
        return image
    read = _enlarged(to_float(pixels["input"]), image)
    num_channels = max(image.shape[1], read.shape[1])
    return torch.cat([x.expand(-1, num_channels, -1, -1) for x in (read, image)], dim=3)


def _enlarged(inputs: Tensor, images: Tensor) -> Tensor:
    """Return inputs in the size of their images, by copies of pixels."""
    factor = images.shape[2] // inputs.shape[2]
    return inputs.repeat_interleave(factor, 2).repeat_interleave(factor, 3)
