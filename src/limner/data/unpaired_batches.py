"""Batches of two domains of pictures that belong to no pairs: random crops, and whole pictures.

The order of each domain is a pure function of (seed, epoch, domain). An epoch of the loader reads
the larger domain once. The smaller domain begins again, in another order, whenever all its
pictures have been read.
"""

__all__ = ["UnpairedBatches", "UnpairedPictures"]

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from limner.data.batches import read_ahead
from limner.data.picture_batches import CropBatches
from limner.data.picture_store import PictureStore
from limner.pixels import to_float
from limner.randomness import seed_for

Domain = tuple[PictureStore, Tensor]
"""Store with the pictures of a split, and possibly other pictures; int64 (N,): their numbers."""
UnpairedBatch = dict[str, Any]


class UnpairedBatches:
    """Endless stream of random crops of both domains, starting at the current update.

    Args:
        domains: Training pictures of the domains "a" and "b".
        crops_per_picture: Number of crops of each picture of the larger domain in an epoch.
        seed: Seed of the run.
        others: Other arguments of `CropBatches`.
    """

    def __init__(
        self, domains: Mapping[str, Domain], *, crops_per_picture: int, seed: int, **others: Any
    ) -> None:
        most = max(len(indices) for _, indices in domains.values()) * crops_per_picture
        self.parts = {
            letter: CropBatches(
                store, indices,
                crops_per_picture=_repeats(len(indices), crops_per_picture, most, **others),
                degradation=None, recolours=(True, True),
                seed=seed_for(seed, "domain", number), **others,
            )
            for number, (letter, (store, indices)) in enumerate(domains.items())
        }  # fmt: skip

    def __len__(self) -> int:
        """Return the updates per epoch; an epoch reads the larger domain once."""
        return max(len(part) for part in self.parts.values())

    def __iter__(self) -> Iterator[UnpairedBatch]:
        for raws in zip(*map(iter, self.parts.values()), strict=True):
            crops = {f"image_{k}": raw["image"] for k, raw in zip(self.parts, raws, strict=True)}
            yield {**crops, "update": raws[0]["update"]}

    def finish(self, batch: UnpairedBatch) -> UnpairedBatch:
        """Return the batch of a model from the crops of a loader, on their device."""
        return {
            key: part.finish({"image": batch[key], "update": batch["update"]})["image"]
            for key, part in ((f"image_{letter}", part) for letter, part in self.parts.items())
        }

    def before_and_after(self) -> dict[str, Tensor]:
        """Return the next crops of each domain by "A before", "A after", "B before", "B after".

        Each tensor is float32 (B, C, H, W).
        """
        return {
            f"{letter.upper()} {when}": images
            for letter, part in self.parts.items()
            for when, images in zip(("before", "after"), part.before_and_after(), strict=True)
        }

    def state_dict(self) -> dict[str, Any]:
        """Return an empty state, since the update determines where to resume."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Do nothing; the state is empty."""


class UnpairedPictures:
    """Whole pictures of a split in order, one of each domain in each batch.

    The shorter domain begins again with weight 0. The batches are split among the ranks. A rank
    with one batch less repeats its last batch, with both weights 0.

    Args:
        domains: Pictures of the domains "a" and "b"; there are no batches if one has none.
        are_pairs: Whether the two pictures of a batch are a hidden pair.
        rank: Number of this process.
        world_size: Number of processes, at most the number of pictures of the larger domain.
        layout: Memory layout of the images.
    """

    def __init__(
        self,
        domains: Mapping[str, Domain],
        *,
        are_pairs: bool,
        rank: int,
        world_size: int,
        layout: torch.memory_format,
    ) -> None:
        self.stores = {letter: store for letter, (store, _) in domains.items()}
        self.are_pairs, self.layout = are_pairs, layout
        sizes = [len(indices) for _, indices in domains.values()]
        total = max(sizes) if min(sizes) else 0
        rows = [
            {
                letter: (int(indices[k % len(indices)]), float(k < len(indices)))
                for letter, (_, indices) in domains.items()
            }
            for k in range(total)
        ]
        shares = [share.tolist() for share in torch.tensor_split(torch.arange(total), world_size)]
        mine = [rows[k] for k in shares[rank]]
        repeated = [{letter: (i, 0.0) for letter, (i, _) in row.items()} for row in mine[-1:]]
        self.rows = mine + repeated * (len(shares[0]) - len(mine))

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[UnpairedBatch]:
        if any(store.waits for store in self.stores.values()):
            return read_ahead(self._pictures, ((row,) for row in self.rows))
        return map(self._pictures, self.rows)

    def finish(self, batch: UnpairedBatch) -> UnpairedBatch:
        """Return the batch of a model from the pictures of a loader, on their device."""
        images = {
            key: to_float(batch[key], layout=self.layout)
            for key in (f"image_{letter}" for letter in self.stores)
        }
        return {**batch, **images}

    def _pictures(self, row: Mapping[str, tuple[int, float]]) -> UnpairedBatch:
        batch: UnpairedBatch = {"is_pair": self.are_pairs}
        for letter, (i, weight) in row.items():
            batch[f"image_{letter}"] = self.stores[letter].picture(i)[None].clone()
            batch[f"index_{letter}"] = torch.tensor([i])
            batch[f"weight_{letter}"] = torch.tensor([weight])
        return batch


def _repeats(
    num_pictures: int, crops_per_picture: int, most: int, *, batch_size: int,
    batches_per_update: int, world_size: int, **_: Any,
) -> int:  # fmt: skip
    """Return how often an epoch of a domain reads each picture, at least one update in all.

    A domain too small for an update is repeated, unless the larger domain is too small as well.
    """
    needed = min(batch_size * batches_per_update * world_size, most)
    return max(crops_per_picture, -(-needed // num_pictures))
