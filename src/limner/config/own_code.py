"""The difference between installed libraries and the user's code, which keeps its tracebacks."""

__all__ = ["OwnModuleError", "is_from_library", "is_library"]

import sys
import sysconfig
import traceback
from pathlib import Path
from typing import Any

from limner.console import shown
from limner.errors import UserError

_PLACES = tuple(
    str(Path(sysconfig.get_path(name)).resolve()) for name in ("purelib", "platlib", "stdlib")
)


class OwnModuleError(UserError):
    """Error for an exception during the import of the user's module, shown with its traceback.

    Args:
        key: Key that names the module, with its value.
        cause: Exception of the import.
    """

    def __init__(self, key: str, cause: BaseException) -> None:
        frames = traceback.extract_tb(cause.__traceback__)
        own = [i for i, frame in enumerate(frames) if not _is_machinery(frame.filename)]
        frames = frames[own[0] :] if own else frames
        place = f"{shown(Path(frames[-1].filename))}, line {frames[-1].lineno}" if frames else "?"
        if isinstance(cause, SyntaxError) and cause.filename:
            place = f"{shown(Path(cause.filename))}, line {cause.lineno}"
        kind = type(cause).__name__
        text = "".join(
            ["Traceback of the import (most recent call last):\n", *traceback.format_list(frames)]
            if own
            else []
        ) + "".join(traceback.format_exception_only(cause))
        super().__init__(f"{key}: importing it raises {kind} ({place}):\n{text.rstrip()}")


def is_library(target: Any) -> bool:
    """Return whether a class or function belongs to an installed library other than limner."""
    name = getattr(target, "__module__", None) or ""
    if name.partition(".")[0] == "limner":
        return False
    file = getattr(sys.modules.get(name), "__file__", None)
    return file is None or _is_installed(file)


def is_from_library(error: BaseException, target: Any) -> bool:
    """Return whether a library's constructor refused its arguments.

    This is true if the target belongs to a library and no code of the user is in the traceback.
    """
    if not is_library(target):
        return False
    frames = traceback.extract_tb(error.__traceback__)
    return all(_is_installed(frame.filename) for frame in frames if "limner" not in frame.filename)


def _is_installed(file: str) -> bool:
    return file.startswith("<") or str(Path(file).resolve()).startswith(_PLACES)


def _is_machinery(file: str) -> bool:
    """Return whether a file belongs to the import itself: to Python, Hydra or limner."""
    parts = Path(file).parts
    return file.startswith("<frozen") or any(
        name in parts for name in ("importlib", "hydra", "limner")
    )
