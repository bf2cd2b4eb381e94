"""Entries of scores.json: values with the protocol of their computation."""

__all__ = ["entries", "entry", "write_scores"]

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning as L

from limner.callbacks.rollbacks import Rollbacks
from limner.files.atomic import write_atomically
from limner.metrics.evaluator import Score


def entry(
    trainer: L.Trainer,
    value: float,
    *,
    std: float | None,
    protocol: Mapping[str, Any],
    floor: float | None = None,
    baselines: Mapping[str, float] | None = None,
) -> dict[str, Any]:
    """Return an entry of scores.json, with the rollbacks of the run if there were any.

    Args:
        trainer: Trainer of the run.
        value: Value of the score.
        std: Standard deviation of the score; None if the score has none.
        protocol: Protocol of the computation, as plain data.
        floor: Score of real images; None if it was not computed.
        baselines: Scores of changed real images by name; None without.
    """
    past = [e for c in trainer.callbacks if isinstance(c, Rollbacks) for e in c.entries()]
    return {
        "value": value,
        **({} if std is None else {"std": std}),
        **({} if floor is None else {"floor": floor}),
        **({} if baselines is None else {"baselines": dict(baselines)}),
        "protocol": dict(protocol),
        **({"rollbacks": past} if past else {}),
    }


def entries(
    trainer: L.Trainer, scores: Mapping[str, Score], facts: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """Return the entry of each score by name; `facts` belong to each protocol."""
    return {
        name: entry(
            trainer, value, std=std, protocol=protocol | facts, floor=floor, baselines=baselines
        )
        for name, (value, std, protocol, floor, baselines) in scores.items()
    }


def write_scores(run_dir: Path, entries: Mapping[str, Any]) -> None:
    """Write scores.json.

    Raises:
        OSError: If the file cannot be written; the old file stays.
    """
    write_atomically(run_dir / "scores.json", json.dumps(entries, indent=2) + "\n")
