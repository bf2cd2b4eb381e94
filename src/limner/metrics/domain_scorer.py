"""All scores of a model that translates between two domains, for a validation or an evaluation."""

__all__ = ["DomainScorer"]

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from limner.losses.perceptual import PerceptualDistance
from limner.metrics.baseline_scores import Baselines, cached_baselines
from limner.metrics.domain_scores import (
    DIRECTIONS,
    DOMAINS,
    ERRORS,
    DomainPairs,
    Domains,
    DomainTally,
    add_to_sets,
    facts_of_domains,
    other_pictures,
    sets_of_domains,
)
from limner.metrics.picture_quality import PictureQuality
from limner.metrics.picture_scores import entries, facts_of, quality_for
from limner.metrics.set_distances import SetDistances, SetTally


class DomainScorer:
    """The scores of one split of two domains, over all its pictures.

    Args:
        data: Data set of two domains.
        split: Split whose pictures are scored.
        scores: Names out of `limner.metrics.domain_scores.SCORES`.
        distances: Distances between sets of pictures, or None.
        perceptual: Distance of the score `perceptual`, or None.
        baselines: Names out of `limner.metrics.baselines.BASELINES`, for hidden pairs.
        slow_megapixels: Number of megapixels of all pictures together above which slow baselines
            are left out.

    Raises:
        UserError: If weights are not installed, or if a domain has too few pictures.
    """

    def __init__(
        self,
        data: Domains,
        split: str,
        *,
        scores: Sequence[str],
        distances: SetDistances | None,
        perceptual: PerceptualDistance | None,
        baselines: Sequence[str],
        slow_megapixels: float,
    ) -> None:
        self.data, self.split, self.scores = data, split, scores
        self.baselines, self.slow_megapixels = list(baselines), slow_megapixels
        of_pairs = [name for name in scores if name not in ERRORS]
        self.views: dict[str, DomainPairs] = {}
        if getattr(data, "hidden_pairs", False) and of_pairs:
            self.views = {way: DomainPairs(data, way, split) for way in DIRECTIONS}
        self.quality: PictureQuality | None = None
        if self.views:
            self.quality = quality_for(
                self.views["ab"], scores=of_pairs, colour="rgb", border=0, perceptual=perceptual
            )
        self.sets: SetTally | None = None
        if distances is not None:
            distances.prepare(data)
            for letter in DOMAINS:
                num_pictures = len(data.pictures(letter, split)[1])
                distances.check(num_pictures, f"The {split} split of domain {letter}")
            self.sets = sets_of_domains(distances)
        self.tally = DomainTally(scores, self.quality)
        self.found: dict[str, Baselines] | None = None
        """Scores of the baselines by direction; None before `find_baselines`."""

    def start(self) -> None:
        """Begin again with the same pictures and another state of the model."""
        self.tally = DomainTally(self.scores, self.quality)
        if self.sets is not None:
            self.sets.start()

    def add(self, outputs: Mapping[str, Any], batch: Mapping[str, Any]) -> None:
        """Add the pictures of a batch, see `DomainTally.add`."""
        self.tally.add(outputs, batch)
        if self.sets is not None:
            add_to_sets(self.sets, outputs, batch)

    @property
    def is_whole(self) -> bool:
        """Whether all hidden pairs of the split have been added."""
        pairs = self.tally.pairs
        return all(
            int(pairs[way].sums[0]) == len(view.pictures(self.split)[1])
            for way, view in self.views.items()
        )

    def find_baselines(
        self, device: torch.device, *, pause: Callable[[], None] | None = None
    ) -> None:
        """Compute the baselines of the hidden pairs, or read them from the cache."""
        self.found = {}
        for way, view in self.views.items() if self.baselines else ():
            self.found[way] = cached_baselines(
                view, self.split, self.quality, self.baselines,
                slow_megapixels=self.slow_megapixels, device=device, pause=pause,
            )  # fmt: skip

    def entries(self, device: torch.device) -> dict[str, dict[str, Any]]:
        """Return {"value", "protocol" ...} of each score by name; every process must call it."""
        found: dict[str, dict[str, Any]] = {}
        facts = facts_of_domains(self.data, self.split)
        if (number := self.tally.num_pictures) is not None:
            facts["num_pictures"] = number
        if self.sets is not None:
            others = {
                f"_{letter}": functools.partial(other_pictures, self.data, letter, self.split)
                for letter in DOMAINS
            }
            found = self.sets.entries(device, others=others)
            for name, each in found.items():
                each["protocol"] = facts | each["protocol"]
                if name[-2:] in others:
                    each["protocol"]["num_pictures"] = each["protocol"]["images_compared"][
                        "reference"
                    ]
        for name, value in self.tally.error_means().items():
            how = {**facts, "unit": "levels of 0 to 255", "rounding": "8 bits"}
            found[name] = {"value": value, "protocol": how, "baselines": {"input": 0.0}}
        for way, view in self.views.items():
            means = self.tally.pair_means(way)
            num_pictures = int(self.tally.pairs[way].sums[0])
            made = entries(
                means, self.quality, baselines=(self.found or {}).get(way),
                facts=facts_of(view, self.split, num_pictures),
            )  # fmt: skip
            found |= {f"{name}_{way}": each for name, each in made.items()}
        return found
