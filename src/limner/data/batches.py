"""Order of the training images as a pure function of (seed, epoch), and the batches cut from it.

The images of update k follow from k alone, so a resumed run starts at k. Every rank takes its
slice of each global batch, so that n ranks together see the same images as a single process. The
random numbers of an augmentation are drawn for the global batch, and cut in the same way as its
images.
"""

__all__ = [
    "EvaluationBatches", "TrainingBatches", "images_per_epoch", "moved", "read_ahead",
    "refuse_few_images",
]  # fmt: skip

import collections
import itertools
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import torch
from torch import Tensor

from limner.data.several_captions import SeveralCaptions
from limner.data.store import Store
from limner.errors import UserError
from limner.interfaces import Augmentation, Batch, ImageStore, trait
from limner.pixels import to_float
from limner.randomness import generator_for

NUM_AHEAD = 2
T = TypeVar("T")


def images_per_epoch(data: Any) -> int:
    """Return the number of images that an epoch reads: the training images, or several crops."""
    number = getattr(data, "images_per_epoch", None)
    return len(data.split("train")[1]) if number is None else number


def refuse_few_images(
    num_images: int,
    *,
    batch_size: int,
    batches_per_update: int,
    num_processes: int,
    what: str = "images",
) -> None:
    """Raise UserError if the training images are not enough for one update.

    Args:
        num_images: Number of training images.
        batch_size: Number of images per optimizer step of one process.
        batches_per_update: Number of batches that an update takes.
        num_processes: Number of processes that share each update.
        what: Word for the images in the message, such as "sequences".
    """
    needed = batch_size * batches_per_update * num_processes
    if num_images < needed:
        raise UserError(
            f"One update needs {needed} {what} (data.batch_size={batch_size} x "
            f"{batches_per_update} batches x {num_processes} processes), but there are only "
            f"{num_images} to train on.\nChoose a smaller data.batch_size."
        )


class TrainingBatches:
    """Endless stream of training batches, one per update, starting at the current update.

    Args:
        store: Store with the images of the split, and possibly other images.
        indices: int64 (N,): indices of the training images.
        batch_size: Number of images per optimizer step on one rank.
        batches_per_update: Number of optimizer steps into which one batch of this stream is cut.
        seed: Seed of the run.
        rank: Number of this process.
        world_size: Number of processes.
        augmentation: Augmentation of the uint8 images of a batch, or None.
        layout: Memory layout of the images.
        update: Function that returns the number of completed updates.
        features: Features float32 (N, F) of all images of the store, for an augmentation of None;
            None if they are not known.
        captions: Captions of images that have several; each epoch draws one of them. None if
            each image has one caption, or none.
    """

    def __init__(
        self,
        store: Store,
        indices: Tensor,
        *,
        batch_size: int,
        batches_per_update: int,
        seed: int,
        rank: int,
        world_size: int,
        augmentation: Augmentation | None,
        layout: torch.memory_format,
        update: Callable[[], int],
        features: Tensor | None = None,
        captions: SeveralCaptions | None = None,
    ) -> None:
        self.features, self.captions = features, captions
        self.store, self.indices, self.seed, self.rank = store, indices, seed, rank
        self.augmentation, self.layout, self.update = augmentation, layout, update
        self.block = (batches_per_update, world_size, batch_size)
        self.images_per_update = batches_per_update * world_size * batch_size
        refuse_few_images(
            len(indices),
            batch_size=batch_size,
            batches_per_update=batches_per_update,
            num_processes=world_size,
        )

    def __len__(self) -> int:
        """Return the updates per epoch.

        Each epoch leaves out fewer images than an update reads. Which images are left out differs
        from epoch to epoch.
        """
        return len(self.indices) // self.images_per_update

    def __iter__(self) -> Iterator[Batch]:
        if self.store.waits:
            return read_ahead(self._batch, self._updates())
        return itertools.starmap(self._batch, self._updates())

    def _updates(self) -> Iterator[tuple[Tensor, int]]:
        """Yield the indices of this rank's images and the update, for each update without end."""
        epoch, first = divmod(self.update(), len(self))
        while True:
            order = self.indices[torch.randperm(len(self.indices), generator=self._order(epoch))]
            order = order.to(self.store.device)
            for k in range(first, len(self)):
                block = order[k * self.images_per_update : (k + 1) * self.images_per_update]
                yield self._mine(block), epoch * len(self) + k
            epoch, first = epoch + 1, 0

    def state_dict(self) -> dict[str, Any]:
        """Return an empty state, since the update determines where to resume.

        The method exists to show Lightning that this loader can resume.
        """
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Do nothing; the state is empty."""

    def _order(self, epoch: int) -> torch.Generator:
        return generator_for(self.seed, "order", epoch)

    def _mine(self, rows: Tensor) -> Tensor:
        """Return the rows of this rank, from the rows of all ranks for one update."""
        return rows.unflatten(0, self.block)[:, self.rank].flatten(0, 1)

    def _batch(self, indices: Tensor, update: int) -> Batch:
        images = self.store.gather(indices)
        if self.augmentation is not None:
            generator = generator_for(self.seed, "augmentation", update)
            shape = self.images_per_update, trait(self.augmentation, Augmentation, "num_draws")
            uniform = self._mine(torch.rand(shape, generator=generator))
            images = self.augmentation(
                images, uniform=uniform.to(images.device, non_blocking=True)
            )
        batch = _batch(images, self.store, indices, self.layout, self.features)
        if self.captions is not None:
            texts = self.captions.drawn(indices, seed=self.seed, epoch=update // len(self))
            batch["text"] = texts.to(images.device)
        return batch


class EvaluationBatches:
    """All images of a split once and in order, split evenly among the ranks without padding.

    Every rank gets the same number of batches, as collective operations require. The sizes of the
    batches differ by at most one.
    """

    def __init__(
        self,
        store: Store,
        indices: Tensor,
        *,
        batch_size: int,
        rank: int,
        world_size: int,
        layout: torch.memory_format,
        features: Tensor | None = None,
    ) -> None:
        self.features = features
        shares = torch.tensor_split(indices, world_size)
        num_batches = min(-(-len(shares[0]) // batch_size), len(shares[-1]))
        self.store, self.layout = store, layout
        self.parts = torch.tensor_split(shares[rank], max(1, num_batches))

    def __len__(self) -> int:
        return len(self.parts)

    def __iter__(self) -> Iterator[Batch]:
        store, others = self.store, (self.layout, self.features)
        return (_batch(store.gather(part), store, part, *others) for part in self.parts)


def moved(batch: Mapping[str, Any], device: torch.device | str) -> dict[str, Any]:
    """Return a batch whose tensors are on a device."""
    return {
        key: value.to(device) if isinstance(value, Tensor) else value
        for key, value in batch.items()
    }


def read_ahead(make: Callable[..., T], arguments: Iterator[tuple]) -> Iterator[T]:
    """Yield `make(*each)` for each of the arguments in order, computing the next ones ahead."""
    waiting: collections.deque[Future[T]] = collections.deque()
    pool = ThreadPoolExecutor(1)
    try:
        for each in arguments:
            waiting.append(pool.submit(make, *each))
            if len(waiting) > NUM_AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _batch(
    images: Tensor,
    store: Store,
    indices: Tensor,
    layout: torch.memory_format,
    features: Tensor | None,
) -> Batch:
    batch: Batch = {"image": to_float(images, layout=layout)}
    if store.labels is not None:
        batch["label"] = store.labels[indices].to(images.device)
    if (texts := trait(store, ImageStore, "texts")) is not None:
        batch["text"] = texts[indices.to(texts.device)].to(images.device)
    if features is not None:
        batch["features"] = features[indices.to(features.device)].to(images.device)
    return batch
