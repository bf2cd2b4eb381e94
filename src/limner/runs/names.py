"""Unique names of run folders: all parts of a name except the time."""

__all__ = ["RECORDS", "file_name", "job_folder", "suffix"]

import hashlib
import re
import secrets
from collections.abc import Iterator, Sequence
from pathlib import Path

from limner.files.plain import NotPlainError, read_json

RECORDS = ".jobs"
"""Folder of a sweep in which NAME.json holds the overrides of the job in the folder NAME."""

LONGEST = 150
"""Largest number of characters in a folder's name; file systems allow 255 bytes."""


def suffix() -> str:
    """Return four random characters, which distinguish runs started in the same second."""
    return secrets.token_hex(2)


def file_name(overrides: str) -> str:
    """Return a folder name for the overrides of a job of a sweep.

    If the name omits anything but the slash of a group, a hash makes the name unique.

    Args:
        overrides: Overrides of the job, separated by commas.
    """
    name = re.sub(r"[^\w.,=+-]+", "-", overrides)
    if len(name) > LONGEST or name != re.sub("/(?=[^,]*=)", "-", overrides):
        name = f"{name[:LONGEST]}_{hashlib.sha256(overrides.encode()).hexdigest()[:6]}"
    return name or "defaults"


def job_folder(sweep: str, differing: str, words: Sequence[str], common: Sequence[str]) -> str:
    """Return the name of a job's folder in the folder of its sweep.

    A job that was started before keeps its folder. The name of a new job consists of the overrides
    that differ between the jobs of the command. If the sweep already has jobs of another command
    with different common overrides, the name consists of all overrides.

    Args:
        sweep: Folder of the sweep.
        differing: Overrides that differ between the jobs, separated by commas.
        words: All overrides of the job.
        common: Keys whose overrides all jobs of the command share.
    """
    shared = {word for word in words if _key(word) in common}
    varied = {_key(word) for word in words} - set(common)
    alone = True
    for name, others in _recorded(Path(sweep)):
        if others == set(words):
            return name
        alone = alone and {word for word in others if _key(word) not in varied} == shared
    return file_name(differing if alone else ",".join(sorted(words)))


def _recorded(sweep: Path) -> Iterator[tuple[str, set[str]]]:
    """Yield the folder's name and the overrides of each recorded job; skip damaged records."""
    for path in sorted((sweep / RECORDS).glob("*.json")):
        try:
            words = read_json(path)["overrides"]
        except (NotPlainError, KeyError, TypeError):
            continue
        if words and isinstance(words, list) and all(isinstance(word, str) for word in words):
            yield path.stem, set(words)


def _key(word: str) -> str:
    return word.partition("=")[0].lstrip("+~").partition("@")[0]
