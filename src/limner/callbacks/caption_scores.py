"""Scores of a model that draws images for captions: does an image show what its caption says?"""

__all__ = ["CaptionScores"]

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import lightning as L
import torch
from torch import Tensor

from limner.callbacks.captioned import (
    SPLITS,
    captioned,
    for_judges,
    refuse_uncaptioned,
    scored_split,
    unknown_words,
)  # fmt: skip
from limner.callbacks.scores import Scores
from limner.errors import UserError
from limner.files.printable import printable
from limner.interfaces import FeatureExtractor, RealImages
from limner.metrics.attributes import AttributeJudge
from limner.metrics.caption_scorer import CaptionScorer
from limner.metrics.evaluator import Score
from limner.metrics.matching import MatchingJudge
from limner.metrics.statistics import Pause
from limner.pixels import to_uint8

log = logging.getLogger(__name__)

MOST_NAMED = 5
"""Largest number of unknown words that a message names."""


class CaptionScores(Scores):
    """Callback that scores images drawn for held-out captions, and writes `scores.json`.

    `val/matching_accuracy` is the share of images that match their own caption best, among
    `num_choices` captions. For images with known attributes, such as shapes, `val/kind_accuracy`
    and `val/colour_accuracy` are the shares with the right kind and colour, and
    `val/both_accuracy` with both. The ending `_held_out` marks the same for combinations that
    no training image shows. Beside each score stand the accuracy of its judge on the real images,
    and chance. FID and KID compare images drawn for the captions of the reference split with the
    real images of this split.

    Args:
        num_captions: Largest number of captions of the validation split that are scored.
        matching: Judge of captions.
        attributes: Judge of attributes.

    For the other arguments see `Scores`.
    """

    def __init__(
        self,
        *,
        num_captions: int,
        matching: MatchingJudge,
        attributes: AttributeJudge,
        features: FeatureExtractor,
        scores: list[str],
        num_samples: int,
        batch_size: int,
        every_num_epochs: int | Literal["auto"],
        reference_split: str | list[str],
        max_features: int,
        num_splits: int,
        kid_num_subsets: int,
        kid_subset_size: int | Literal["auto"],
        num_neighbours: int,
        seed: int,
        objective: Mapping[str, str],
        floor: bool,
    ) -> None:
        super().__init__(
            features=features, scores=scores, num_samples=num_samples, batch_size=batch_size,
            every_num_epochs=every_num_epochs, reference_split=reference_split,
            max_features=max_features, num_splits=num_splits, kid_num_subsets=kid_num_subsets,
            kid_subset_size=kid_subset_size, num_neighbours=num_neighbours, seed=seed,
            objective=objective, floor=floor,
        )  # fmt: skip
        if num_captions < 1:
            raise UserError(f"metrics.num_captions={num_captions}: must be 1 or more.")
        self.num_captions = num_captions
        self.scorer = CaptionScorer(matching, attributes, seed=seed, batch_size=batch_size)

    @property
    def names(self) -> set[str]:
        """Log keys of the scores; the scores of captions are known once the data are."""
        return super().names | {f"val/{name}" for name in self.scorer.names}

    def refuse_model(self, model: L.LightningModule, data: RealImages) -> None:
        """Raise `UserError` if the model draws no images for captions, or the data have none."""
        if not getattr(model, "reads_text", False):
            raise UserError(
                f"metrics=captions scores models that read texts, and {type(model).__name__} does "
                "not:\nchoose model/condition=text, or metrics=auto."
            )
        refuse_uncaptioned(data, "metrics=captions")
        super().refuse_model(model, data)

    def prepare(self, data: Any, splits: Sequence[str] = SPLITS) -> None:
        """Load or train the feature network and the judges, and judge the real images.

        Args:
            data: Data module of images with captions.
            splits: Splits in the order in which their captions are preferred.
        """
        super().prepare(data)
        scored = captioned(data, scored_split(data, splits), self.num_captions)
        self.scorer.prepare(for_judges(data), scored)

    def setup(self, trainer: L.Trainer, model: L.LightningModule, stage: str) -> None:
        super().setup(trainer, model, stage)
        _name_unknown_words(trainer.datamodule, self.scorer.scored.about["split"])

    def conditions(self, data: Any, first: int, end: int) -> dict[str, Tensor]:
        """Return the texts of samples `first` to `end` - 1, in the order of the real images."""
        store, indices = data.reference(self.splits[0])
        chosen = torch.arange(first, end) % len(indices)
        return {"labels": store.texts[indices[chosen]]}

    def further(self, model: Any, device: torch.device, pause: Pause | None) -> dict[str, Score]:
        """Return the accuracies of images that the model draws for captions, by name."""

        def draw(texts: Tensor, generator: torch.Generator) -> Tensor:
            return to_uint8(model.sample(len(texts), generator=generator, labels=texts))

        return self.scorer.score(draw, device=device, pause=pause)


def _name_unknown_words(data: Any, split: str) -> None:
    """Log the words of a split's captions that the training captions lack."""
    unknown = unknown_words(data, split, data.split(split)[1])
    if not unknown:
        return
    more = ", ..." if len(unknown) > MOST_NAMED else ""
    log.info(
        "The model does not know %d words of the %s captions: %s%s\n"
        "It reads them as an unknown word.",
        len(unknown), split, ", ".join(map(printable, unknown[:MOST_NAMED])), more,
    )  # fmt: skip
