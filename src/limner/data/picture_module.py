"""Data module for pictures of any size: crops to train on, whole pictures to validate on."""

__all__ = ["PictureDataModule"]

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from limner.augmentations.degradations import Degradation
from limner.data.batches import EvaluationBatches, moved
from limner.data.checked_pictures import checked_pictures
from limner.data.opened_module import OpenedDataModule
from limner.data.paired_store import AnyStore
from limner.data.picture_batches import CropBatches, PictureBatches
from limner.data.picture_facts import (
    check_arguments,
    check_degradation,
    refuse_cutout,
    refuse_other_facts,
    shape_of_inputs,
)
from limner.data.picture_store import CentreCrops, open_pictures
from limner.data.same_images import hash_of_files
from limner.data.sources import Source
from limner.data.splits import (
    SPLITS,
    at_least_one,
    cut,
    named,
    published,
    split_sizes,
)
from limner.data.store import OnCorrupt, StoreKind
from limner.files.printable import counted
from limner.interfaces import Augmentation, Batch


class PictureDataModule(OpenedDataModule):
    """Training, validation and test batches of pictures that keep their sizes.

    A model that reads an input beside each image (`reads_input`) is trained on random crops and
    their inputs, and validated on whole pictures, one in each batch. Any other model is trained on
    random crops, and validated and scored on the centre crop of each picture.

    Splits that the source lacks are cut from its training pictures by `split_seed`, so they are
    the same in every run.

    Args:
        name: Name of the data set in messages, folders and scores.
        source: Source of the pictures, the targets of a model.
        num_channels: Number of channels of the pictures: 1 (grey) or 3 (RGB).
        crop_size: Height and width of the crops of the targets.
        crops_per_picture: Number of crops of each training picture in an epoch.
        scale: Height of a target divided by the height of its input.
        degradation: Degradation that makes an input of a target; None for no inputs.
        image_shape: (C, H, W) of a crop, null or as the other arguments determine it.
        input_shape: (C, H, W) of the input of a crop and its mask, likewise.
        num_classes: 0, the number of classes.
        batch_size: Number of crops per optimizer step on one device.
        augmentation: Augmentation of the uint8 crops of a batch, or None.
        validation_fraction: Share in [0, 1) of the training pictures to validate on, one picture
            or more unless it is 0, if the source has no validation pictures.
        test_fraction: Share in [0, 1) of the training pictures to test on, if the source has no
            test pictures.
        split_seed: Seed of the choice of validation and test pictures, and of their degradation.
        seed: Seed of the run, for the order and the places of the crops.
        store: "auto", "memory" or "mapped": see `limner.data.picture_store`.
        memory_limit_gib: Largest size in GiB of a decoded split that "auto" keeps in memory.
        on_corrupt: Treatment of a picture that cannot be read: "error" or "skip".
        background: Colour behind transparent pixels: a name, "#rrggbb", or [R, G, B] from 0 to
            255.
    """

    recolours = (True, True)
    """Whether the augmentation may change the values of stored inputs, and of their targets."""

    def __init__(
        self,
        *,
        name: str,
        source: Source,
        num_channels: int,
        crop_size: int,
        crops_per_picture: int,
        scale: int,
        degradation: Degradation | None,
        image_shape: Sequence[int] | None,
        input_shape: Sequence[int] | None,
        num_classes: int | None,
        batch_size: int,
        augmentation: Augmentation | None,
        validation_fraction: float,
        test_fraction: float,
        split_seed: int,
        seed: int,
        store: StoreKind,
        memory_limit_gib: float,
        on_corrupt: OnCorrupt,
        background: str | Sequence[int],
    ) -> None:
        check_arguments(
            num_channels=num_channels, store=store, crop_size=crop_size, scale=scale,
            crops_per_picture=crops_per_picture, batch_size=batch_size,
        )  # fmt: skip
        super().__init__(
            name=name, source=source, num_channels=num_channels, batch_size=batch_size,
            augmentation=augmentation, validation_fraction=validation_fraction,
            test_fraction=test_fraction, split_seed=split_seed, seed=seed, store=store,
            memory_limit_gib=memory_limit_gib, on_corrupt=on_corrupt, background=background,
        )  # fmt: skip
        self.crop_size, self.crops_per_picture, self.scale = crop_size, crops_per_picture, scale
        self.degradation = degradation
        self.image_shape = [num_channels, crop_size, crop_size]
        self.input_shape = shape_of_inputs(
            num_channels=num_channels, crop_size=crop_size, scale=scale, degradation=degradation
        )
        refuse_other_facts(
            self, image_shape=image_shape, input_shape=input_shape, num_classes=num_classes
        )
        self._stores: dict[str, AnyStore] = {}
        self._crops: dict[str, CentreCrops] = {}
        self._splits: dict[str, tuple[str, Tensor]] = {}
        self._training: CropBatches | None = None
        self._whole: PictureBatches | None = None

    def open(self) -> None:
        """Find and decode the pictures, and set the splits; several processes may call it."""
        if self._stores:
            return
        stores, groups = self._opened()
        self._splits = cut(
            {split: len(store) for split, store in stores.items()},
            validation_fraction=at_least_one(self.validation_fraction, len(stores["train"])),
            test_fraction=at_least_one(self.test_fraction, len(stores["train"])),
            seed=self.split_seed,
            groups=groups,
        )
        self._crops = {name: CentreCrops(store, self.crop_size) for name, store in stores.items()}
        self._stores = stores

    @property
    def has_inputs(self) -> bool:
        """Whether the batches of a model that reads inputs have them."""
        return self.degradation is not None

    @property
    def images_per_epoch(self) -> int:
        """Number of crops that an epoch reads."""
        return len(self._splits["train"][1]) * self.crops_per_picture

    def refuse(self, model: object) -> None:
        """Raise `UserError` if a model cannot be trained on these pictures."""
        if _reads_input(model):
            refuse_cutout(self.augmentation)
            check_degradation(
                self.degradation, image_shape=self.image_shape, input_shape=self.input_shape
            )
        for split in SPLITS[:1] if _reads_input(model) else SPLITS:
            store, indices = self.pictures(split)
            store.refuse_small(indices, self.crop_size, multiple=self.scale)

    def evaluation_batch_size(self, model: object) -> int:
        """Return the number of images in a validation batch of a model."""
        return 1 if _reads_input(model) else self.batch_size

    def pictures(self, split: str) -> tuple[AnyStore, Tensor]:
        """Return the store of whole pictures, and the int64 numbers of a split's pictures."""
        source, indices = named(self._splits, split)
        return self._stores[source], indices

    def whole_pictures(self, split: str, *, device: torch.device | str = "cpu") -> Iterator[Batch]:
        """Return the batch of each whole picture of a split, with its input, on a device."""
        batches = self._batches(split, rank=0, world_size=1)
        return (batches.finish(moved(batch, device)) for batch in batches)

    def reference(self, split: str) -> tuple[CentreCrops, Tensor]:
        """Return the store and the indices of the centre crops that scores compare with."""
        source, indices = published(self._splits, self._stores, split, name=self.name)
        return self._crops[source], indices

    def split(self, name: str) -> tuple[CentreCrops, Tensor]:
        """Return the centre crops and the int64 indices of "train", "validation" or "test".

        A split may have no pictures.
        """
        source, indices = named(self._splits, name)
        return self._crops[source], indices

    def describe(self) -> str:
        """Return a description of the data set in one line."""
        told = f"{self.name}: {split_sizes(self._splits, 'picture')}, "
        told += f"{counted(self.images_per_epoch, 'crop')} of "
        told += f"{'x'.join(map(str, self.image_shape))} an epoch"
        if self.degradation is None:
            return f"{told}, no inputs"
        return f"{told}, inputs of {'x'.join(map(str, self.input_shape))}"

    def protocol(self) -> dict[str, Any]:
        """Return how inputs are made of targets, as plain data for the protocol of a score."""
        made = None if self.degradation is None else self.degradation.protocol()
        return {"scale": self.scale, "degradation": made}

    def train_dataloader(self) -> CropBatches:
        store, indices = self.pictures("train")
        reads = _reads_input(self.trainer.lightning_module)
        self._training = CropBatches(
            self._near(store if reads else store.targets), indices, crop_size=self.crop_size,
            crops_per_picture=self.crops_per_picture, recolours=self.recolours,
            degradation=self.degradation if reads else None, **self._training_options(),
        )  # fmt: skip
        return self._training

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Make the batch of the model on the device, see `limner.data.picture_batches`."""
        made = batch
        if "update" in batch:
            made = self._training.finish(batch)
        elif "weight" in batch:
            made = self._whole.finish(batch)
        return made if made is batch else self.trainer.precision_plugin.convert_input(made)

    def _evaluation(self, split: str) -> EvaluationBatches | PictureBatches | list:
        trainer = self.trainer
        ranks = {"rank": trainer.global_rank, "world_size": trainer.world_size}
        crops, indices = self.split(split)
        if len(indices) < trainer.world_size:
            return []
        if _reads_input(trainer.lightning_module):
            self._whole = self._batches(split, **ranks)
            return self._whole
        return EvaluationBatches(
            crops, indices, batch_size=self.batch_size, layout=self.layout, **ranks
        )

    def _batches(self, split: str, **ranks: int) -> PictureBatches:
        store, indices = self.pictures(split)
        return PictureBatches(
            store, indices, scale=self.scale, degradation=self.degradation,
            split_seed=self.split_seed, layout=self.layout, **ranks,
        )  # fmt: skip

    def _opened(self) -> tuple[dict[str, AnyStore], list[str] | None]:
        """Return the store of each split, and the group of each training picture, if any."""
        pictures = checked_pictures(self.source)
        self._files = hash_of_files(pictures["train"].sizes)
        stores: dict[str, AnyStore] = {
            split: open_pictures(
                found, self.num_channels, kind=self.store, on_corrupt=self.on_corrupt,
                memory_limit_gib=self.memory_limit_gib, background=self.background,
            )
            for split, found in pictures.items()
        }  # fmt: skip
        return stores, None


def _reads_input(model: object) -> bool:
    """Return whether a model reads `input` of a batch."""
    return getattr(model, "reads_input", False)
