"""Data module for all data sets: pictures of a source become stores, stores become batches."""

__all__ = ["ImageDataModule"]

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import lightning as L
import torch
from torch import Tensor

from limner.augmentations.chain import Chain
from limner.data.backgrounds import parse_colour
from limner.data.batches import EvaluationBatches, TrainingBatches
from limner.data.binarisation import Binarisation, BinarisedStore, Coins
from limner.data.checked_pictures import checked_pictures
from limner.data.decode import first_shape
from limner.data.feature_tables import FrozenNetwork, feature_table
from limner.data.large_pictures import refuse_photos
from limner.data.picture_texts import PictureTexts
from limner.data.same_images import hash_of_files, refuse_other_images
from limner.data.sources import OpenedSource, Pictures, Source, StoreSource
from limner.data.splits import check_fractions, cut, named, published
from limner.data.store import (
    OnCorrupt,
    Store,
    StoreKind,
    StreamedStore,
    fits_device,
    open_store,
)
from limner.errors import UserError
from limner.interfaces import Augmentation, ImageStore


class ImageDataModule(L.LightningDataModule):
    """Training, validation and test batches of one data set.

    Splits that the source lacks are cut from its training images by `split_seed`, so they are the
    same in every run.

    Args:
        name: Name of the data set in messages, folders and scores.
        source: Source of the pictures.
        image_shape: (C, H, W) to train on; None for the shape of the first picture.
        num_classes: Number of classes, 0 to train without labels; None for the source's number.
        batch_size: Number of images per optimizer step on one device.
        augmentation: Augmentation of the uint8 training images of a batch, or None.
        binarisation: "dynamic" or "static", see `limner.data.binarisation`; None for grey images.
        validation_fraction: Share in [0, 1) of the training images to validate on, if the source
            has no validation images.
        test_fraction: Share in [0, 1) of the training images to test on, if the source has no
            test images.
        split_seed: Seed of the choice of validation and test images.
        seed: Seed of the run, for the order of the images.
        store: "auto", "memory", "mapped" or "streamed": see `limner.data.store`.
        memory_limit_gib: Largest size in GiB of a decoded split that "auto" keeps in memory.
        on_corrupt: Treatment of a picture that cannot be read: "error" or "skip".
        background: Colour behind transparent pixels of images of 1 or 3 channels: a name,
            "#rrggbb", or [R, G, B] from 0 to 255.
    """

    def __init__(
        self,
        *,
        name: str,
        source: Source | StoreSource,
        image_shape: Sequence[int] | None,
        num_classes: int | None,
        batch_size: int,
        augmentation: Augmentation | None,
        binarisation: Binarisation | None,
        validation_fraction: float,
        test_fraction: float,
        split_seed: int,
        seed: int,
        store: StoreKind,
        memory_limit_gib: float,
        on_corrupt: OnCorrupt,
        background: str | Sequence[int],
    ) -> None:
        check_fractions(validation_fraction, test_fraction)
        if batch_size < 1:
            raise UserError(f"data.batch_size={batch_size}: must be 1 or more.")
        super().__init__()
        self.name, self.source = name, source
        self.batch_size, self.augmentation = batch_size, augmentation
        self.binarisation = binarisation
        self.validation_fraction, self.test_fraction = validation_fraction, test_fraction
        self.split_seed, self.seed = split_seed, seed
        self.store, self.memory_limit_gib, self.on_corrupt = store, memory_limit_gib, on_corrupt
        self.background = parse_colour(background)
        self._image_shape, self._num_classes = image_shape, num_classes
        self._stores: dict[str, Store] = {}
        self._splits: dict[str, tuple[str, Tensor]] = {}
        self._on_device: Store | None = None
        self._features: dict[str, Tensor] = {}
        self.layout = torch.contiguous_format
        """Memory layout of the images of a batch."""

    def open(self) -> None:
        """Find, download and decode the images; set `image_shape`, `num_classes` and the splits.

        Several processes may call it at the same time. Once a call has finished on this machine,
        later calls are fast.
        """
        if self._stores:
            return
        opened = (
            self.source.open_stores(self._image_shape, with_labels=self._num_classes != 0)
            if isinstance(self.source, StoreSource)
            else self._open_pictures()
        )
        self.image_shape, self.class_names = opened.image_shape, opened.classes
        self.num_classes = len(self.class_names)
        if self._num_classes is not None and self._num_classes != self.num_classes:
            raise UserError(
                f"data.num_classes={self._num_classes}, but {self.name} has {self.num_classes}."
            )
        self._stores = dict(opened.stores)
        self._files = hash_of_files(opened.description)
        self._splits = cut(
            {split: len(store) for split, store in self._stores.items()},
            validation_fraction=self.validation_fraction,
            test_fraction=self.test_fraction,
            seed=self.split_seed,
            groups=getattr(self._stores["train"], "about", PictureTexts()).groups,
        )

    def reference(self, split: str) -> tuple[Store, Tensor]:
        """Return the store and the indices of the images that scores compare with.

        They are the split "train" or "test" of the data set's authors, see
        `limner.data.splits.published`.
        """
        source, indices = published(self._splits, self._stores, split, name=self.name)
        return self._stores[source], indices

    def split(self, name: str) -> tuple[ImageStore, Tensor]:
        """Return the store and the int64 indices of "train", "validation" or "test".

        A split may have no images. With binarisation, each image has one fixed draw.
        """
        store, indices = self.originals(name)
        return (store if self.binarisation is None else self._drawn(store, name)), indices

    def originals(self, name: str) -> tuple[Store, Tensor]:
        """Return the store and the int64 indices of a split, like `split`, but never binarised."""
        store, indices = named(self._splits, name)
        return self._stores[store], indices

    def keep_features(self, network: FrozenNetwork, device: torch.device) -> bool:
        """Compute the features of a frozen network once, for all batches to come.

        Returns whether the batches of training and validation have features from now on. They have
        none if the images change from epoch to epoch, by augmentation or binarisation.
        """
        if self.augmentation is not None or self.binarisation is not None:
            return False
        for split in {self._splits[name][0] for name in ("train", "validation")}:
            self._features[split] = feature_table(self._stores[split], network, device=device)
        return True

    def describe(self) -> str:
        """Return a description of the data set in one line."""
        sizes = ", ".join(f"{len(i):,} {name}" for name, (_, i) in self._splits.items() if len(i))
        shape = "x".join(map(str, self.image_shape))
        labels = f"{self.num_classes} classes" if self.num_classes else "no labels"
        return f"{self.name}: {sizes} images of {shape}, {labels}"

    def setup(self, stage: str) -> None:
        self.open()

    def state_dict(self) -> dict[str, Any]:
        """Return a description of the training images, by which a resumed run detects changes."""
        store = self._stores["train"]
        pixels = None if isinstance(store, StreamedStore) else store.fingerprint
        return {"num_images": len(store), "pixels": pixels, "files": self._files}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Raise `UserError` if the training images differ from the images of `state`."""
        refuse_other_images(self.name, before=state, now=self.state_dict())

    def train_dataloader(self) -> TrainingBatches:
        store, indices = self.originals("train")
        trainer = self.trainer
        store = self._near(store, trainer.strategy.root_device)
        return TrainingBatches(
            self._drawn(store, "train") if self.binarisation == "static" else store,
            indices,
            batch_size=self.batch_size,
            batches_per_update=getattr(trainer.lightning_module, "batches_per_update", 1),
            seed=self.seed,
            rank=trainer.global_rank,
            world_size=trainer.world_size,
            augmentation=self._changes(),
            layout=self.layout,
            update=lambda: trainer.global_step,
            features=self._features.get("train"),
        )

    def val_dataloader(self) -> EvaluationBatches | list:
        return self._evaluation("validation")

    def test_dataloader(self) -> EvaluationBatches | list:
        return self._evaluation("test")

    def _open_pictures(self) -> OpenedSource:
        pictures = self._labelled(checked_pictures(self.source))
        shape = self._image_shape
        image_shape = list(shape) if shape is not None else first_shape(pictures["train"])
        if shape is None:
            refuse_photos(pictures["train"], image_shape)
        stores = {
            split: open_store(
                found,
                image_shape,
                kind=self.store,
                memory_limit_gib=self.memory_limit_gib,
                on_corrupt=self.on_corrupt,
                background=self.background,
            )
            for split, found in pictures.items()
        }
        if len({store.labels is None for store in stores.values()}) > 1:
            raise UserError(f"Some splits of {self.name} have class folders and some have none.")
        train = pictures["train"]
        return OpenedSource(image_shape, list(train.classes), stores, train.sizes)

    def _labelled(self, pictures: Mapping[str, Pictures]) -> dict[str, Pictures]:
        """Return the splits after a check of their labels, or without labels for 0 classes."""
        if self._num_classes == 0:
            return {
                split: dataclasses.replace(
                    found, labels=None, classes=[], fingerprint=[found.fingerprint, "no labels"]
                )
                if found.labels is not None
                else found
                for split, found in pictures.items()
            }
        for found in pictures.values():
            if found.label_problem is not None:
                raise UserError(
                    f"{found.label_problem} To train without labels: data.num_classes=0"
                )
        return dict(pictures)

    def _evaluation(self, split: str) -> EvaluationBatches | list:
        store, indices = self.split(split)
        if len(indices) < self.trainer.world_size:
            return []
        return EvaluationBatches(
            store,
            indices,
            batch_size=self.batch_size,
            rank=self.trainer.global_rank,
            world_size=self.trainer.world_size,
            layout=self.layout,
            features=self._features.get(self._splits[split][0]),
        )

    def _drawn(self, store: Store, name: str) -> ImageStore:
        return BinarisedStore(store, split_seed=self.split_seed, name=self._splits[name][0])

    def _changes(self) -> Augmentation | None:
        """Return the augmentation of training images; a dynamic binary draw comes last."""
        if self.binarisation != "dynamic":
            return self.augmentation
        parts = {"augmentation": self.augmentation, "binarisation": Coins(self.image_shape)}
        return Chain(parts={name: part for name, part in parts.items() if part is not None})

    def _near(self, store: Store, device: torch.device) -> Store:
        """Return the store on the accelerator if it is small enough, else the store itself."""
        if self._on_device is None:
            self._on_device = store
            if fits_device(store.num_bytes, device):
                self._on_device = store.to(device)
        return self._on_device
