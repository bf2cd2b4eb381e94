"""Results of the functions of `limner.commands.python`."""

__all__ = ["Parts", "TrainedRun", "packages_in", "scores_of"]

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from limner.files.plain import read_yaml
from limner.runs.scores import read_scores
from limner.runs.status import Status, read_status

if TYPE_CHECKING:
    import lightning as L

    from limner.data import ImageDataModule
    from limner.metrics.evaluator import Score
    from limner.pretrained.trained_model import TrainedModel

KNOWN = ("limner", "torch", "torchvision", "lightning", "torchmetrics")
"""Packages whose classes need no trust."""


@dataclass(frozen=True)
class TrainedRun:
    """A run after its training.

    Args:
        folder: The run folder, absolute.
        objective: The objective's value at the end; None if the metrics set no objective, or if
            the run had finished before.
    """

    folder: Path
    objective: float | None = field(default=None, repr=False)

    @property
    def scores(self) -> "dict[str, Score]":
        """The last scores by name, with `value`, `std`, `floor`, `baselines` and `protocol`."""
        return scores_of(read_scores(self.folder / "scores.json"))

    @property
    def status(self) -> Status:
        """The state of the run ("finished", "stopped" or "failed"), its last update and times."""
        return read_status(self.folder) or Status()

    @property
    def config(self) -> dict[str, Any]:
        """The config of the run as plain data, with every `${...}` replaced.

        There is no key `network`. The networks that the model uses are below `model`: for example,
        `network.generator.hidden_dims` is `config["model"]["generator"]["hidden_dims"]`.
        """
        return read_yaml(self.folder / "config.yaml")

    @cached_property
    def model(self) -> "TrainedModel":
        """The trained model, read from the best checkpoint if there is one, else from the last.

        Classes of your own in the run's config are trusted: this process has run them already.

        Raises:
            UserError: If the run has no checkpoint.
        """
        from limner.pretrained.load import load

        return load(self.folder, trust=sorted(packages_in(self.config.get("model"))))


class Parts(NamedTuple):
    """A model and its data, for a Trainer of your own: `trainer.fit(model, data)`."""

    model: "L.LightningModule"
    data: "ImageDataModule"


def scores_of(entries: Mapping[str, Mapping[str, Any]]) -> "dict[str, Score]":
    """Return the entries of a scores.json as scores by name."""
    from limner.metrics.evaluator import Score

    return {
        name: Score(
            entry["value"],
            entry.get("std"),
            dict(entry["protocol"]),
            entry.get("floor"),
            entry.get("baselines"),
        )
        for name, entry in entries.items()
    }


def packages_in(node: Any) -> set[str]:
    """Return the packages of a config's classes that are neither limner's nor torch's."""
    if isinstance(node, Mapping):
        own = {str(node["_target_"]).partition(".")[0]} if "_target_" in node else set()
        return (own - set(KNOWN)).union(*map(packages_in, node.values()))
    if isinstance(node, list):
        return set().union(*map(packages_in, node))
    return set()
