"""Scores of generated images, with their protocol; no trainer and no model is needed."""

__all__ = ["SCORES", "Evaluator", "Score", "check_features"]

import copy
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from limner.errors import UserError
from limner.files.own_code import own_code
from limner.interfaces import FeatureExtractor, ImageStore, missing_members
from limner.metrics.floor import halves
from limner.metrics.frechet import FewImages, distance_of_few, frechet_distance
from limner.metrics.kid import kernel_distance, subsets_for
from limner.metrics.modes import mode_coverage
from limner.metrics.prdc import prdc
from limner.metrics.reference import Reference, reference
from limner.metrics.statistics import (
    ImagesAt,
    Pause,
    Statistics,
    StatisticsRequest,
    compute_statistics,
)

SCORES = {
    "fid": ("fid",),
    "inception_score": ("inception_score",),
    "kid": ("kid",),
    "modes": ("modes", "mode_kl"),
    "prdc": ("precision", "recall", "density", "coverage"),
}
"""Name of a request in `metrics.scores`, and the names of the scores that it gives."""


class Score(NamedTuple):
    """A value, and the protocol by which it was computed."""

    value: float
    std: float | None
    protocol: dict[str, Any]
    floor: float | None = None
    """Score of as many real images, see `limner.metrics.floor`; None if it was not computed."""
    baselines: dict[str, float] | None = None
    """Scores of methods without training, see `limner.metrics.baselines`; None without them."""


class Evaluator:
    """All distribution scores, from one pass of one network over each set of images.

    Args:
        features: Feature network; call its `prepare` before it is used.
        scores: Scores to compute, from "fid", "inception_score", "kid", "modes" and "prdc".
        batch_size: Number of images per chunk.
        max_features: Largest number of images of each set that KID and PRDC compare; a fixed
            shuffle chooses the images.
        num_splits: Number of parts of the inception score.
        kid_num_subsets: Number of random subsets of KID.
        kid_subset_size: Number of images per subset of KID; "auto" for `KID_SUBSET`, or for all
            images if a set has fewer.
        num_neighbours: k of PRDC.
    """

    def __init__(
        self,
        *,
        features: FeatureExtractor,
        scores: Sequence[str],
        batch_size: int,
        max_features: int,
        num_splits: int,
        kid_num_subsets: int,
        kid_subset_size: int | Literal["auto"],
        num_neighbours: int,
    ) -> None:
        check_features(features, "metrics.features")
        own_code(features)  # the hash is of the code that was imported, not of a later edit
        if not scores or set(scores) - SCORES.keys():
            raise UserError(f"metrics.scores={list(scores)}: choose from {', '.join(SCORES)}.")
        counts = {
            "batch_size": batch_size, "num_splits": num_splits,
            "kid_num_subsets": kid_num_subsets, "num_neighbours": num_neighbours,
        }  # fmt: skip
        for name, count in counts.items():
            if count < 1:
                raise UserError(f"metrics.{name}={count}: must be 1 or more.")
        self.features, self.scores, self.batch_size = features, tuple(scores), batch_size
        self.max_features, self.num_splits = max_features, num_splits
        self.kid_num_subsets, self.kid_subset_size = kid_num_subsets, kid_subset_size
        self.num_neighbours = num_neighbours
        self.few_images = FewImages()
        if {"kid", "prdc"} & set(scores):
            self.check(max_features, f"metrics.max_features={max_features}", of=("kid", "prdc"))

    def only(self, *scores: str) -> "Evaluator":
        """Return an evaluator that differs only in its scores."""
        other = copy.copy(self)
        other.scores = scores
        return other

    def check(self, num_images: int, what: str, *, of: Sequence[str] = tuple(SCORES)) -> None:
        """Raise UserError if a set of images is too small for a score.

        Args:
            num_images: Number of images in the set.
            what: Name of the set's size in the message, e.g. "metrics.num_samples=1".
            of: Scores to check; scores that this evaluator does not compute are skipped.

        Raises:
            UserError: If a score needs more images; the message states how many.
        """
        needs = {
            "fid": (2, "for a covariance"),
            "inception_score": (self.num_splits, f"as metrics.num_splits={self.num_splits}"),
            "kid": (
                2 if self.kid_subset_size == "auto" else max(2, self.kid_subset_size),
                f"as metrics.kid_subset_size={self.kid_subset_size}",
            ),
            "modes": (1, "to see a mode"),
            "prdc": (self.num_neighbours + 1, f"as metrics.num_neighbours={self.num_neighbours}"),
        }
        for name in self.scores:
            needed, why = needs[name]
            if name in of and num_images < needed:
                raise UserError(f"{what}: {name} needs {needed} images or more, {why}.")

    def reference(
        self,
        store: ImageStore,
        indices: Tensor,
        *,
        about: dict[str, Any],
        device: torch.device,
        half_size: int | None = None,
        pause: Pause | None = None,
    ) -> Reference:
        """Return the statistics of the real images at `indices`, from the cache if possible.

        Args:
            store: Store of the real images.
            indices: int64 (N,): indices of the images in the store.
            about: Description of the images for the protocol, as plain JSON data.
            device: Device for the computation.
            half_size: Number n of images of each of two disjoint halves: the first half becomes
                the reference, and the second half gives the floor. None to use all images.
            pause: Function called between chunks, or None.
        """
        parts = [indices] if half_size is None else halves(indices, half_size)
        options = {"about": about, "device": device, "pause": pause}
        return self.reference_of(store, parts, baselines={}, **options)

    def reference_of(
        self,
        store: ImageStore,
        parts: Sequence[Tensor],
        *,
        about: dict[str, Any],
        baselines: Mapping[str, ImageStore],
        device: torch.device,
        pause: Pause | None = None,
    ) -> Reference:
        """Return the statistics of the images at the first of one or two arrays of indices.

        Args:
            store: Store of the real images.
            parts: One or two arrays int64 (N,) of indices; the second gives the floor.
            about: Description of the images for the protocol, as plain JSON data.
            baselines: Stores of changed images by the name of the change, each as long as `store`.
                The changed images of the last array are scored as the floor is.
            device: Device for the computation.
            pause: Function called between chunks, or None.
        """
        self.features.to(device)

        def statistics(images: ImageStore, part: Tensor, more: Mapping[str, str]) -> Reference:
            return reference(
                images, part, about={**about, "num_images": len(part), **more},
                network=self.features, request=self._request()._replace(num_splits=None),
                batch_size=self.batch_size, device=device, pause=pause,
            )  # fmt: skip

        def scores(other: Reference) -> dict[str, float]:
            return {n: v for n, (v, *_) in self._compare(other.statistics, made[0]).items()}

        names = [{"half": "first of two"}, {"half": "second of two"}] if parts[1:] else [{}]
        made = [statistics(store, *each) for each in zip(parts, names, strict=True)]
        beside = {
            name: scores(statistics(changed, parts[-1], {"baseline": name}))
            for name, changed in baselines.items()
        }
        return made[0]._replace(floor=scores(made[1]) if made[1:] else {}, baselines=beside)

    def score(
        self,
        images: ImagesAt,
        num_images: int,
        *,
        references: Mapping[str, Reference],
        device: torch.device,
        pause: Pause | None = None,
    ) -> dict[str, Score]:
        """Return the score of images 0 ... num_images - 1 by name, in one pass over the images.

        Args:
            images: Function that returns a chunk of images; each chunk starts at a multiple of
                `batch_size`.
            num_images: Number N of images.
            references: Mapping of name endings to real images. The scores of a comparison with the
                images have this ending, e.g. "_test" in `fid_test`, and "" in `fid`. The network's
                suffix follows the ending.
            device: Device for the computation.
            pause: Function called between chunks, or None.
        """
        self.features.to(device)
        generated = compute_statistics(
            images, num_images, network=self.features, request=self._request(),
            batch_size=self.batch_size, device=device, pause=pause, unit="samples",
        )  # fmt: skip
        protocol, found = {**self.features.protocol(), "num_samples": num_images}, {}
        if "fid" in self.scores:
            sizes = [real.about.get("num_images", num_images) for real in references.values()]
            least = min([num_images, *sizes])
            self.few_images(self.features.suffix, least, self.features.num_features)
        for ending, real in references.items():
            for name, (value, std, options) in self._compare(generated, real).items():
                made = {"reference": real.about, **protocol, **options}
                beside = {key: each[name] for key, each in real.baselines.items()} or None
                found[name + ending] = Score(value, std, made, real.floor.get(name), beside)
        if generated.inception_score is not None:
            splits = {"num_splits": self.num_splits}
            found["inception_score"] = Score(*generated.inception_score, protocol | splits)
        return {name + self.features.suffix: score for name, score in found.items()}

    def _compare(
        self, generated: Statistics, real: Reference
    ) -> dict[str, tuple[float, float | None, dict[str, Any]]]:
        """Return the value, standard deviation and options of each score by name."""
        found, other = {}, real.statistics
        if "fid" in self.scores:
            found["fid"] = (self._fid(generated, other), None, {})
        if "modes" in self.scores:
            options = {"num_modes": len(generated.counts)}
            found |= {n: (v, None, options) for n, v in mode_coverage(generated.counts).items()}
        if generated.features is not None:
            sizes = {"generated": len(generated.features), "reference": len(other.features)}
            compared = {"images_compared": sizes}
        if "kid" in self.scores:
            subsets = subsets_for(
                tuple(sizes.values()), num_subsets=self.kid_num_subsets,
                subset_size=self.kid_subset_size,
            )  # fmt: skip
            mean, std = kernel_distance(generated.features, other.features, **subsets)
            # the deviation of a single subset would be 0
            found["kid"] = (mean, std if subsets["num_subsets"] > 1 else None, compared | subsets)
        if "prdc" in self.scores:
            k = {"num_neighbours": self.num_neighbours}
            values = prdc(generated.features, other.features, **k)
            found |= {name: (value, None, compared | k) for name, value in values.items()}
        return found

    def _fid(self, generated: Statistics, real: Statistics) -> float:
        both = (generated.features, real.features)
        limit = min(self.max_features, self.features.num_features)
        if any(each is None or len(each) >= limit for each in both):  # or some images are left out
            return frechet_distance(generated.gaussian, real.gaussian)
        return distance_of_few(*both)

    def _request(self) -> StatisticsRequest:
        vectors = {"kid", "prdc"} & set(self.scores)
        return StatisticsRequest(
            gaussian="fid" in self.scores,
            max_features=self.max_features if vectors else None,
            num_splits=self.num_splits if "inception_score" in self.scores else None,
            modes="modes" in self.scores,
        )


def check_features(features: FeatureExtractor, key: str) -> None:
    """Raise `UserError` unless a feature network has all members of its protocol.

    Args:
        features: The feature network.
        key: Key of the network in the config, for the message.
    """
    if missing := missing_members(features, FeatureExtractor):
        raise UserError(
            f"{key}: {type(features).__name__} has no {', '.join(missing)}.\n"
            "limner.interfaces.FeatureExtractor documents each attribute."
        )
    suffix = features.suffix
    if not isinstance(suffix, str) or suffix[:1] not in ("", "_"):
        raise UserError(
            f"{key}: suffix={suffix!r} of {type(features).__name__} ends the names "
            "of its scores\nand must begin with an underscore, such as "
            f"{'_' + str(suffix)!r}: val/fid_{suffix}."
        )
