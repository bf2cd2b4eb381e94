"""Parse the `key=value` words of a command into a dataclass, with every value checked."""

__all__ = ["MISSING", "at_home", "form", "meaning", "option", "parse"]

import dataclasses
import types
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from omegaconf import MISSING, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from limner.config.build import similar
from limner.config.ranges import check_finite
from limner.errors import UserError
from limner.files.printable import printable

T = TypeVar("T")


def option(default: Any, meaning: str, *, form: str | None = None) -> Any:
    """Return a dataclass field with a default and a meaning, which `--help` shows.

    Args:
        default: Default value; `MISSING` for a value that must be given, a tuple for a list.
        meaning: Description in a few words without a full stop.
        form: Form of a value, such as FILE, if the default does not show it.
    """
    metadata = {"meaning": meaning, "form": form, "default": default}
    if isinstance(default, tuple):
        return dataclasses.field(default_factory=lambda: list(default), metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def form(field: dataclasses.Field) -> str:
    """Return `key=VALUE` as `--help` shows it: the form of the value, or else its default."""
    return f"{field.name}={field.metadata['form'] or _written(field.metadata['default'])}"


def meaning(field: dataclasses.Field) -> str:
    """Return the meaning of a key, and its default if `form` does not show it."""
    text, default = field.metadata["meaning"], field.metadata["default"]
    if default == MISSING:
        return f"{text} (must be given)"
    if field.metadata["form"] is None or default is None:
        return text
    return f"{text} (default: {_written(default)})"


def parse(words: Sequence[str], options: type[T]) -> T:
    """Fill a dataclass from words such as `num_images=64`; lists are written `[1,2]`.

    Fields with the default `MISSING` must be given. A text field takes its value as typed, except
    for null, quotes around the whole value, and `~` at the start, which means the home folder.

    Raises:
        UserError: If a word is not of the form key=value, a key is unknown or missing, or a value
            does not fit.
    """
    fields = {field.name: field for field in dataclasses.fields(options)}
    hints, merged = typing.get_type_hints(options), OmegaConf.structured(options)
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            raise UserError(f"{printable(word)}: not of the form key=value{_meant(word, fields)}")
        if key not in fields:
            raise UserError(f"{printable(key)}: there is no such key{similar(key, list(fields))}")
        try:
            merged[key] = _value(value, hints[key])
        except OmegaConfBaseException as error:
            reason = (
                _as_list(word, hints[key]) or f"{error.full_key}: {str(error).splitlines()[0]}"
            )
            raise UserError(reason) from error
        except yaml.YAMLError as error:  # an open bracket, a control character
            reason = " ".join(str(error).split())
            raise UserError(f"{printable(word)}: cannot be read: {reason}") from error
    for name in fields:
        if OmegaConf.is_missing(merged, name):
            raise UserError(f"{name} must be given: {name}=...")
    found = OmegaConf.to_object(merged)
    for name in fields:
        check_finite(name, getattr(found, name))
    return found


def at_home(text: str) -> str:
    """Return a path with `~` or `~user` at its start replaced by the home folder."""
    start, slash, rest = text.partition("/")
    if not start.startswith("~"):
        return text
    try:
        return f"{Path(start).expanduser()}{slash}{rest}"
    except RuntimeError:  # there is no such user
        return text


def _value(written: str, hint: Any) -> Any:
    """Return the value that a word sets: text as typed, or else the value that YAML reads."""
    if not _is_text(hint):
        return OmegaConf.from_dotlist([f"x={written}"]).x
    if len(written) > 1 and written[0] == written[-1] and written[0] in "'\"":
        written = written[1:-1]
    elif written in ("null", "???"):
        return None if written == "null" else written
    text = at_home(written)
    return text.replace("${", "\\${")  # plain text, not a reference


def _is_text(hint: Any) -> bool:
    members = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    return set(members) <= {str, type(None)}


def _as_list(word: str, hint: Any) -> str:
    """Return advice for a word such as `measures=fid,kid` of a key that takes a list."""
    key, _, value = word.partition("=")
    members = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    if value.startswith("[") or not any(typing.get_origin(m) is list for m in members):
        return ""
    return printable(f"{word}: a list is written in brackets: '{key}=[{value}]'")


def _meant(word: str, fields: dict[str, dataclasses.Field]) -> str:
    """Return the word that was probably meant, such as `run=FOLDER` for a folder."""
    if "run" in fields and Path(word).expanduser().exists():
        return f"; did you mean run={printable(word)}?"
    for separator in ":", " ":
        key, found, value = word.partition(separator)
        if found and key in fields:
            return f"; did you mean {key}={printable(value.strip())}?"
    return f": {word}=..." if word in fields else "."


def _written(default: Any) -> str:
    """Return a default as a user types it."""
    if default is None:
        return "null"
    if isinstance(default, bool):
        return str(default).lower()
    return f"[{','.join(default)}]" if isinstance(default, tuple) else str(default)
