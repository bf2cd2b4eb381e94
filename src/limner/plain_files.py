"""Small text files that a stranger may have written, read as plain data and within limits.

Only regular files are opened, so that a pipe cannot hang a command. No content can take more
memory or time than its size accounts for, and nothing that a file says is executed.
"""

__all__ = ["MAX_BYTES", "NotPlainError", "read_bytes", "read_json", "read_text", "read_yaml"]

import json
import os
import stat
from pathlib import Path
from typing import Any

import yaml

MAX_BYTES = 1_000_000
MAX_YAML_BYTES = 200_000
"""A config has a few thousand; reading so much of the slowest YAML takes some seconds."""
MAX_DIGITS = 400
"""Characters of a number in YAML: `1:1:1...` takes time by the square of its length."""
LONGEST_REASON = 200
NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")


class NotPlainError(ValueError):
    """A file that cannot be read as plain data. The text is the reason, in one line."""


def read_bytes(path: Path, *, max_bytes: int) -> bytes:
    """Return the content of a regular file.

    Args:
        path: The file.
        max_bytes: The largest size that is read.

    Raises:
        NotPlainError: If the file is missing, no regular file or too large.
    """
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        with open(handle, "rb") as file:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise NotPlainError("is no regular file")
            content = file.read(max_bytes + 1)
    except OSError as error:
        raise NotPlainError(f"cannot be read ({error.strerror or error})") from error
    except NotPlainError:
        raise
    except ValueError as error:  # a NUL in the path
        raise NotPlainError(f"cannot be read ({error})") from error
    if len(content) > max_bytes:
        raise NotPlainError(f"is too large ({max_bytes:,} bytes at most)")
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
        raise NotPlainError(f"is not plain YAML: {_reason(error)}") from error


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
