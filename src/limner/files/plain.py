"""Small text files that a stranger may have written, read as plain data and within limits.

Only regular files are opened, so that a pipe cannot hang a command. No content can take more
memory or time than its size accounts for, and nothing that a file says is executed.
"""

__all__ = [
    "MAX_BYTES",
    "NotPlainError",
    "check_regular",
    "open_regular",
    "read_bytes",
    "read_json",
    "read_text",
    "read_yaml",
    "refuse_bulk",
]

import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import yaml

from limner.files.yaml_errors import yaml_mistake

MAX_BYTES = 1_000_000
MAX_YAML_BYTES = 200_000
"""A config has a few thousand; reading so much of the slowest YAML takes some seconds."""
MAX_DIGITS = 400
"""Characters of a number in YAML: `1:1:1...` takes time by the square of its length."""
LONGEST_REASON = 200
MAX_VALUES = 5_000
"""Values of one file; a config has some hundreds."""
MAX_DEPTH = 40
NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")


class NotPlainError(ValueError):
    """A file that cannot be read as plain data. The text is the reason, in one line."""


def open_regular(path: Path, *, max_bytes: int | None) -> BinaryIO:
    """Open a regular file for reading; a link to one counts as one.

    A pipe, a socket or a device is refused before anything is read from it, so that it can neither
    block nor yield data without end.

    Args:
        path: The file.
        max_bytes: The largest size that is accepted; None for any.

    Raises:
        NotPlainError: If the file is missing, no regular file, or too large.
    """
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    except OSError as error:
        raise NotPlainError(f"cannot be read ({error.strerror or error})") from error
    except ValueError as error:  # a NUL in the path
        raise NotPlainError(f"cannot be read ({error})") from error
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise NotPlainError("is no regular file")
        if max_bytes is not None and status.st_size > max_bytes:
            raise NotPlainError(_too_large(max_bytes))
        return open(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def check_regular(path: Path, *, max_bytes: int | None) -> None:
    """Refuse a path that another library is about to open, as `open_regular` does."""
    open_regular(path, max_bytes=max_bytes).close()


def read_bytes(path: Path, *, max_bytes: int = MAX_BYTES) -> bytes:
    """Return the content of a file.

    Args:
        path: The file.
        max_bytes: The largest size that is read.

    Raises:
        NotPlainError: If the file is missing, no regular file, or too large.
    """
    with open_regular(path, max_bytes=max_bytes) as file:
        try:
            content = file.read(max_bytes + 1)
        except OSError as error:
            raise NotPlainError(f"cannot be read ({error.strerror or error})") from error
    if len(content) > max_bytes:  # it has grown since it was opened, or its size was no truth
        raise NotPlainError(_too_large(max_bytes))
    return content


def read_text(path: Path, *, max_bytes: int = MAX_BYTES) -> str:
    """Return the UTF-8 text of a file.

    Raises:
        NotPlainError: As `read_bytes`; also if the content is not UTF-8.
    """
    content = read_bytes(path, max_bytes=max_bytes)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise NotPlainError("is not UTF-8 text") from error


def read_json(path: Path, *, max_bytes: int = MAX_BYTES) -> Any:
    """Return the value of a JSON file.

    Raises:
        NotPlainError: As `read_text`; also if the text is not JSON, or nested too deeply.
    """
    text = read_text(path, max_bytes=max_bytes)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise NotPlainError(f"is not plain JSON: {_reason(error)}") from error


def read_yaml(path: Path, *, max_bytes: int = MAX_YAML_BYTES) -> Any:
    """Return the value of a YAML file: plain values only, without tags, anchors and aliases.

    Raises:
        NotPlainError: As `read_text`; also if the text is not such YAML, or nested too deeply.
    """
    text = read_text(path, max_bytes=max_bytes)
    try:
        return yaml.load(text, Loader=_PlainLoader)
    except Exception as error:  # PyYAML raises of all kinds, such as a KeyError for `!!bool x`
        line, problem = yaml_mistake(error, text)
        where = "" if line is None else f"line {line}: "
        raise NotPlainError(f"is not plain YAML: {where}{_reason(ValueError(problem))}") from error


def refuse_bulk(content: Any, name: str) -> None:
    """Refuse what would make a table slow or endless, however small the file.

    Args:
        content: Mappings, lists and values.
        name: The file, for the message.

    Raises:
        NotPlainError: If there are more than 5,000 values, or they are nested 40 deep.
    """
    level, count = [content], 0
    for _ in range(MAX_DEPTH):
        level = [
            part
            for value in level
            if isinstance(value, Mapping | list)
            for part in (value.values() if isinstance(value, Mapping) else value)
        ]
        count += len(level)
        if count > MAX_VALUES:
            raise NotPlainError(f"{name} has more than {MAX_VALUES:,} values")
        if not level:
            return
    raise NotPlainError(f"{name} is nested more than {MAX_DEPTH} deep")


class _PlainLoader(yaml.SafeLoader):
    """Refuses aliases, by which a few lines can stand for gigabytes, and endless numbers."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("anchors and aliases are not read")
        return super().compose_node(parent, index)

    def compose_scalar_node(self, anchor: Any) -> Any:
        node = super().compose_scalar_node(anchor)
        if node.tag in NUMBERS and len(node.value) > MAX_DIGITS:
            raise yaml.YAMLError(f"a number of {len(node.value):,} characters")
        return node


def _reason(error: Exception) -> str:
    reason = " ".join(str(error).split()) or type(error).__name__
    return reason if len(reason) <= LONGEST_REASON else f"{reason[:LONGEST_REASON]}..."


def _too_large(max_bytes: int) -> str:
    return f"is too large ({max_bytes:,} bytes at most)"
