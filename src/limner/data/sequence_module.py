"""Data module for sequences of frames."""

__all__ = ["SequenceDataModule"]

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from limner.data.opened_module import OpenedDataModule
from limner.data.picture_facts import refuse_other_facts
from limner.data.same_images import hash_of_files
from limner.data.sequence_batches import SequenceBatches, SequenceEvaluation
from limner.data.sequence_store import SequenceSettings, SequenceSource, SequenceStore
from limner.data.splits import (
    at_least_one,
    cut,
    group_keys,
    named,
    published,
    split_sizes,
)
from limner.data.store import OnCorrupt, StoreKind
from limner.errors import UserError
from limner.interfaces import Augmentation


class SequenceDataModule(OpenedDataModule):
    """Training, validation and test batches of sequences of frames, `frames` (B, T, C, H, W).

    All sequences have T = num_inputs + num_targets frames: a random window of a longer sequence in
    training, and its first T frames in validation and test. All frames of a sequence get the same
    random numbers of the augmentation.

    Args:
        name: Name of the data set in messages, folders and scores.
        source: Source of the sequences.
        num_channels: Number of channels of a frame: 1 (grey) or 3 (RGB).
        image_size: Height and width of a frame.
        num_inputs: Number of frames that a model of prediction reads.
        num_targets: Number of frames after them, which the model predicts.
        num_frames: Number T of frames, num_inputs + num_targets.
        group: Regular expression, see `limner.data.splits.group_keys`, or None.
        image_shape: (C, H, W) of a frame, null or as the other arguments determine it.
        num_classes: 0, the number of classes.
        batch_size: Number of sequences per optimizer step on one device.
        augmentation: Augmentation of the uint8 frames of a batch, or None.
        validation_fraction: Share in [0, 1) of the training sequences to validate on, one sequence
            or more unless it is 0, if the source has no validation sequences.
        test_fraction: Share in [0, 1) of the training sequences to test on, if the source has no
            test sequences.
        split_seed: Seed of the choice of validation and test sequences.
        seed: Seed of the run, for the order, the windows and the augmentation of the sequences.
        store: "auto", "memory" or "mapped".
        memory_limit_gib: Largest size in GiB of a decoded split that "auto" keeps in memory.
        on_corrupt: Treatment of a sequence that cannot be read, or has fewer than T frames:
            "error" or "skip".
        background: Colour behind transparent pixels, see `limner.data.backgrounds.parse_colour`.
    """

    has_frames = True
    """Whether batches have `frames` in place of `image`."""

    def __init__(
        self,
        *,
        name: str,
        source: SequenceSource,
        num_channels: int,
        image_size: int,
        num_inputs: int,
        num_targets: int,
        num_frames: int | None,
        group: str | None,
        image_shape: Sequence[int] | None,
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
        sizes = {"image_size": image_size, "num_inputs": num_inputs, "num_targets": num_targets}
        for key, value in {**sizes, "batch_size": batch_size}.items():
            if value < 1:
                raise UserError(f"data.{key}={value}: must be 1 or more.")
        if num_channels not in (1, 3):
            raise UserError(f"data.num_channels={num_channels}: must be 1 (grey) or 3 (RGB).")
        if store == "streamed":
            raise UserError(
                "data.store=streamed: sequences are decoded once; choose auto, memory or mapped."
            )
        super().__init__(
            name=name, source=source, num_channels=num_channels, batch_size=batch_size,
            augmentation=augmentation, validation_fraction=validation_fraction,
            test_fraction=test_fraction, split_seed=split_seed, seed=seed, store=store,
            memory_limit_gib=memory_limit_gib, on_corrupt=on_corrupt, background=background,
        )  # fmt: skip
        self.image_size, self.num_inputs, self.num_targets = image_size, num_inputs, num_targets
        self.num_frames = num_inputs + num_targets
        self.group = group
        self.image_shape = [num_channels, image_size, image_size]
        if num_frames not in (None, self.num_frames):
            raise UserError(
                f"data.num_frames={num_frames}: it is data.num_inputs + data.num_targets = "
                f"{self.num_frames}; set these two."
            )
        refuse_other_facts(self, image_shape=image_shape, num_classes=num_classes)
        self._stores: dict[str, SequenceStore] = {}
        self._splits: dict[str, tuple[str, Tensor]] = {}
        self._training: SequenceBatches | None = None

    def open(self) -> None:
        """Find and decode the sequences, and set the splits; several processes may call it."""
        if self._stores:
            return
        opened = self.source.open_sequences(
            SequenceSettings(
                image_shape=self.image_shape, num_frames=self.num_frames,
                validation_fraction=self.validation_fraction, split_seed=self.split_seed,
                store=self.store, memory_limit_gib=self.memory_limit_gib,
                on_corrupt=self.on_corrupt, background=self.background,
            )
        )  # fmt: skip
        sizes = {split: len(store) for split, store in opened.stores.items()}
        groups = None
        if self.group is not None and opened.names is not None:
            groups = group_keys(opened.names, self.group)
        self._splits = cut(
            sizes,
            validation_fraction=at_least_one(self.validation_fraction, sizes["train"]),
            test_fraction=at_least_one(self.test_fraction, sizes["train"]),
            seed=self.split_seed,
            groups=groups,
        )
        self._files = hash_of_files(opened.description)
        self._stores = dict(opened.stores)

    def evaluation_batch_size(self, model: object) -> int:
        """Return the number of sequences in a validation batch."""
        return self.batch_size

    def reference(self, split: str) -> tuple[SequenceStore, Tensor]:
        """Return the store and the indices of the sequences that scores compare with.

        `gather` of the store returns the first T frames, uint8 (B, T, C, H, W).
        """
        source, indices = published(self._splits, self._stores, split, name=self.name)
        return self._stores[source], indices

    def split(self, name: str) -> tuple[SequenceStore, Tensor]:
        """Return the store and the int64 indices of "train", "validation" or "test".

        A split may have no sequences.
        """
        source, indices = named(self._splits, name)
        return self._stores[source], indices

    def describe(self) -> str:
        """Return a description of the data set in one line."""
        frames = f"{self.num_inputs} + {self.num_targets} frames"
        shape = "x".join(map(str, self.image_shape))
        return f"{self.name}: {split_sizes(self._splits, 'sequence')} of {frames} of {shape}"

    def protocol(self) -> dict[str, Any]:
        """Return which frames are read, as plain data for the protocol of a score."""
        return {"num_inputs": self.num_inputs, "num_targets": self.num_targets}

    def train_dataloader(self) -> SequenceBatches:
        store, indices = self.split("train")
        self._training = SequenceBatches(self._near(store), indices, **self._training_options())
        return self._training

    def _evaluation(self, split: str) -> SequenceEvaluation | list:
        store, indices = self.split(split)
        if len(indices) < self.trainer.world_size:
            return []
        return SequenceEvaluation(
            store,
            indices,
            batch_size=self.batch_size,
            rank=self.trainer.global_rank,
            world_size=self.trainer.world_size,
            layout=self.layout,
        )
