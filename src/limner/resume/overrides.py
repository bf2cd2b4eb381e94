"""The words of a command line as Hydra takes them: flags, their values, and overrides."""

__all__ = [
    "CONFIG_DIRS", "config_dirs", "is_sweep", "key_of", "last_per_key", "last_value",
    "only_shows", "quoted", "split_flags", "without_key",
]  # fmt: skip

import itertools
from collections.abc import Iterator, Sequence

CONFIG_DIRS = ("--config-dir", "-cd")
VALUED = (*CONFIG_DIRS, "--config-path", "-cp", "--config-name", "-cn", "--package", "-p")
"""Flags that take a value."""
SHOWING = (
    "--help", "-h", "--hydra-help", "--cfg", "-c", "--info", "-i", "--shell-completion", "-sc",
    "--version",
)  # fmt: skip
"""Flags by which nothing is run."""


def split_flags(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """The flags, each followed by its value if it has one, and the overrides."""
    flags: list[str] = []
    overrides: list[str] = []
    for word in _apart(words):
        takes_value = flags and flags[-1] in VALUED
        (flags if word.startswith("-") or takes_value else overrides).append(word)
    return flags, overrides


def config_dirs(words: Sequence[str]) -> list[str]:
    """The words that name config files of the user's own: a flag and its value each."""
    flags, _ = split_flags(words)
    pairs = [pair for pair in itertools.pairwise(flags) if pair[0] in CONFIG_DIRS]
    return [word for pair in pairs for word in pair]


def only_shows(words: Sequence[str]) -> bool:
    """Whether the command shows something, and runs nothing."""
    return any(word in SHOWING for word in _apart(words))


def is_sweep(words: Sequence[str]) -> bool:
    """Whether the command starts several runs."""
    return (
        not {"-m", "--multirun"}.isdisjoint(words) or last_value(words, "hydra.mode") == "MULTIRUN"
    )


def key_of(word: str) -> str:
    """The key that an override sets, adds or removes."""
    return word.partition("=")[0].lstrip("+~")


def last_value(words: Sequence[str], key: str) -> str | None:
    """What the words set a key to in the end, without quotes; None if they do not."""
    given = [word.partition("=")[2].strip() for word in words if key_of(word) == key]
    if not given:
        return None
    value = given[-1]
    if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
        return value[1:-1].replace(f"\\{value[0]}", value[0])
    return value


def quoted(value: object) -> str:
    """A text so that Hydra takes it as it is."""
    return "'" + str(value).replace("'", "\\'") + "'"


def without_key(words: Sequence[str], key: str) -> list[str]:
    """The words but for those that set a key."""
    return [word for word in words if key_of(word) != key]


def last_per_key(overrides: Sequence[str]) -> list[str]:
    """Without those of a key that is overridden again later: Hydra refuses two of a group."""
    return list({key_of(word): word for word in overrides}.values())


def _apart(words: Sequence[str]) -> Iterator[str]:
    """`--flag=value` as two words."""
    for word in words:
        yield from word.split("=", 1) if word.startswith("--") else [word]
