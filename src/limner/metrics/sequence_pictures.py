"""Pictures of sequences for scores of sets of pictures: frames, and differences of neighbours.

The differences show the motion. Each is shifted into the range of a picture,

    (x[t + 1] - x[t]) / 2 + 127.5,

so grey means no change. Scores of frames do not see the motion: real sequences in random order, or
without motion, have perfect frames.
"""

__all__ = ["DIFFERENCES", "FRAMES", "PER_SEQUENCE", "PictureView", "indices_of", "pictures_of"]

import torch
from torch import Tensor

from limner.interfaces import ImageStore

PER_SEQUENCE = 2
"""Number of pictures of each sequence. Their times differ from sequence to sequence."""
FRAMES, DIFFERENCES = "frames", "differences"
BASELINES = ("still", "shuffled")
"""Differences of real sequences that repeat one frame, or have their frames in another order."""


def pictures_of(frames: Tensor, numbers: Tensor, kind: str) -> Tensor:
    """Return `PER_SEQUENCE` pictures of each sequence, uint8 (B * PER_SEQUENCE, C, H, W).

    Args:
        frames: uint8 (B, T, C, H, W), with T at least 2.
        numbers: int64 (B,): numbers of the sequences, which determine the times of the pictures.
        kind: "frames" or "differences"; "still" or "shuffled" for differences of real sequences
            without motion, or with their frames in another order.
    """
    length = frames.shape[1] - (kind != FRAMES)
    stride = -(-length // PER_SEQUENCE)
    first = numbers.to(frames.device)[:, None] % stride
    times = (first + stride * torch.arange(PER_SEQUENCE, device=frames.device)) % length
    rows = torch.arange(len(frames), device=frames.device)[:, None]
    if kind == FRAMES:
        return frames[rows, times].flatten(0, 1)
    if kind == "shuffled":
        order = torch.randperm(frames.shape[1], generator=torch.Generator().manual_seed(0))
        frames = frames[:, order.to(frames.device)]
    after = times if kind == "still" else times + 1
    change = frames[rows, after].float() - frames[rows, times].float()
    return (change / 2 + 127.5).round().to(torch.uint8).flatten(0, 1)


def indices_of(sequences: Tensor) -> Tensor:
    """Return the indices (N * PER_SEQUENCE,) of the pictures of sequences (N,) in their view."""
    return (sequences[:, None] * PER_SEQUENCE + torch.arange(PER_SEQUENCE)).flatten()


class PictureView(ImageStore):
    """Store of the pictures of the sequences of another store, see `pictures_of`.

    Args:
        store: Store whose `gather` returns sequences, uint8 (B, T, C, H, W).
        kind: Kind of the pictures.
    """

    labels = None

    def __init__(self, store: ImageStore, kind: str) -> None:
        self.store, self.kind = store, kind
        self.fingerprint = f"{store.fingerprint} {kind} {PER_SEQUENCE}"
        self.background = getattr(store, "background", None)

    def __len__(self) -> int:
        return len(self.store) * PER_SEQUENCE

    def gather(self, indices: Tensor) -> Tensor:
        """Return the pictures uint8 (B, C, H, W) at `indices` int64 (B,)."""
        sequences, rows = (indices // PER_SEQUENCE).unique(return_inverse=True)
        pictures = pictures_of(self.store.gather(sequences), sequences, self.kind)
        chosen = rows * PER_SEQUENCE + indices % PER_SEQUENCE
        return pictures[chosen.to(pictures.device)]
