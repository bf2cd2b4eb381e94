"""The storage of a study: a journal file or a database, and the record of what defines it."""

__all__ = ["database", "journal", "keep"]

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend

from limner.errors import UserError

HEARTBEAT, GRACE = 20, 60
"""Seconds between heartbeats of a trial; seconds without a heartbeat until a trial is lost."""
DEFINED = "limner"


def journal(folder: Path) -> JournalStorage:
    """Open the journal file in the study's folder.

    Raises:
        UserError: If the file is damaged, since Optuna cannot read a part of it.
    """
    path = folder / "journal.log"
    try:
        return JournalStorage(JournalFileBackend(str(path)))
    except (ValueError, KeyError, TypeError, AssertionError) as error:
        raise UserError(
            f"{path} is damaged: Optuna cannot read it ({str(error) or type(error).__name__}). "
            "The trials' own folders are not damaged. Choose another study, or repair the file."
        ) from error


def database(url: str, lost: Callable[..., None]) -> RDBStorage:
    """Open a database.

    Args:
        url: URL as SQLAlchemy takes it.
        lost: Function that is called with the study and a trial whose heartbeat has stopped.

    Raises:
        UserError: If the database cannot be opened.
    """
    try:
        return RDBStorage(
            url,
            heartbeat_interval=HEARTBEAT,
            grace_period=GRACE,
            heartbeat_stale_trial_callback=lost,
        )
    except Exception as error:  # SQLAlchemy, a driver or the database may raise anything
        first = str(error).splitlines()[0]
        raise UserError(f"storage={url}: the database cannot be opened: {first}") from error


def keep(study: optuna.Study, defined: Mapping[str, Any]) -> None:
    """Record what defines a new study: its space, shared overrides and objective.

    Raises:
        UserError: If the study exists with another definition, since trials would not compare.
    """
    before = study.user_attrs.get(DEFINED)
    if before is None:
        study.set_user_attr(DEFINED, dict(defined))
    elif before != (now := json.loads(json.dumps(defined))):
        raise UserError(_changed(study.study_name, before, now))


def _changed(name: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    lines = [f"study={name} was started with another space:"]
    for key in dict.fromkeys([*before["space"], *now["space"]]):
        old, new = (found["space"].get(key, "absent") for found in (before, now))
        if old != new:
            lines.append(f"  {key}: {old} -> {new}")
    for key in ("train", "objective"):
        if before[key] != now[key]:
            lines.append(f"  {key}: {before[key]} -> {now[key]}")
    return "\n".join(
        [*lines, "Its trials cannot be compared with new trials: choose another study."]
    )
