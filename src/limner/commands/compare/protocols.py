"""Decide which scores may be compared: scores with the same protocol."""

__all__ = ["Difference", "differences", "protocol", "separated"]

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from limner.commands.compare.records import Run
from limner.commands.compare.texts import leaves

FREE = ("seed", "update")
"""Protocol keys that may differ between compared scores: the samples, and the training length."""
BASELINES = "baselines"
"""Protocol key of the strengths of the baselines, which do not change the score of a model."""
ABSENT = "not there"


@dataclass(frozen=True)
class Difference:
    """One key in which the protocols of one score differ.

    Args:
        score: Name of the score.
        key: Key of the protocol, such as `reference.split`.
        values: Mapping of each value to the runs that have it.
    """

    score: str
    key: str
    values: Mapping[str, Sequence[Run]]


def protocol(entry: Mapping[str, Any], ignore: Sequence[str] = ()) -> dict[str, str]:
    """Return the leaves of a score's protocol that must agree; `ignore` names free keys."""
    return {
        key: value
        for key, value in leaves(entry["protocol"]).items()
        if key.rpartition(".")[2] not in FREE
        and key.partition(".")[0] != BASELINES
        and not any(key == name or key.startswith(f"{name}.") for name in ignore)
    }


def differences(runs: Sequence[Run], ignore: Sequence[str] = ()) -> list[Difference]:
    """Return the differences of protocols that make the scores of `runs` incomparable."""
    found = []
    for score in dict.fromkeys(score for run in runs for score in run.scores):
        made = {
            index: protocol(run.scores[score], ignore)
            for index, run in enumerate(runs)
            if score in run.scores
        }
        for key in dict.fromkeys(key for how in made.values() for key in how):
            values: dict[str, list[Run]] = {}
            for index, how in made.items():
                values.setdefault(how.get(key, ABSENT), []).append(runs[index])
            if len(values) > 1:
                found.append(Difference(score, key, values))
    return found


def separated(runs: Sequence[Run], ignore: Sequence[str] = ()) -> list[list[Run]]:
    """Split runs into parts with comparable scores; each run joins the first part that fits."""
    parts: list[list[Run]] = []
    for run in runs:
        for part in parts:
            if not differences([*part, run], ignore):
                part.append(run)
                break
        else:
            parts.append([run])
    return parts
