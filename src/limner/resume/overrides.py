"""The words of a command line as Hydra reads them: flags, their values, and overrides."""

__all__ = [
    "CONFIG_DIRS", "FLAGS", "VALUED", "common_keys", "config_dirs", "flags_first",
    "is_completion", "is_sweep", "key_of", "last_per_key", "last_value", "only_shows", "quoted",
    "split_flags", "unquoted", "without_key",
]  # fmt: skip

import contextlib
import itertools
from collections.abc import Iterator, Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Quote, QuotedString
from hydra.errors import HydraException, OverrideParseException

CONFIG_DIRS = ("--config-dir", "-cd")
VALUED = (
    *CONFIG_DIRS, "--config-path", "-cp", "--config-name", "-cn", "--package", "-p", "--cfg", "-c",
    "--experimental-rerun",
)  # fmt: skip
"""Flags that take a value."""
INFO = ("--info", "-i")
"""Flags that may take a value; this value is not an override."""
SHOWING = (
    "--help", "-h", "--hydra-help", "--cfg", "-c", "--info", "-i", "--shell-completion", "-sc",
    "--version",
)  # fmt: skip
"""Flags that show something instead of running it."""
FLAGS = (*VALUED, *INFO, *SHOWING, "--resolve", "--run", "-r", "--multirun", "-m")
"""Every flag that Hydra knows."""


def split_flags(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the flags, each followed by its value if it has one, and the overrides."""
    flags: list[str] = []
    overrides: list[str] = []
    for word in _apart(words):
        takes_value = flags and (flags[-1] in VALUED or (flags[-1] in INFO and "=" not in word))
        (flags if word.startswith("-") or takes_value else overrides).append(word)
    return flags, overrides


def flags_first(words: Sequence[str]) -> list[str]:
    """Return the words with the flags in front, since Hydra reads no override after a flag."""
    if is_completion(words):
        return list(words)
    flags, overrides = split_flags(words)
    return flags + overrides


def is_completion(words: Sequence[str]) -> bool:
    """Return whether a shell requests completions or the code for them, in Hydra's own words."""
    return "-sc" in words or "--shell-completion" in words


def config_dirs(words: Sequence[str]) -> list[str]:
    """Return the words that add the user's config folders: flags, each with its value."""
    flags, _ = split_flags(words)
    pairs = [pair for pair in itertools.pairwise(flags) if pair[0] in CONFIG_DIRS]
    return [word for pair in pairs for word in pair]


def only_shows(words: Sequence[str]) -> bool:
    """Return whether the command only shows something."""
    return any(word in SHOWING for word in _apart(words))


def is_sweep(words: Sequence[str]) -> bool:
    """Return whether the command starts several runs."""
    return (
        not {"-m", "--multirun"}.isdisjoint(words) or last_value(words, "hydra.mode") == "MULTIRUN"
    )


def key_of(word: str) -> str:
    """Return the key that an override sets, adds or removes."""
    return word.partition("=")[0].lstrip("+~")


def common_keys(words: Sequence[str]) -> list[str]:
    """Return the keys of the overrides that all jobs of a sweep share.

    Return an empty list if no override has several values: then the sweep has one job, or a file
    sets the values that differ.
    """
    try:
        overrides = OverridesParser.create().parse_overrides(split_flags(words)[1])
    except OverrideParseException:  # Hydra will raise the error
        return []
    if not any(override.is_sweep_override() for override in overrides):
        return []
    return [found.key_or_group for found in overrides if not found.is_sweep_override()]


def last_value(words: Sequence[str], key: str) -> str | None:
    """Return the value that the last word for a key sets, without quotes; None if no word does."""
    given = [word.partition("=")[2].strip() for word in words if key_of(word) == key]
    return unquoted(given[-1]) if given else None


def quoted(value: object) -> str:
    """Quote a value so that Hydra reads it literally."""
    return QuotedString(str(value), Quote.single).with_quotes()


def unquoted(value: str) -> str:
    """Return the text that Hydra reads from a value in quotes; return other values unchanged."""
    if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
        with contextlib.suppress(HydraException):  # parse_override raises several kinds
            text = OverridesParser.create().parse_override(f"x={value}").value()
            return text if isinstance(text, str) else value
    return value


def without_key(words: Sequence[str], key: str) -> list[str]:
    """Return the words that do not set a key."""
    return [word for word in words if key_of(word) != key]


def last_per_key(overrides: Sequence[str]) -> list[str]:
    """Keep the last override of each key, since Hydra refuses two overrides of one group."""
    return list({key_of(word): word for word in overrides}.values())


def _apart(words: Sequence[str]) -> Iterator[str]:
    """Split `--flag=value` into two words."""
    for word in words:
        yield from word.split("=", 1) if word.startswith("--") else [word]
