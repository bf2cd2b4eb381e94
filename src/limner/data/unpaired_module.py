"""Data module for two domains of pictures that belong to no pairs."""

__all__ = ["UnpairedDataModule"]

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from limner.data.batches import moved
from limner.data.domain_sources import DomainSource, DomainStores, OpenedDomains, open_domains
from limner.data.opened_module import OpenedDataModule
from limner.data.picture_facts import check_arguments, refuse_other_facts
from limner.data.picture_store import CentreCrops, PictureStore
from limner.data.same_images import refuse_other_images
from limner.data.splits import SPLITS, named, published
from limner.data.store import OnCorrupt, StoreKind
from limner.data.unpaired_batches import UnpairedBatch, UnpairedBatches, UnpairedPictures
from limner.data.unpaired_splits import (
    DomainSplits,
    cut_domains,
    cut_hidden_pairs,
    keys_of,
    refuse_pairs_of_two_sizes,
)
from limner.errors import UserError
from limner.interfaces import Augmentation

LETTERS = ("a", "b")


class UnpairedDataModule(OpenedDataModule):
    """Training, validation and test batches of two domains of pictures.

    A training batch has random crops of both domains, `image_a` and `image_b`. The order of each
    domain is a function of (seed, epoch, domain), and an epoch reads the larger domain. A
    validation batch has one whole picture of each domain; see `UnpairedPictures`.

    With hidden pairs, pictures that have the same name in both domains are held out of both, and
    the two pictures of a validation batch are such a pair.

    Args:
        name: Name of the data set in messages, folders and scores.
        source: Source of the two domains.
        num_channels: Number of channels of the pictures of both domains: 1 (grey) or 3 (RGB).
        crop_size: Height and width of the crops.
        crops_per_picture: Number of crops in an epoch of each picture of the larger domain.
        hidden_pairs: Whether to validate and test on pictures with equal names in both domains.
        group: Regular expression, see `limner.data.splits.group_keys`, or None.
        image_shape: (C, H, W) of a crop of domain b, null or as the other arguments determine it.
        input_shape: (C, H, W) of a crop of domain a, likewise.
        num_classes: 0, the number of classes.
        scale: 1, since a model keeps the size of a picture.
        batch_size: Number of crops of each domain per optimizer step on one device.
        augmentation: Augmentation of the uint8 crops of a batch, or None; each domain has draws
            of its own.
        validation_fraction: Share in [0, 1) of the training pictures (with hidden pairs: of the
            pairs) to validate on, if the source has no validation pictures.
        test_fraction: Share in [0, 1) to test on, if the source has no test pictures.
        split_seed: Seed of the choice of validation and test pictures.
        seed: Seed of the run, for the order and the places of the crops.
        store: "auto", "memory" or "mapped": see `limner.data.picture_store`.
        memory_limit_gib: Largest size in GiB of a decoded split that "auto" keeps in memory.
        on_corrupt: Treatment of a picture that cannot be read: "error" or "skip".
        background: Colour behind transparent pixels, see `limner.data.backgrounds.parse_colour`.
    """

    def __init__(
        self,
        *,
        name: str,
        source: DomainSource | DomainStores,
        num_channels: int,
        crop_size: int,
        crops_per_picture: int,
        hidden_pairs: bool,
        group: str | None,
        image_shape: Sequence[int] | None,
        input_shape: Sequence[int] | None,
        num_classes: int | None,
        scale: int,
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
        if scale != 1:
            raise UserError(f"data.scale={scale}: must be 1: translations keep their size.")
        check_arguments(
            num_channels=num_channels, store=store, crop_size=crop_size, scale=1,
            crops_per_picture=crops_per_picture, batch_size=batch_size,
        )  # fmt: skip
        super().__init__(
            name=name, source=source, num_channels=num_channels, batch_size=batch_size,
            augmentation=augmentation, validation_fraction=validation_fraction,
            test_fraction=test_fraction, split_seed=split_seed, seed=seed, store=store,
            memory_limit_gib=memory_limit_gib, on_corrupt=on_corrupt, background=background,
        )  # fmt: skip
        self.crop_size, self.crops_per_picture = crop_size, crops_per_picture
        self.hidden_pairs, self.group = hidden_pairs, group
        self.scale = 1
        self.image_shape = [num_channels, crop_size, crop_size]
        self.input_shape = list(self.image_shape)
        refuse_other_facts(
            self, image_shape=image_shape, input_shape=input_shape, num_classes=num_classes
        )
        self._stores: Mapping[str, Mapping[str, PictureStore]] = {}
        self._files: Mapping[str, str] = {}
        self._splits: DomainSplits = {}
        self._training: UnpairedBatches | None = None
        self._whole: UnpairedPictures | None = None

    def open(self) -> None:
        """Find and decode the pictures, and set the splits; several processes may call it."""
        if self._stores:
            return
        opened = open_domains(
            self.source, self.num_channels, kind=self.store, on_corrupt=self.on_corrupt,
            memory_limit_gib=self.memory_limit_gib, background=self.background,
        )  # fmt: skip
        self._splits, self._files = self._cut(opened), opened.files
        self._stores = opened.stores

    @property
    def images_per_epoch(self) -> int:
        """Number of crops of each domain that an epoch reads."""
        sizes = [len(self._splits[letter]["train"][1]) for letter in LETTERS]
        return max(sizes) * self.crops_per_picture

    def refuse(self, model: object) -> None:
        """Raise `UserError` if a model cannot be trained on these pictures."""
        for split, letter in itertools.product(SPLITS, LETTERS):
            store, indices = self.pictures(letter, split)
            store.refuse_small(indices, self.crop_size)
        for split in SPLITS[1:] if self.hidden_pairs else ():
            refuse_pairs_of_two_sizes(self.pictures("a", split), self.pictures("b", split))

    def evaluation_batch_size(self, model: object) -> int:
        """Return 1, the number of pictures of each domain in a validation batch."""
        return 1

    def pictures(self, letter: str, split: str) -> tuple[PictureStore, Tensor]:
        """Return the store of whole pictures, and the int64 numbers of a split's pictures.

        Args:
            letter: Domain, "a" or "b".
            split: "train", "validation" or "test".
        """
        source, indices = named(self._splits[letter], split)
        return self._stores[letter][source], indices

    def domain(self, letter: str, split: str) -> tuple[CentreCrops, Tensor]:
        """Return the centre crops of a domain, and the int64 numbers of a split's pictures."""
        store, indices = self.pictures(letter, split)
        return CentreCrops(store, self.crop_size), indices

    def whole_pictures(
        self, split: str, *, device: torch.device | str = "cpu"
    ) -> Iterator[UnpairedBatch]:
        """Return the batches of whole pictures of a split, one of each domain, on a device.

        There are no batches if the split has no pictures of a domain.
        """
        batches = self._batches(split, rank=0, world_size=1)
        return (batches.finish(moved(batch, device)) for batch in batches)

    def reference(self, split: str) -> tuple[CentreCrops, Tensor]:
        """Return the centre crops of domain b that scores compare with."""
        source, indices = published(
            self._splits["b"], self._stores["b"], split, name=f"{self.name}, domain b,"
        )
        return CentreCrops(self._stores["b"][source], self.crop_size), indices

    def split(self, name: str) -> tuple[CentreCrops, Tensor]:
        """Return `domain("b", name)`: models make pictures of domain b out of domain a."""
        return self.domain("b", name)

    def describe(self) -> str:
        """Return a description of the data set in one line."""
        sizes = {split: [len(self._splits[k][split][1]) for k in LETTERS] for split in SPLITS}
        told = ", ".join(f"{a:,} and {b:,} {split}" for split, (a, b) in sizes.items() if a or b)
        pairs = " (hidden pairs)" if self.hidden_pairs else ""
        return (
            f"{self.name}: {told} pictures{pairs}, {self.images_per_epoch:,} crops of "
            f"{'x'.join(map(str, self.image_shape))} an epoch"
        )

    def protocol(self) -> dict[str, Any]:
        """Return how pictures are compared, as plain data for the protocol of a score."""
        return {"hidden_pairs": self.hidden_pairs}

    def state_dict(self) -> dict[str, Any]:
        """Return a description of the training pictures, by which a resumed run sees changes."""
        return {
            letter: {
                "num_images": len(store := self._stores[letter]["train"]),
                "pixels": store.fingerprint,
                "files": self._files[letter],
            }
            for letter in LETTERS
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Raise `UserError` if the training pictures differ from the pictures of `state`."""
        for letter, now in self.state_dict().items():
            refuse_other_images(f"{self.name}, domain {letter},", before=state[letter], now=now)

    def train_dataloader(self) -> UnpairedBatches:
        domains = {
            letter: (self._near(store, letter), indices)
            for letter in LETTERS
            for store, indices in [self.pictures(letter, "train")]
        }
        self._training = UnpairedBatches(
            domains,
            crop_size=self.crop_size,
            crops_per_picture=self.crops_per_picture,
            **self._training_options(),
        )
        return self._training

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Make the batch of the model on the device, see `limner.data.unpaired_batches`."""
        loader = self._training if "update" in batch else self._whole
        return self.trainer.precision_plugin.convert_input(loader.finish(batch))

    def _evaluation(self, split: str) -> UnpairedPictures | list:
        trainer = self.trainer
        sizes = [len(self._splits[letter][split][1]) for letter in LETTERS]
        if not min(sizes) or max(sizes) < trainer.world_size:
            return []
        self._whole = self._batches(split, rank=trainer.global_rank, world_size=trainer.world_size)
        return self._whole

    def _batches(self, split: str, **ranks: int) -> UnpairedPictures:
        domains = {letter: self.pictures(letter, split) for letter in LETTERS}
        return UnpairedPictures(domains, are_pairs=self.hidden_pairs, layout=self.layout, **ranks)

    def _cut(self, opened: OpenedDomains) -> DomainSplits:
        fractions = {
            "validation_fraction": self.validation_fraction,
            "test_fraction": self.test_fraction,
            "seed": self.split_seed,
            "group": self.group,
        }
        keys = {
            letter: {
                split: keys_of(store.names, opened.folders[letter]) for split, store in own.items()
            }
            for letter, own in opened.stores.items()
        }
        return (cut_hidden_pairs if self.hidden_pairs else cut_domains)(keys, **fractions)
