"""The jobs that a sweep's command defines, whether they have started or not."""

__all__ = ["missing", "planned", "write_plan"]

import json
from collections.abc import Sequence
from pathlib import Path

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from limner.commands.sweep.records import Job
from limner.files.atomic import write_atomically
from limner.files.plain import NotPlainError, read_json
from limner.resume.overrides import key_of, split_flags
from limner.runs.names import RECORDS

PLAN = "planned"


def planned(words: Sequence[str]) -> list[list[str]]:
    """Return the overrides of each job, in order; an empty list if only Hydra can compute them.

    Args:
        words: Words of the command.
    """
    own = [word for word in split_flags(words)[1] if not _is_of_the_sweep(key_of(word))]
    try:
        overrides = OverridesParser.create().parse_overrides(own)
        return [list(job) for job in BasicSweeper.split_arguments(overrides, None)[0]]
    except (HydraException, AssertionError):  # such as for glob(*), which needs the config files
        return []


def write_plan(sweep: Path, plan: Sequence[Sequence[str]]) -> None:
    """Record the jobs of a command, unless the same jobs are recorded already."""
    if _read(sweep) != plan:
        (sweep / RECORDS).mkdir(parents=True, exist_ok=True)
        write_atomically(sweep / RECORDS / PLAN, json.dumps(plan) + "\n")


def missing(sweep: Path, begun: Sequence[Job]) -> list[Job]:
    """Return the jobs of the last command that have not started."""
    known = {frozenset(job.overrides) for job in begun}
    return [
        Job(sweep / " ".join(words), words, "not begun", None, None)
        for words in _read(sweep)
        if frozenset(words) not in known
    ]


def _is_of_the_sweep(key: str) -> bool:
    return key == "sweep" or key.startswith(("hydra.", "hydra/"))


def _read(sweep: Path) -> list[list[str]]:
    try:
        plan = read_json(sweep / RECORDS / PLAN)
    except NotPlainError:
        return []
    is_plan = isinstance(plan, list) and all(
        isinstance(words, list) and all(isinstance(word, str) for word in words) for words in plan
    )
    return plan if is_plan else []
