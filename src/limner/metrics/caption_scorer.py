"""Accuracies of images that a model draws for captions, by judges trained on real pairs."""

__all__ = ["CaptionScorer", "Captioned"]

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from limner.interfaces import ImageStore
from limner.metrics.attributes import AttributeJudge
from limner.metrics.evaluator import Score
from limner.metrics.matching import MatchingJudge, Words, choices_for
from limner.processes import from_all_processes, rank, world_size
from limner.randomness import generator_for

ALL = "both"
"""Name of the score that needs all attributes of an image to be right."""
HELD_OUT = "_held_out"
"""Ending of the scores of combinations that no training image shows."""

Draw = Callable[[Tensor, torch.Generator], Tensor]
"""Function from texts int64 (B, L) and a generator to images uint8 (B, C, H, W)."""


class Captioned(NamedTuple):
    """N real images with captions."""

    store: ImageStore
    indices: Tensor
    """int64 (N,): indices of the images in the store."""
    captions: Sequence[Words]
    """Words of the caption of each image."""
    shown: Mapping[str, Sequence[str]]
    """Value of each attribute for each image; empty for images without known attributes."""
    held_out: Tensor
    """bool (N,): whether no training image shows the attributes of the image."""
    about: Mapping[str, Any]
    """Description of the images for a protocol, as plain JSON data."""

    @property
    def meanings(self) -> list[tuple[str, ...]]:
        """Meaning of each caption: the attributes if they are known, else the words."""
        if self.shown:
            return list(zip(*self.shown.values(), strict=True))
        return [tuple(words) for words in self.captions]


class CaptionScorer:
    """The judges of captions and attributes, and the captions of one split.

    Args:
        matching: Judge of captions.
        attributes: Judge of attributes.
        seed: Seed of the other captions of each choice, and of the samples.
        batch_size: Number of images that are drawn and judged at a time.
    """

    def __init__(
        self, matching: MatchingJudge, attributes: AttributeJudge, *, seed: int, batch_size: int
    ) -> None:
        self.matching, self.attributes = matching, attributes
        self.seed, self.batch_size = seed, batch_size
        self.real: dict[str, float] = {}
        """Accuracies of the judges on the real images of the captions."""

    def prepare(self, train: Captioned, scored: Captioned) -> None:
        """Train the judges, or load them from the cache, and judge the real images.

        Args:
            train: Images to train the judges on.
            scored: Other images, whose captions are scored.
        """
        self.matching.prepare(train.store, train.indices, train.captions, train.meanings)
        if train.shown:
            self.attributes.prepare(train.store, train.indices)
        choices = choices_for(
            scored.captions, scored.meanings,
            num_choices=self.matching.num_choices, seed=self.matching.training.seed,
        )  # fmt: skip
        self.scored, self._choices = scored, choices
        self.chance = sum(1 / len(each) for each in choices) / max(len(choices), 1)

        def real(first: int, end: int) -> Tensor:
            return scored.store.gather(scored.indices[first:end])

        self.real = self._accuracies(self._hits(real, range(0, len(choices), self.batch_size)))

    def to(self, device: torch.device) -> "CaptionScorer":
        """Move the judges to a device."""
        self.matching.to(device)
        if self.scored.shown:
            self.attributes.to(device)
        return self

    @property
    def names(self) -> list[str]:
        """Names of the scores."""
        return list(self.real)

    def score(
        self, draw: Draw, *, device: torch.device, pause: Callable[[], None] | None = None
    ) -> dict[str, Score]:
        """Return the accuracy of images that a model draws for the captions, by name.

        Every process of a group must call this function. Chunk c of the images is drawn from
        (seed, c), so the number of processes makes no difference.

        Args:
            draw: Function that draws images for texts.
            device: Device of the model and of the judges.
            pause: Function called between two chunks, equally often in every process, or None.
        """
        self.to(device)
        scored, size = self.scored, self.batch_size
        starts = range(0, len(scored.indices), size)
        everybodys = len(starts) // world_size()

        def drawn(first: int, end: int) -> Tensor:
            if pause is not None and first // size // world_size() < everybodys:
                pause()
            texts = scored.store.texts[scored.indices[first:end]]
            return draw(texts, generator_for(self.seed, "captions", first // size))

        hits = self._hits(drawn, starts[rank() :: world_size()]).to(device)
        found = self._accuracies(from_all_processes(hits[None]).sum(0).cpu())
        return {name: self._score(name, value) for name, value in found.items()}

    def _score(self, name: str, value: float) -> Score:
        is_matching = name.startswith("matching")
        judge = self.matching if is_matching else self.attributes
        held_out = int(self.scored.held_out.sum())
        protocol = {
            "captions": dict(self.scored.about),
            **judge.protocol(),
            "num_samples": held_out if name.endswith(HELD_OUT) else len(self.scored.indices),
        }
        if name.endswith(HELD_OUT):
            protocol["of"] = "combinations that no training image shows"
        if is_matching:
            baselines = {"chance": self.chance}
        else:
            sizes = {key: len(values) for key, values in self.attributes.values.items()}
            chances = [1 / size for key, size in sizes.items() if name.startswith((key, ALL))]
            baselines = {"chance": float(torch.tensor(chances).prod())}
        return Score(value, None, protocol, self.real[name], baselines)

    def _hits(self, images: Callable[[int, int], Tensor], starts: Sequence[int]) -> Tensor:
        """Return the hits of the images of some chunks: float32 (N, columns), 0 elsewhere."""
        scored = self.scored
        hits = torch.zeros(len(scored.indices), 1 + len(scored.shown))
        for first in starts:
            end = min(first + self.batch_size, len(scored.indices))
            drawn = images(first, end)
            hits[first:end, 0] = self.matching.hits(drawn, self._choices[first:end])
            if scored.shown:
                part = {name: values[first:end] for name, values in scored.shown.items()}
                hits[first:end, 1:] = self.attributes.hits(drawn, part).float()
        return hits

    def _accuracies(self, hits: Tensor) -> dict[str, float]:
        """Return the accuracies by name, from the hits (N, columns) of all images."""
        found = {"matching_accuracy": hits[:, 0].mean().item()}
        if not self.scored.shown:
            return found
        right = {ALL: hits[:, 1:].prod(1)}
        right |= dict(zip(self.scored.shown, hits[:, 1:].T, strict=True))
        held_out = self.scored.held_out
        for name, each in right.items():
            found[f"{name}_accuracy"] = each.mean().item()
            if held_out.any():
                found[f"{name}_accuracy{HELD_OUT}"] = each[held_out].mean().item()
        return found
