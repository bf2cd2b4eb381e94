"""Names of scores in logs, with the split of real images and the feature network."""

__all__ = ["ENDINGS", "check_objective", "score_names"]

from collections.abc import Sequence

from limner.errors import UserError
from limner.metrics.evaluator import SCORES

ENDINGS = {"train": "", "test": "_test"}
"""Ending of a score's name for each split of real images."""


def score_names(
    scores: list[str], splits: list[str], suffix: str, kinds: Sequence[str] = ("",)
) -> set[str]:
    """Return the log keys of requested scores.

    Args:
        scores: Names out of `limner.metrics.evaluator.SCORES`.
        splits: Splits of real images, "train" or "test".
        suffix: Suffix of the feature network.
        kinds: Endings of the kinds of pictures that are compared.
    """
    return {
        f"val/{name}{kind}{'' if score == 'inception_score' else ENDINGS.get(split, '')}{suffix}"
        for score in scores
        for name in SCORES[score]
        for split in splits
        for kind in kinds
    }


def check_objective(
    name: str, scores: list[str], splits: list[str], suffix: str, kinds: Sequence[str] = ("",)
) -> None:
    """Raise `UserError` if the objective has the name of a score that is not computed."""
    computed = score_names(scores, splits, suffix, kinds)
    kinds = {f"val/{kind}" for names in SCORES.values() for kind in names}
    is_score = any(name == kind or name.startswith(f"{kind}_") for kind in kinds)
    if is_score and name not in computed and name.removesuffix("_std") not in computed:
        raise UserError(
            f"metrics.objective.name={name} is not computed. metrics.scores, "
            "metrics.reference_split\nand the suffix of metrics.features give: "
            f"{', '.join(sorted(computed))}"
        )
