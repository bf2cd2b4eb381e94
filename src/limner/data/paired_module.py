"""Data module for stored pairs of pictures: an input to read, and the target to make of it."""

__all__ = ["PairSource", "PairStoreSource", "PairedDataModule"]

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol, runtime_checkable

from limner.data.checked_pictures import checked_pairs
from limner.data.paired_store import PairedPictures, PairedStore, open_pairs
from limner.data.picture_facts import refuse_other_facts
from limner.data.picture_module import PictureDataModule
from limner.data.same_images import hash_of_files
from limner.data.splits import group_keys
from limner.data.store import OnCorrupt, StoreKind
from limner.errors import UserError
from limner.interfaces import Augmentation

log = logging.getLogger(__name__)

RECOLOURS = {
    "none": (False, False), "input": (True, False), "target": (False, True), "both": (True, True),
}  # fmt: skip
"""Value of `data.recolour` -> whether inputs and targets change."""


class PairSource(Protocol):
    """A list of pairs of pictures for each split of a data set."""

    def pairs(self) -> Mapping[str, PairedPictures]:
        """Return a dict of the existing splits among "train", "validation" and "test".

        "train" must exist. limner cuts the other splits from "train" if they do not exist.
        """


@runtime_checkable
class PairStoreSource(Protocol):
    """A source with stores of its own, such as pairs that are computed when they are read."""

    def open_pair_stores(
        self, *, image_shape: Sequence[int], input_shape: Sequence[int]
    ) -> Mapping[str, PairedStore]:
        """Return the store of each split, for targets and inputs (C, H, W) of these shapes."""


class PairedDataModule(PictureDataModule):
    """Training, validation and test batches of stored pairs, whose pictures keep their sizes.

    A model that reads an input (`reads_input`) is trained on random crops of targets and the same
    parts of their inputs, moved alike by the augmentation. It is validated on whole pictures, one
    pair in each batch. Any other model sees the targets alone, as in `PictureDataModule`.

    Args:
        name: Name of the data set in messages, folders and scores.
        source: Source of the pairs.
        num_channels: Number of channels of the targets: 1 (grey) or 3 (RGB).
        input_channels: Number of channels of the inputs: 1 or 3.
        scale: Height of a target divided by the height of its stored input.
        recolour: Pictures of a pair whose values the augmentation may change by its colour, blur
            and cutout: "none", "input", "target" or "both", which changes both alike.
        group: Regular expression, whose parentheses match the part of a pair's name that is the
            same in pairs that must stay in one split; None if each pair may be in any split.
        others: Other arguments of `PictureDataModule`, except `degradation`.
    """

    has_inputs = True

    def __init__(
        self,
        *,
        name: str,
        source: PairSource | PairStoreSource,
        num_channels: int,
        input_channels: int,
        crop_size: int,
        crops_per_picture: int,
        scale: int,
        image_shape: Sequence[int] | None,
        input_shape: Sequence[int] | None,
        num_classes: int | None,
        batch_size: int,
        augmentation: Augmentation | None,
        recolour: Literal["none", "input", "target", "both"],
        group: str | None,
        validation_fraction: float,
        test_fraction: float,
        split_seed: int,
        seed: int,
        store: StoreKind,
        memory_limit_gib: float,
        on_corrupt: OnCorrupt,
        background: str | Sequence[int],
    ) -> None:
        super().__init__(
            name=name, source=source, num_channels=num_channels, crop_size=crop_size,
            crops_per_picture=crops_per_picture, scale=scale, degradation=None,
            image_shape=image_shape, input_shape=None, num_classes=num_classes,
            batch_size=batch_size, augmentation=augmentation,
            validation_fraction=validation_fraction, test_fraction=test_fraction,
            split_seed=split_seed, seed=seed, store=store, memory_limit_gib=memory_limit_gib,
            on_corrupt=on_corrupt, background=background,
        )  # fmt: skip
        if input_channels not in (1, 3):
            raise UserError(f"data.input_channels={input_channels}: must be 1 (grey) or 3 (RGB).")
        if recolour not in RECOLOURS:
            raise UserError(f"data.recolour={recolour}: must be {' | '.join(RECOLOURS)}.")
        self.input_channels, self.recolour, self.group = input_channels, recolour, group
        self.recolours = RECOLOURS[recolour]
        self.input_shape = [input_channels, crop_size // scale, crop_size // scale]
        refuse_other_facts(self, input_shape=input_shape)
        if augmentation is not None and not hasattr(augmentation, "apply_all"):
            raise UserError(
                f"data.augmentation={type(augmentation).__name__}: has no method apply_all, which "
                "moves both\npictures of a pair alike; choose another data/augmentation."
            )

    def refuse(self, model: object) -> None:
        """Raise `UserError` if a model cannot be trained on these pairs."""
        is_read = getattr(model, "reads_input", False)
        for split in ("train",) if is_read else ("train", "validation", "test"):
            store, indices = self.pictures(split)
            store.refuse_small(indices, self.crop_size, multiple=self.scale)

    def describe(self) -> str:
        """Return a description of the data set in one line."""
        told = super().describe().removesuffix(", no inputs")
        return f"{told}, stored inputs of {'x'.join(map(str, self.input_shape))}"

    def protocol(self) -> dict[str, Any]:
        """Return how inputs come to be, as plain data for the protocol of a score."""
        return {"scale": self.scale, "degradation": None, "inputs": "stored"}

    def _opened(self) -> tuple[dict[str, PairedStore], list[str] | None]:
        if isinstance(self.source, PairStoreSource):
            stores = dict(
                self.source.open_pair_stores(
                    image_shape=self.image_shape, input_shape=self.input_shape
                )
            )
            self._files = None
            names = stores["train"].names
        else:
            pairs = checked_pairs(self.source)
            self._files = hash_of_files(
                [pairs["train"].inputs.sizes, pairs["train"].targets.sizes]
            )
            opened = {
                split: open_pairs(
                    found, input_channels=self.input_channels, num_channels=self.num_channels,
                    scale=self.scale, kind=self.store, memory_limit_gib=self.memory_limit_gib,
                    on_corrupt=self.on_corrupt, background=self.background,
                )
                for split, found in pairs.items()
            }  # fmt: skip
            stores = {split: store for split, (store, _) in opened.items()}
            names = opened["train"][1]
        return stores, None if self.group is None else group_keys(names, self.group)
