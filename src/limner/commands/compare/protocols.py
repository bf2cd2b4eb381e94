"""Decide which scores may be compared: those that were made in the same way."""

__all__ = ["Difference", "differences", "protocol", "separated"]

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from limner.commands.compare.records import Run
from limner.commands.compare.texts import leaves

FREE = ("seed", "update")
"""What may differ between scores that are compared: which samples, and after how much training."""
ABSENT = "not there"


@dataclass(frozen=True)
class Difference:
    """One key in which the protocols of one score differ.

    Args:
        score: The score's name.
        key: The key of the protocol, such as `reference.split`.
        values: Each value to the runs that have it.
    """

    score: str
    key: str
    values: Mapping[str, Sequence[Run]]


def protocol(entry: Mapping[str, Any], ignore: Sequence[str] = ()) -> dict[str, str]:
    """The leaves of a score's protocol that must agree; `ignore` names keys that need not."""
    return {
        key: value
        for key, value in leaves(entry["protocol"]).items()
        if key.rpartition(".")[2] not in FREE
        and not any(key == name or key.startswith(f"{name}.") for name in ignore)
    }


def differences(runs: Sequence[Run], ignore: Sequence[str] = ()) -> list[Difference]:
    """All that stands against lining up the scores of `runs`."""
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
    """The runs in parts whose scores may be lined up, as few as taking them in order gives."""
    parts: list[list[Run]] = []
    for run in runs:
        for part in parts:
            if not differences([*part, run], ignore):
                part.append(run)
                break
        else:
            parts.append([run])
    return parts
