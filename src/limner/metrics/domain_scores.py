"""Scores of a model that translates between two domains of pictures, A and B.

fid, kid         distance of F(b) from the real a, and of G(a) from the real b
cycle, identity  mean absolute error of F(G(a)) and G(F(b)), and of F(a) and G(b), in levels
psnr, ssim ...   of G(a) against b and of F(b) against a, only for hidden pairs (a, b)
"""

__all__ = [
    "DIRECTIONS", "DOMAINS", "ERRORS", "SCORES", "DomainPairs", "DomainTally", "Domains",
    "add_to_sets", "facts_of_domains", "other_pictures", "sets_of_domains",
]  # fmt: skip

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from limner.errors import UserError
from limner.metrics.feature_buffer import permutation
from limner.metrics.picture_quality import SCORES as OF_PAIRS
from limner.metrics.picture_quality import PictureQuality
from limner.metrics.picture_scores import Tally
from limner.metrics.set_distances import Comparison, SetDistances, SetTally

ERRORS = ("cycle", "identity")
SCORES = (*ERRORS, *OF_PAIRS)
"""Names of the scores beside FID and KID. `cycle` and `identity` are good if they are small."""
DOMAINS = ("a", "b")
DIRECTIONS = ("ab", "ba")


class Domains(Protocol):
    """A data set of two domains of pictures, such as `limner.data.UnpairedDataModule`."""

    name: str
    image_shape: Sequence[int]
    split_seed: int
    hidden_pairs: bool

    def pictures(self, letter: str, split: str) -> tuple[Any, Tensor]:
        """Return the store of the pictures of a domain, and the numbers of a split's pictures."""

    def whole_pictures(self, split: str, *, device: torch.device) -> Iterator[Mapping[str, Any]]:
        """Yield batches of one whole picture of each domain, `image_a` and `image_b`."""

    def protocol(self) -> dict[str, Any]:
        """Return facts about the domains, as plain data."""


class DomainPairs:
    """The hidden pairs of two domains as inputs and targets, see `PicturePairs`.

    Args:
        data: Data set whose split has hidden pairs.
        direction: "ab" for inputs of domain A and targets of domain B, "ba" for the reverse.
        split: The split, whose inputs are part of the protocol.
    """

    scale = 1

    def __init__(self, data: Domains, direction: str, split: str) -> None:
        self.data, self.direction = data, direction
        self.name, self.split_seed = data.name, data.split_seed
        self.image_shape = data.image_shape
        store, indices = data.pictures(direction[0], split)
        self._inputs = _hash(store.fingerprint, indices)

    def pictures(self, split: str) -> tuple[Any, Tensor]:
        """Return the store of the targets, and the numbers of a split's targets."""
        return self.data.pictures(self.direction[1], split)

    def whole_pictures(self, split: str, *, device: torch.device) -> Iterator[dict[str, Any]]:
        """Yield the pairs of a split as batches with `input`, `image` and `weight`."""
        for batch in self.data.whole_pictures(split, device=device):
            yield _as_pair(batch, self.direction)

    def protocol(self) -> dict[str, Any]:
        """Return the facts about the domains, the direction, and a hash of the inputs."""
        return {**self.data.protocol(), "direction": self.direction, "inputs": self._inputs}


class DomainTally:
    """Sums of the errors of cycles, and of the scores of hidden pairs.

    Args:
        scores: Names out of `SCORES`.
        quality: Scores of a hidden pair; None without hidden pairs.

    Raises:
        UserError: If a name is unknown.
    """

    def __init__(self, scores: Sequence[str], quality: PictureQuality | None) -> None:
        for name in scores:
            if name not in SCORES:
                raise UserError(f"metrics.scores: {name}: choose from {', '.join(SCORES)}.")
        levels = PictureQuality(scores=["mae"], colour="rgb", border=0, perceptual=None)
        self.scores = list(scores)
        self.errors = {
            f"{name}_{letter}": Tally(levels) for name in ERRORS if name in scores
            for letter in DOMAINS
        }  # fmt: skip
        directions = DIRECTIONS if quality is not None else ()
        self.pairs = {direction: Tally(quality) for direction in directions}

    @property
    def sums(self) -> Tensor:
        """All sums in one vector, float64 (N,), which processes add up."""
        return torch.cat([tally.sums for tally in self._tallies]) if self._tallies else _NOTHING

    @sums.setter
    def sums(self, sums: Tensor) -> None:
        parts = sums.split([len(tally.sums) for tally in self._tallies])
        for tally, part in zip(self._tallies, parts, strict=True):
            tally.sums = part

    @property
    def num_pictures(self) -> int | None:
        """Number of pictures of both domains; None without errors of cycles or identity."""
        counts = [
            max(int(tally.sums[0]) for key, tally in self.errors.items() if key[-1] == letter)
            for letter in DOMAINS
            if self.errors
        ]
        return sum(counts) if counts else None

    def add(self, outputs: Mapping[str, Tensor], batch: Mapping[str, Any]) -> None:
        """Add the pictures of a batch.

        Args:
            outputs: Pictures (B, C, H, W) in [-1, 1]: `output_a` = F(b), `output_b` = G(a),
                `cycle_a` = F(G(a)), `cycle_b`, `identity_a` = F(a), `identity_b`.
            batch: The batch of both domains.
        """
        for name, tally in self.errors.items():
            if name in outputs:
                letter = name[-1]
                tally.add(outputs[name], _of_domain(batch, letter))
        if batch.get("is_pair", False):
            for direction, tally in self.pairs.items():
                letter = direction[1]
                tally.add(outputs[f"output_{letter}"], _of_domain(batch, letter))

    def error_means(self) -> dict[str, float]:
        """Return `cycle` and `identity` in levels, the mean of both domains."""
        found = {}
        for name in ERRORS:
            means = [self.errors[f"{name}_{x}"].means() for x in DOMAINS if name in self.scores]
            if means and all(means):
                found[name] = sum(each["mae"] for each in means) / len(means)
        return found

    def pair_means(self, direction: str) -> dict[str, float]:
        """Return the mean of each score of the hidden pairs, such as `psnr`; {} without pairs."""
        return self.pairs[direction].means() if direction in self.pairs else {}

    @property
    def _tallies(self) -> list[Tally]:
        return [*self.errors.values(), *self.pairs.values()]


def sets_of_domains(distances: SetDistances) -> SetTally:
    """Return a tally that compares the model's pictures of each domain with the real ones."""
    return SetTally(distances, {
        "_a": Comparison("output_a", "image_a", "image_b"),
        "_b": Comparison("output_b", "image_b", "image_a"),
    })  # fmt: skip


def add_to_sets(sets: SetTally, outputs: Mapping[str, Tensor], batch: Mapping[str, Any]) -> None:
    """Add the pictures of a batch of both domains to the sets of `sets_of_domains`."""
    for letter, made in (("a", "output_b"), ("b", "output_a")):
        part = _of_domain(batch, letter)
        weights = part.get("weight")
        for i, picture in enumerate(part["image"]):
            weight = 1.0 if weights is None else float(weights[i])
            sets.add(f"image_{letter}", picture, weight=weight)
            sets.add(made, outputs[made][i], weight=weight)


def other_pictures(data: Domains, letter: str, split: str, num: int) -> list[Tensor] | None:
    """Return training pictures of a domain, uint8 (C, H, W), for the floor of a distance.

    Args:
        data: Data set of two domains.
        letter: Domain, "a" or "b".
        split: Split of the pictures that a model is scored on.
        num: Number of pictures; a fixed shuffle chooses them.

    Returns:
        The pictures, or None if the split is the training split, or if there are too few.
    """
    store, indices = data.pictures(letter, "train")
    if split == "train" or len(indices) < num:
        return None
    chosen = indices[permutation(len(indices))[:num]].sort().values
    return [store.picture(i) for i in chosen.tolist()]


def facts_of_domains(data: Domains, split: str) -> dict[str, Any]:
    """Return the facts of the pictures of both domains for the protocol of a score."""
    found = [data.pictures(letter, split) for letter in DOMAINS]
    hashes = [_hash(store.fingerprint, indices) for store, indices in found]
    return {
        "data": data.name,
        "split": split,
        "num_pictures": sum(len(indices) for _, indices in found),
        "pictures": "-".join(each[:8] for each in hashes),
        **data.protocol(),
    }


def _of_domain(batch: Mapping[str, Any], letter: str) -> dict[str, Tensor]:
    """Return the pictures of a domain with their weights, as a batch of targets."""
    found = {"image": batch[f"image_{letter}"]}
    weight = batch.get(f"weight_{letter}")
    return found if weight is None else {**found, "weight": weight}


def _as_pair(batch: Mapping[str, Any], direction: str) -> dict[str, Any]:
    return {"input": batch[f"image_{direction[0]}"], **_of_domain(batch, direction[1])}


def _hash(fingerprint: str, indices: Tensor) -> str:
    return hashlib.sha256(fingerprint.encode() + indices.numpy().tobytes()).hexdigest()[:16]


_NOTHING = torch.zeros(0, dtype=torch.float64)
