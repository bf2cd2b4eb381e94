"""Groups of runs that differ only in the seed, and names that distinguish the groups."""

__all__ = ["MOST", "Group", "grouped"]

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from limner.commands.compare.records import Run
from limner.commands.compare.texts import label

UNCOMPARED = ("seed", "run_dir", "num_updates", "resume", "sweep", "debug", "logger", "trust")
"""Top-level keys that do not distinguish groups: the seed, and keys without effect on results."""
FIRST = ("model", "data")
MOST = 30
"""Largest number of keys in the name of a group."""

Column = tuple[str | None, ...]
"""The value of one key in each group; None if the config of the group has no such key."""


@dataclass(frozen=True)
class Group:
    """Runs of one config, in the order of first appearance of their seeds.

    Args:
        values: Config values that distinguish the group, as a user would type them.
        runs: Runs, one for each seed.
        repeated: Other runs, each with the same seed as a run in `runs`.
    """

    values: Mapping[str, str]
    runs: Sequence[Run]
    repeated: Sequence[Run] = ()

    @property
    def name(self) -> str:
        """The words joined by spaces; the title of the first run if there are no words."""
        return " ".join(self.words) or self.runs[0].title

    @property
    def words(self) -> list[str]:
        """Keys with their values, as a user would type them, shortened to fit a table."""
        words = [f"{label(key)}={label(value)}" for key, value in self.values.items()]
        return words if len(words) <= MOST else [*words[:MOST], f"and {len(words) - MOST} more"]


def grouped(runs: Sequence[Run]) -> list[Group]:
    """Return the groups in the order of their first runs; the last run of each seed counts."""
    differing = _differing(runs)
    members: dict[Column, list[int]] = {}
    for index in range(len(runs)):
        identity = tuple(column[index] for column in differing.values())
        members.setdefault(identity, []).append(index)
    firsts = [indices[0] for indices in members.values()]
    config = {key: tuple(column[i] for i in firsts) for key, column in differing.items()}
    groups = [[runs[i] for i in indices] for indices in members.values()]
    kept = _telling(groups, config) if len(groups) > 1 else _main_choices(groups[0])
    return [
        _group({k: c[i] for k, c in kept.items() if c[i] is not None}, group)
        for i, group in enumerate(groups)
    ]


def _group(values: Mapping[str, str], runs: Sequence[Run]) -> Group:
    last = {run.seed: run for run in runs}
    chosen = list(last.values())
    return Group(values, chosen, [run for run in runs if run not in chosen])


def _differing(runs: Sequence[Run]) -> dict[str, Column]:
    """Return the keys in which the runs differ; a copy of the run's seed does not count."""
    keys = dict.fromkeys(key for run in runs for key in run.config)
    found = {}
    for key in keys:
        if key.partition(".")[0] in UNCOMPARED:
            continue
        column = tuple(run.config.get(key) for run in runs)
        if key.endswith("seed") and len(set(column)) > 1:
            column = tuple(
                "the run's" if value == run.seed else value
                for value, run in zip(column, runs, strict=True)
            )
        if len(set(column)) > 1:
            found[key] = column
    return found


def _telling(groups: Sequence[Sequence[Run]], config: Mapping[str, Column]) -> dict[str, Column]:
    """Return the differing values that a person chose, without the values that follow from them.

    Typed values are always kept. Other values are left out if they follow from a choice (the
    width of a GAN's discriminator from model=gan) or repeat a value (model.optimizer.lr).
    """
    typed = {key for group in groups for run in group for key in run.typed}
    choices = _choices(groups)
    choices |= {key: names for key, names in _targets(config).items() if key not in choices}
    kept: dict[str, Column] = {}
    for key in sorted(choices, key=lambda key: (key not in typed, key not in FIRST)):
        if key in typed or not _follows(choices[key], list(kept.values())):
            kept[key] = choices[key]
    chosen = list(kept.values())
    values = {key: column for key, column in config.items() if not key.endswith("_target_")}
    for key in sorted(values, key=lambda key: (key not in typed, key.count("."))):
        column = values[key]
        if key not in typed and (_follows(column, chosen) or column in kept.values()):
            continue
        kept[key] = column
    return kept


def _choices(groups: Sequence[Sequence[Run]]) -> dict[str, Column]:
    """Return config groups whose option is constant in each group of runs but not over all."""
    found = {}
    for key in dict.fromkeys(key for group in groups for run in group for key in run.choices):
        options = [{run.choices.get(key) for run in group} for group in groups]
        if all(len(option) == 1 for option in options):
            column = tuple(option.pop() for option in options)
            if len(set(column)) > 1 and key.partition("/")[0] not in UNCOMPARED:
                found[key] = column
    return found


def _targets(config: Mapping[str, Column]) -> dict[str, Column]:
    """Return key -> class names for classes that differ, shortened if they stay distinct."""
    found = {}
    for key, column in config.items():
        if key.endswith("._target_"):
            short = tuple(value and value.rpartition(".")[2] for value in column)
            found[key.removesuffix("._target_")] = (
                short if len(set(short)) == len(set(column)) else column
            )
    return found


def _follows(column: Column, kept: Sequence[Column]) -> bool:
    """Return whether groups that agree in all of `kept` agree in `column`."""
    of: dict[Column, str | None] = {}
    return bool(kept) and all(
        of.setdefault(tuple(other[i] for other in kept), value) == value
        for i, value in enumerate(column)
    )


def _main_choices(group: Sequence[Run]) -> dict[str, Column]:
    choices = group[0].choices
    return {key: (choices[key],) for key in FIRST if key in choices}
