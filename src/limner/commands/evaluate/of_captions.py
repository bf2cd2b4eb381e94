"""Evaluation of a run whose model draws images for captions."""

__all__ = ["prepare_scores"]

import functools
from typing import Any

from limner.callbacks.caption_scores import CaptionScores
from limner.callbacks.captioned import refuse_uncaptioned
from limner.callbacks.scores import Scores
from limner.commands.evaluate.subject import Folder, ModelSamples
from limner.errors import UserError

SPLITS = ("test", "validation", "train")
"""Splits in the order in which an evaluation prefers their captions."""


def prepare_scores(scores: Scores, data: Any, generated: ModelSamples | Folder) -> None:
    """Load or train the networks that score, and let the samples have the texts of the scores.

    Raises:
        UserError: If the scores read captions, and the images are no samples of a model of texts
            or the data have no captions.
    """
    if not isinstance(scores, CaptionScores):
        scores.prepare(data)
        return
    refuse_uncaptioned(data, "metrics=captions")
    if isinstance(generated, Folder):
        raise UserError(
            "metrics=captions scores what a model draws for captions: give run=FOLDER, or choose "
            "other\nmetrics for generated=..."
        )
    if not generated.model.reads_text:
        raise UserError(
            f"metrics=captions scores models that read texts, and "
            f"{type(generated.model.module).__name__} does not: choose metrics=auto."
        )
    scores.prepare(data, SPLITS)
    generated.conditions = functools.partial(scores.conditions, data)
