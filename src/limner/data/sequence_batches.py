"""Batches of sequences of frames.

All frames of a sequence get the same random numbers of an augmentation, so that they are moved and
recoloured alike. The window in time and the augmentation are pure functions of (seed, update,
position in the update).
"""

__all__ = ["SequenceBatches", "SequenceEvaluation"]

from collections.abc import Iterator
from typing import Any, NotRequired, TypedDict

import torch
from torch import Tensor

from limner.data.batches import EvaluationBatches, TrainingBatches, read_ahead
from limner.data.sequence_store import SequenceStore
from limner.interfaces import Augmentation, trait
from limner.pixels import to_float
from limner.randomness import generator_for, seed_for

SHOWN_SEQUENCES, SHOWN_FRAMES = 8, 4
"""Numbers of sequences, and of frames of each, in the picture of the augmentation."""
ENDLESS = 2**38
"""Largest number of the first sequence of an endless store that a run reads."""


class FrameBatch(TypedDict):
    """A batch of sequences."""

    frames: Tensor
    """Frames float32 (B, T, C, H, W) in [-1, 1]."""
    index: NotRequired[Tensor]
    """Number of each sequence in its split of the source, int64 (B,); in validation and test."""


class SequenceBatches(TrainingBatches):
    """Endless stream of training batches, one per update, starting at the current update.

    An epoch of a store with a fixed number of sequences reads each of them once, in random order,
    in a random window of T frames. An epoch of an endless store reads as many new sequences.

    Args:
        store: Store with the sequences of the split, and possibly other sequences.
        indices: int64 (N,): numbers of the training sequences.
        augmentation: Augmentation of the uint8 frames, or None.
        others: Other arguments of `TrainingBatches`.
    """

    def __init__(
        self,
        store: SequenceStore,
        indices: Tensor,
        *,
        augmentation: Augmentation | None,
        **others: Any,
    ) -> None:
        super().__init__(store, indices, augmentation=None, **others)
        self.changes = augmentation
        self._first = seed_for(self.seed, "sequences") % ENDLESS

    def before_and_after(self) -> tuple[Tensor, Tensor]:
        """Return frames of the next sequences before and after the augmentation.

        Returns:
            Two tensors float32 (N, C, H, W) in [-1, 1]: up to 4 frames of each of up to 8
            sequences, one sequence after the other.
        """
        indices, update = next(self._updates())
        before = self._window(indices, update)
        chosen = torch.linspace(0, before.shape[1] - 1, min(SHOWN_FRAMES, before.shape[1])).long()
        both = before, self._changed(before, update)
        shown = [each[:SHOWN_SEQUENCES, chosen.to(each.device)] for each in both]
        return to_float(shown[0].flatten(0, 1)), to_float(shown[1].flatten(0, 1))

    def _updates(self) -> Iterator[tuple[Tensor, int]]:
        if not self.store.endless:
            yield from super()._updates()
        update = self.update()
        while True:
            first = self._first + update * self.images_per_update
            numbers = torch.arange(first, first + self.images_per_update)
            yield self._mine(numbers), update
            update += 1

    def _batch(self, indices: Tensor, update: int) -> FrameBatch:
        frames = self._changed(self._window(indices, update), update)
        return {"frames": _floats(frames, self.layout)}

    def _window(self, indices: Tensor, update: int) -> Tensor:
        if self.store.endless:
            return self.store.gather(indices)
        room = self.store.lengths[indices.cpu()] - self.store.num_frames + 1
        starts = (self._uniform("windows", update, 1)[:, 0].double() * room).long()
        return self.store.gather(indices, starts)

    def _changed(self, frames: Tensor, update: int) -> Tensor:
        if self.changes is None:
            return frames
        num_draws = trait(self.changes, Augmentation, "num_draws")
        uniform = self._uniform("augmentation", update, num_draws).to(frames.device)
        size = frames.shape[:2]
        flat = frames.flatten(0, 1)
        changed = self.changes(flat, uniform=uniform.repeat_interleave(size[1], 0))
        return changed.unflatten(0, size)

    def _uniform(self, stream: str, update: int, num_draws: int) -> Tensor:
        """Return numbers (B, num_draws) from U[0, 1) for the sequences of this rank."""
        generator = generator_for(self.seed, stream, update)
        return self._mine(torch.rand(self.images_per_update, num_draws, generator=generator))


class SequenceEvaluation(EvaluationBatches):
    """The first T frames of the sequences of a split in order, see `EvaluationBatches`."""

    def __iter__(self) -> Iterator[FrameBatch]:
        if self.store.waits:
            return read_ahead(self._batch, ((part,) for part in self.parts))
        return map(self._batch, self.parts)

    def _batch(self, part: Tensor) -> FrameBatch:
        return {"frames": _floats(self.store.gather(part), self.layout), "index": part}


def _floats(frames: Tensor, layout: torch.memory_format) -> Tensor:
    """Return frames in [-1, 1]; each frame has the memory layout."""
    size = frames.shape[:2]
    return to_float(frames.flatten(0, 1), layout=layout).unflatten(0, size)
