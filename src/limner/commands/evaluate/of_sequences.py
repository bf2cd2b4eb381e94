"""Evaluation of a run whose model draws sequences of frames."""

__all__ = ["MEASURES_OF_SEQUENCES", "refuse_scores", "with_metrics"]

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from limner.callbacks.sequence_scores import SequenceScores
from limner.commands.options import Evaluate as Options
from limner.errors import UserError
from limner.pretrained.roles import allowed
from limner.pretrained.safe_build import read_config

MEASURES_OF_SEQUENCES = ("likelihood", "latents", "efficiency")
"""Measures that apply to sequences; the others compare single images."""


def with_metrics(options: Options) -> Options:
    """Return the options, with metrics=sequences for a run of sequences without such scores."""
    if options.run is None or options.metrics is not None:
        return options
    file = Path(options.run, "config.yaml")
    config = read_config(file) if file.is_file() else {}
    targets = []
    for key in ("model", "metrics"):
        node = config.get(key)
        targets.append(node.get("_target_") if isinstance(node, Mapping) else None)
    kind = allowed(targets[0], "model", trust=options.trust)
    draws = getattr(kind, "reads_frames", False) is True and hasattr(kind, "sample")
    own = f"{SequenceScores.__module__}.{SequenceScores.__qualname__}"
    if not draws or targets[1] == own:
        return options
    return dataclasses.replace(options, metrics="sequences")


def refuse_scores(scores: Any, data: Any) -> None:
    """Raise `UserError` for scores of sequences of single images, and the other way round."""
    has_frames = getattr(data, "has_frames", False)
    if isinstance(scores, SequenceScores) != has_frames:
        what, other = ("sequences of frames", "metrics=sequences") if has_frames else (
            "single images", "metrics=auto"
        )  # fmt: skip
        raise UserError(f"data={data.name} has {what}: choose {other}.")
