"""Decoded sequences of frames of one size, one after the other in one uint8 tensor."""

__all__ = ["StoredSequences"]

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor


class StoredSequences:
    """Sequences whose frames are in memory, or in a file that is mapped into memory.

    Args:
        frames: uint8 (F, C, H, W): the frames of all sequences, one sequence after the other.
        lengths: int64 (N,): number of frames of each sequence, at least `num_frames`.
        num_frames: Number T of frames to read of each sequence.
        fingerprint: Text that changes whenever the sequences change.
        waits: Whether reading may take long, because the frames are a mapped file.
    """

    endless = False
    labels: Tensor | None = None
    background: str | None = None

    def __init__(
        self,
        frames: Tensor,
        lengths: Tensor,
        *,
        num_frames: int,
        fingerprint: str,
        waits: bool,
    ) -> None:
        self.frames, self.lengths, self.num_frames = frames, lengths, num_frames
        self.fingerprint, self.waits = f"{fingerprint}, {num_frames} frames", waits
        self._firsts = lengths.cumsum(0) - lengths

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def num_bytes(self) -> int:
        """Memory that the frames take on a device."""
        return self.frames.nbytes

    @property
    def device(self) -> torch.device:
        """Device of the frames."""
        return self.frames.device

    def gather(self, indices: Tensor, starts: Tensor | None = None) -> Tensor:
        """Return T frames of each sequence, uint8 (B, T, C, H, W); see `SequenceStore`."""
        indices = indices.cpu()
        firsts = self._firsts[indices] if starts is None else self._firsts[indices] + starts
        rows = (firsts[:, None] + torch.arange(self.num_frames)).flatten()
        found = self.frames.index_select(0, rows.to(self.frames.device))
        return found.unflatten(0, (len(indices), self.num_frames))

    def only(self, numbers: Sequence[int]) -> "StoredSequences":
        """Return a store of some of the sequences, which shares the frames.

        Args:
            numbers: Numbers of the sequences to keep.
        """
        chosen = hashlib.sha256(str(list(numbers)).encode()).hexdigest()
        kept = object.__new__(StoredSequences)
        kept.__dict__ |= vars(self) | {
            "lengths": self.lengths[numbers],
            "_firsts": self._firsts[numbers],
            "fingerprint": f"{self.fingerprint}, only {chosen}",
        }
        return kept

    def to(self, device: torch.device) -> "StoredSequences":
        """Return the same store on `device`; a mapped store stays where it is."""
        if self.waits:
            return self
        moved = object.__new__(StoredSequences)
        moved.__dict__ |= vars(self) | {"frames": self.frames.to(device)}
        return moved
