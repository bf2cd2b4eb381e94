"""Distances between sets of pictures of any size: FID and KID of what a model makes.

A feature network reads pictures of one size that follow one another together. The features of a
picture do not depend on the others beyond rounding, so several processes, a resumed run and
`limner evaluate` find the same distances.
"""

__all__ = ["Comparison", "SetDistances", "SetTally"]

import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from limner.errors import UserError
from limner.interfaces import FeatureExtractor, RealImages
from limner.metrics.evaluator import Score, check_features
from limner.metrics.frechet import (
    FeatureMoments,
    FewImages,
    distance_of_few,
    frechet_distance,
)
from limner.metrics.kid import kernel_distance, subsets_for
from limner.pixels import to_uint8
from limner.processes import from_all_processes

SCORES = ("fid", "kid")
CHUNK = 16
"""Largest number of pictures that a feature network reads together."""
FEWEST = 2
"""Smallest number of pictures that have a variance."""

Others = Callable[[int], Sequence[Tensor] | None]
"""Function from a number to as many other real pictures, uint8 (C, H, W), or to None."""


class Comparison(NamedTuple):
    """Names of three sets of pictures of a `SetTally`."""

    made: str
    """The model's pictures."""
    real: str
    """The real pictures to compare with."""
    copied: str
    """The pictures that the model changes, for the baseline `input`."""


class SetDistances:
    """FID and KID between two sets of pictures; a small value is good.

    Args:
        features: Feature network that reads pictures of any size; call `prepare` before use.
        scores: Names out of "fid" and "kid".
        kid_num_subsets: Number of random subsets of KID, at least 1.
        kid_subset_size: Number of pictures in each subset; "auto" for 1000, or for all pictures
            if there are fewer.

    Raises:
        UserError: If a value is out of its range, or if the network lacks a member.
    """

    def __init__(
        self,
        *,
        features: FeatureExtractor,
        scores: Sequence[str],
        kid_num_subsets: int,
        kid_subset_size: int | Literal["auto"],
    ) -> None:
        check_features(features, "metrics.distances.features")
        if not scores or set(scores) - set(SCORES):
            raise UserError(
                f"metrics.distances.scores={list(scores)}: choose from {', '.join(SCORES)}."
            )
        if kid_num_subsets < 1:
            raise UserError(f"metrics.distances.kid_num_subsets={kid_num_subsets}: must be >= 1.")
        if kid_subset_size != "auto" and kid_subset_size < FEWEST:
            raise UserError(
                f"metrics.distances.kid_subset_size={kid_subset_size}: must be 2 or more, or auto."
            )
        self.features, self.scores = features, list(scores)
        self.kid_num_subsets, self.kid_subset_size = kid_num_subsets, kid_subset_size
        self.few_images = FewImages()

    @property
    def names(self) -> list[str]:
        """Names of the scores, with the suffix of the feature network."""
        return [f"{score}{self.features.suffix}" for score in self.scores]

    def check(self, num_pictures: int, what: str) -> None:
        """Raise `UserError` if a set has too few pictures.

        Args:
            num_pictures: Number of pictures in the set.
            what: Name of the set for the message.
        """
        size = FEWEST if self.kid_subset_size == "auto" else self.kid_subset_size
        needed = size if "kid" in self.scores else FEWEST
        if num_pictures < needed:
            why = "" if needed == FEWEST else f" (metrics.distances.kid_subset_size={needed})"
            raise UserError(
                f"{what}: {num_pictures} pictures, and {' and '.join(self.scores)} need {needed} "
                f"or more{why}.\nHold out more pictures (data.validation_fraction), or choose "
                "metrics.distances=null."
            )

    def prepare(self, data: RealImages) -> None:
        """Load the weights of the feature network; raise `UserError` if this is impossible."""
        self.features.prepare(data)

    def features_of(self, pictures: Tensor) -> Tensor:
        """Return the features float32 (B, D), on the CPU, of pictures of one size.

        Args:
            pictures: uint8 (B, C, H, W).
        """
        self.features.to(pictures.device)
        with torch.no_grad(), torch.autocast(pictures.device.type, enabled=False):
            return self.features(pictures).features.float().cpu()

    def between(self, made: Tensor, real: Tensor) -> dict[str, Score]:
        """Return the scores by name, with the suffix of the feature network.

        Args:
            made: Features (N, D) of the pictures to score, N at least 2.
            real: Features (N', D) of real pictures, N' at least 2.
        """
        sizes = {"generated": len(made), "reference": len(real)}
        found, how = {}, {**self.features.protocol(), "images_compared": sizes}
        if "fid" in self.scores:
            self.few_images(self.features.suffix, min(sizes.values()), made.shape[1])
            found["fid"] = Score(_fid(made, real), None, how)
        if "kid" in self.scores:
            subsets = subsets_for(
                (len(made), len(real)), num_subsets=self.kid_num_subsets,
                subset_size=self.kid_subset_size,
            )  # fmt: skip
            mean, std = kernel_distance(made, real, **subsets)
            deviation = std if subsets["num_subsets"] > 1 else None
            found["kid"] = Score(mean, deviation, how | subsets)
        return {f"{name}{self.features.suffix}": score for name, score in found.items()}


class SetTally:
    """Features of several sets of pictures, gathered over the batches of a validation.

    The sets that no model makes are read in the first validation, and kept.

    Args:
        distances: Distances between the sets.
        compared: The comparisons, by the ending of the names of their scores, such as "_a".
    """

    def __init__(self, distances: SetDistances, compared: Mapping[str, Comparison]) -> None:
        self.distances, self.compared = distances, compared
        self._made = {each.made for each in compared.values()}
        self._rows: dict[str, _Rows] = {}
        self._known: dict[str, Tensor] = {}
        self._beside: dict[str, tuple[dict[str, Score], dict[str, Score]]] = {}

    def start(self) -> None:
        """Forget the pictures that a model has made, and what an interrupted validation read."""
        self._rows = {}

    def add(self, name: str, picture: Tensor, *, weight: float = 1.0) -> None:
        """Add a picture to a set.

        Each process adds equally many pictures to a set, and a picture of weight 0 does not count.

        Args:
            name: Name of the set.
            picture: Picture (C, H, W) in [-1, 1], which is rounded to 8 bits.
            weight: 1.0, or 0.0 for a picture that is also a picture of another process.
        """
        if name not in self._known:
            rows = self._rows.setdefault(name, _Rows(self.distances.features_of))
            rows.add(to_uint8(picture), weight)

    def entries(
        self, device: torch.device, *, others: Mapping[str, Others]
    ) -> dict[str, dict[str, Any]]:
        """Return {"value", "std", "protocol", "baselines", "floor"} of each score by name.

        Every process of a group must call this function, and all get the same result. With
        several comparisons, the name without an ending has the mean of their values.

        Args:
            device: Device on which processes exchange features.
            others: Other real pictures of each comparison, for the floor.
        """
        sets = {name: rows.gathered(device) for name, rows in self._rows.items()}
        self._known |= {name: rows for name, rows in sets.items() if name not in self._made}
        sets |= self._known
        found: dict[str, dict[str, Any]] = {}
        for ending, (made, real, copied) in self.compared.items():
            if min(len(sets.get(name, ())) for name in (made, real)) < FEWEST:
                return {}
            scores = self.distances.between(sets[made], sets[real])
            copies, floors = self._of_others(
                ending, sets, real, copied, others=others.get(ending), device=device
            )
            for name, score in scores.items():
                entry = {"value": score.value, "protocol": dict(score.protocol)}
                entry |= {} if score.std is None else {"std": score.std}
                entry |= {"baselines": {"input": copies[name].value}} if name in copies else {}
                entry |= {"floor": floors[name].value} if name in floors else {}
                found[f"{name}{ending}"] = entry
        if len(self.compared) > 1:
            found = {name: self._mean(name, found) for name in self.distances.names} | found
        return found

    def _of_others(
        self, ending: str, sets: Mapping[str, Tensor], real: str, copied: str, *,
        others: Others | None, device: torch.device,
    ) -> tuple[dict[str, Score], dict[str, Score]]:  # fmt: skip
        """Return the scores of the copies, and of other real pictures; both are {} without."""
        if ending not in self._beside:
            copies: dict[str, Score] = {}
            if len(sets.get(copied, ())) >= FEWEST:
                copies = self.distances.between(sets[copied], sets[real])
            pictures = None if others is None else others(len(sets[real]))
            floors: dict[str, Score] = {}
            if pictures is not None:
                rows = _Rows(self.distances.features_of)
                for picture in pictures:
                    rows.add(picture.to(device), 1.0)
                floors = self.distances.between(rows.features(), sets[real])
            self._beside[ending] = copies, floors
        return self._beside[ending]

    def _mean(self, name: str, found: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        """Return the mean of the entries of a score over all comparisons."""
        parts = [found[f"{name}{ending}"] for ending in self.compared]
        mean: dict[str, Any] = {
            "value": _mean([part["value"] for part in parts]),
            "protocol": {**parts[0]["protocol"], "mean_of": list(self.compared)},
        }
        with contextlib.suppress(KeyError):
            mean["baselines"] = {"input": _mean([part["baselines"]["input"] for part in parts])}
        with contextlib.suppress(KeyError):
            mean["floor"] = _mean([part["floor"] for part in parts])
        return mean


class _Rows:
    """Features of the pictures of one set, in their order, with the weight of each picture."""

    def __init__(self, features_of: Callable[[Tensor], Tensor]) -> None:
        self.features_of = features_of
        self.weights: list[float] = []
        self._waiting: list[Tensor] = []
        self._parts: list[Tensor] = []

    def add(self, pixels: Tensor, weight: float) -> None:
        """Add a picture uint8 (C, H, W)."""
        others = self._waiting
        if others and (len(others) == CHUNK or others[0].shape != pixels.shape):
            self._read()
        self._waiting.append(pixels)
        self.weights.append(weight)

    def features(self) -> Tensor:
        """Return the features (N, D) of all pictures."""
        if self._waiting:
            self._read()
        return torch.cat(self._parts)

    def gathered(self, device: torch.device) -> Tensor:
        """Return the features of the pictures of all processes, without pictures of weight 0."""
        weights = torch.tensor(self.weights)[:, None]
        rows = torch.cat([self.features(), weights], 1).to(device)
        together = from_all_processes(rows).cpu()
        return together[together[:, -1] > 0, :-1]

    def _read(self) -> None:
        self._parts.append(self.features_of(torch.stack(self._waiting)))
        self._waiting = []


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _fid(x: Tensor, y: Tensor) -> float:
    if max(len(x), len(y)) <= x.shape[1]:
        return distance_of_few(x, y)
    both = (each.double() for each in (x, y))
    return frechet_distance(*(FeatureMoments(each.mean(0), each.T.cov()) for each in both))
