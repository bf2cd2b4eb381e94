"""What the data modules share that open stores of pictures or sequences and cut them in splits."""

__all__ = ["OpenedDataModule"]

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, Self, TypeVar

import lightning as L
import torch
from torch import Tensor

from limner.data.backgrounds import parse_colour
from limner.data.same_images import refuse_other_images
from limner.data.splits import check_fractions
from limner.data.store import OnCorrupt, StoreKind, fits_device
from limner.interfaces import Augmentation


class Movable(Protocol):
    """A store that may be moved to an accelerator."""

    waits: bool
    """Whether `gather` waits for a disk, so that the store is read ahead in threads."""
    num_bytes: int

    def to(self, device: torch.device) -> Self: ...


S = TypeVar("S", bound=Movable)


class OpenedDataModule(L.LightningDataModule):
    """Base of the data modules without classes, whose stores are opened once.

    A subclass defines `open`, `split` and `_evaluation`, and sets `_stores` and `_training`.

    Args:
        name: Name of the data set in messages, folders and scores.
        source: Source of the samples.
        num_channels: Number of channels of a picture or frame: 1 (grey) or 3 (RGB).
        batch_size: Number of samples per optimizer step on one device.
        augmentation: Augmentation of the uint8 samples of a batch, or None.
        validation_fraction: Share in [0, 1) of the training samples to validate on.
        test_fraction: Share in [0, 1) of the training samples to test on.
        split_seed: Seed of the choice of validation and test samples.
        seed: Seed of the run.
        store: "auto", "memory" or "mapped".
        memory_limit_gib: Largest size in GiB of a decoded split that "auto" keeps in memory.
        on_corrupt: Treatment of a sample that cannot be read: "error" or "skip".
        background: Colour behind transparent pixels, see `limner.data.backgrounds.parse_colour`.
    """

    binarisation: None = None
    num_classes = 0

    def __init__(
        self,
        *,
        name: str,
        source: Any,
        num_channels: int,
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
        check_fractions(validation_fraction, test_fraction)
        super().__init__()
        self.name, self.source, self.num_channels = name, source, num_channels
        self.batch_size, self.augmentation = batch_size, augmentation
        self.validation_fraction, self.test_fraction = validation_fraction, test_fraction
        self.split_seed, self.seed = split_seed, seed
        self.store, self.memory_limit_gib, self.on_corrupt = store, memory_limit_gib, on_corrupt
        self.background = parse_colour(background)
        self.class_names: list[str] = []
        self.layout = torch.contiguous_format
        """Memory layout of the images or frames of a batch."""
        self._stores: Mapping[str, Any] = {}
        self._files: Any = None
        self._moved: dict[str, Movable] = {}
        self._training: Any = None

    def open(self) -> None:
        """Find and decode the samples, and set the splits; several processes may call it."""
        raise NotImplementedError

    def split(self, name: str) -> tuple[Any, Tensor]:
        """Return the store and the int64 indices of "train", "validation" or "test"."""
        raise NotImplementedError

    def originals(self, name: str) -> tuple[Any, Tensor]:
        """Return the same as `split`, since these samples are never binarised."""
        return self.split(name)

    def setup(self, stage: str) -> None:
        self.open()

    def state_dict(self) -> dict[str, Any]:
        """Return a description of the training samples, by which a resumed run sees changes."""
        store = self._stores["train"]
        return {"num_images": len(store), "pixels": store.fingerprint, "files": self._files}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Raise `UserError` if the training samples differ from the samples of `state`."""
        refuse_other_images(self.name, before=state, now=self.state_dict())

    def before_and_after(self) -> Any:
        """Return the next training samples before and after the augmentation, in [-1, 1]."""
        return self._training.before_and_after()

    def val_dataloader(self) -> Any:
        return self._evaluation("validation")

    def test_dataloader(self) -> Any:
        return self._evaluation("test")

    def _evaluation(self, split: str) -> Any:
        """Return the batches of a split; [] if it has too few samples for the processes."""
        raise NotImplementedError

    def _training_options(self) -> dict[str, Any]:
        """Return the keywords that the batches of training have in every data module."""
        trainer = self.trainer
        return {
            "batch_size": self.batch_size,
            "batches_per_update": getattr(trainer.lightning_module, "batches_per_update", 1),
            "seed": self.seed,
            "rank": trainer.global_rank,
            "world_size": trainer.world_size,
            "augmentation": self.augmentation,
            "layout": self.layout,
            "update": lambda: trainer.global_step,
        }

    def _near(self, store: S, key: str = "train") -> S:
        """Return the store on the accelerator if it is small enough, else the store itself.

        Args:
            store: Store of the training samples.
            key: Name of the store, under which the result is kept for later calls.
        """
        if key not in self._moved:
            device = self.trainer.strategy.root_device
            is_moved = not store.waits and fits_device(store.num_bytes, device)
            self._moved[key] = store.to(device) if is_moved else store
        return self._moved[key]
