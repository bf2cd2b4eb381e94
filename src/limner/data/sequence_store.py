"""What a data module of sequences reads: sources, and stores of the frames of sequences."""

__all__ = ["OpenedSequences", "SequenceSettings", "SequenceSource", "SequenceStore"]

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, Self

import torch
from torch import Tensor

from limner.data.backgrounds import Colour
from limner.data.store import OnCorrupt, StoreKind


class SequenceStore(Protocol):
    """Sequences of frames of one size behind an index."""

    fingerprint: str
    """Text that changes whenever the sequences or their order change."""
    labels: Tensor | None
    """None: sequences have no labels."""
    background: str | None
    """Background "#rrggbb" behind transparent pixels; None if there were no such pixels."""
    waits: bool
    """Whether reading may take long, for a disk."""
    num_bytes: int
    """Memory that the frames take."""
    device: torch.device
    """Device of the frames that `gather` returns."""
    lengths: Tensor
    """Number of frames of each sequence, int64 (N,) on the CPU, at least the number T to read."""
    endless: bool
    """Whether there is a sequence for each number from 0 to 2^39, because it is computed when it
    is read. Training then reads new sequences in each epoch."""

    def __len__(self) -> int:
        """Return the number N of sequences that scores and epochs count."""

    def gather(self, indices: Tensor, starts: Tensor | None = None) -> Tensor:
        """Return T frames of each sequence, uint8 (B, T, C, H, W).

        Args:
            indices: int64 (B,): numbers of the sequences.
            starts: int64 (B,) on the CPU: number of the first frame; None for the first T frames.
        """

    def to(self, device: torch.device) -> Self:
        """Return the same store with its frames on a device."""


@dataclass(frozen=True)
class SequenceSettings:
    """Values of a data module by which a source opens its stores."""

    image_shape: Sequence[int]
    """(C, H, W) of a frame."""
    num_frames: int
    """Number T of frames to read of each sequence."""
    validation_fraction: float
    """Share in [0, 1) of what the sequences are made of, or of the sequences, to validate on."""
    split_seed: int
    """Seed of this choice."""
    store: StoreKind
    """ "auto", "memory" or "mapped"."""
    memory_limit_gib: float
    """Largest size in GiB of a decoded split that "auto" keeps in memory."""
    on_corrupt: OnCorrupt
    """Treatment of a sequence that cannot be read, or is too short: "error" or "skip"."""
    background: Colour
    """Colour behind transparent pixels."""


class OpenedSequences(NamedTuple):
    """Stores of the splits of a source."""

    stores: Mapping[str, SequenceStore]
    """Store of each existing split; "train" must exist."""
    description: object
    """Plain JSON data that changes with the names and sizes of the training files."""
    names: Sequence[str] | None
    """Name of each training sequence, which `data.group` reads; None if sequences are computed."""


class SequenceSource(Protocol):
    """A source of sequences."""

    def open_sequences(self, settings: SequenceSettings) -> OpenedSequences:
        """Return the stores of the splits."""
