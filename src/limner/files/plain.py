"""Reading of small untrusted text files as plain data, within limits.

Only regular files are opened, so that a pipe cannot block a command. The limits keep memory and
time in proportion to the size of a file. No content of a file is executed.
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
"""Largest size of a YAML file.

A config has a few thousand bytes. The slowest YAML file of the largest size takes some seconds.
"""
MAX_DIGITS = 400
"""Largest number of characters of a YAML number.

The time for a number such as `1:1:1...` grows with the square of its length.
"""
LONGEST_REASON = 200
MAX_VALUES = 5_000
"""Largest number of values in a file; a config has some hundreds."""
MAX_DEPTH = 40
NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")


class NotPlainError(ValueError):
    """A file that cannot be read as plain data; the text is the reason in one line."""


def open_regular(path: Path, *, max_bytes: int | None) -> BinaryIO:
    """Open a regular file, or a link to a regular file, for reading.

    Pipes, sockets and devices are refused before anything is read, since they could block, or
    yield data without end.

    Args:
        path: Path of the file.
        max_bytes: Largest accepted size in bytes; None for any size.

    Raises:
        NotPlainError: If the file is missing, not regular, or too large.
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
    """Check a file before another library opens it.

    Args:
        path: Path of the file.
        max_bytes: Largest accepted size in bytes; None for any size.

    Raises:
        NotPlainError: If the file is missing, not regular, or too large.
    """
    open_regular(path, max_bytes=max_bytes).close()


def read_bytes(path: Path, *, max_bytes: int = MAX_BYTES) -> bytes:
    """Return the content of a file.

    Args:
        path: Path of the file.
        max_bytes: Largest accepted size in bytes.

    Raises:
        NotPlainError: If the file is missing, not regular, or too large.
    """
    with open_regular(path, max_bytes=max_bytes) as file:
        try:
            content = file.read(max_bytes + 1)
        except OSError as error:
            raise NotPlainError(f"cannot be read ({error.strerror or error})") from error
    if len(content) > max_bytes:  # the file has grown, or its stated size was wrong
        raise NotPlainError(_too_large(max_bytes))
    return content


def read_text(path: Path, *, max_bytes: int = MAX_BYTES) -> str:
    """Return the UTF-8 text of a file.

    Raises:
        NotPlainError: If `read_bytes` cannot read the file, or the content is not UTF-8.
    """
    content = read_bytes(path, max_bytes=max_bytes)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise NotPlainError("is not UTF-8 text") from error


def read_json(path: Path, *, max_bytes: int = MAX_BYTES) -> Any:
    """Return the value of a JSON file.

    Raises:
        NotPlainError: If the file is not a small UTF-8 file, is not JSON, or is nested too deeply.
    """
    text = read_text(path, max_bytes=max_bytes)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise NotPlainError(f"is not plain JSON: {_reason(error)}") from error


def read_yaml(path: Path, *, max_bytes: int = MAX_YAML_BYTES) -> Any:
    """Return the value of a YAML file; tags, anchors and aliases are refused.

    Raises:
        NotPlainError: If the file is not a small UTF-8 file, is not YAML of this kind, or is
            nested too deeply.
    """
    text = read_text(path, max_bytes=max_bytes)
    try:
        return yaml.load(text, Loader=_PlainLoader)
    except Exception as error:  # PyYAML raises many kinds, such as KeyError for `!!bool x`
        line, problem = yaml_mistake(error, text)
        where = "" if line is None else f"line {line}: "
        raise NotPlainError(f"is not plain YAML: {where}{_reason(ValueError(problem))}") from error


def refuse_bulk(content: Any, name: str) -> None:
    """Raise `NotPlainError` for content with too many values, which would make a table slow.

    Args:
        content: Content of a file: mappings, lists and values.
        name: Name of the file, for the message.

    Raises:
        NotPlainError: If there are more than 5,000 values, or the values are nested more than 40
            levels deep.
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
    """YAML loader that refuses aliases, which can expand to gigabytes, and very long numbers."""

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
