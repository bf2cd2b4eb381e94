"""The difference between installed libraries and the user's code, which keeps its tracebacks."""

__all__ = ["OwnCallError", "OwnModuleError", "is_from_library"]

import traceback
from pathlib import Path
from typing import Any

from limner.console import shown
from limner.errors import UserError
from limner.files.own_code import is_installed, origin

_PACKAGE = Path(__file__).resolve().parents[1]


class OwnModuleError(UserError):
    """Error for an exception during the import of the user's module, shown with its traceback.

    Args:
        key: Key that names the module, with its value.
        cause: Exception of the import.
    """

    def __init__(self, key: str, cause: BaseException) -> None:
        super().__init__(_shown(f"{key}: importing it", cause, of="the import"))


class OwnCallError(UserError):
    """Error for an exception in a call of the user's code, shown with its traceback.

    Args:
        called: Key that names the part, the called method and its inputs.
        cause: Exception of the call.
    """

    def __init__(self, called: str, cause: BaseException) -> None:
        super().__init__(_shown(called, cause, of="the call"))


def _shown(what: str, cause: BaseException, *, of: str) -> str:
    """Return a message with the user's part of the traceback of an exception.

    Args:
        what: What raised the exception, the start of the message.
        cause: The exception.
        of: Name of the import or call that raised the exception.
    """
    frames = traceback.extract_tb(cause.__traceback__)
    own = [i for i, frame in enumerate(frames) if not _is_machinery(frame.filename)]
    frames = frames[own[0] :] if own else frames
    # the line of the user's code, which may have called a library
    last = next((each for each in frames[::-1] if not _is_installed(each.filename)), None)
    last = last or (frames[-1] if frames else None)
    place = f"{shown(Path(last.filename))}, line {last.lineno}" if last else "?"
    if isinstance(cause, SyntaxError) and cause.filename:
        place = f"{shown(Path(cause.filename))}, line {cause.lineno}"
    lines = [f"Traceback of {of} (most recent call last):\n", *traceback.format_list(frames)]
    text = "".join(lines if own else []) + "".join(traceback.format_exception_only(cause))
    return f"{what} raises {type(cause).__name__} ({place}):\n{text.rstrip()}"


def is_from_library(error: BaseException, target: Any) -> bool:
    """Return whether a library's constructor refused its arguments.

    This is true if the target belongs to a library and no code of the user is in the traceback.
    """
    if origin(target) != "library":
        return False
    frames = traceback.extract_tb(error.__traceback__)
    return all(_is_installed(frame.filename) for frame in frames if "limner" not in frame.filename)


def _is_installed(file: str) -> bool:
    """Return whether a file of a traceback belongs to Python or to an installed package."""
    return file.startswith("<") or is_installed(file)


def _is_machinery(file: str) -> bool:
    """Return whether a file only carries out the import or the call of the user's code.

    These files belong to Python's import system, Hydra, torch and limner.
    """
    parts = Path(file).parts
    is_ours = Path(file).resolve().is_relative_to(_PACKAGE)
    is_module = parts[-4:] == ("torch", "nn", "modules", "module.py")
    machines = "importlib" in parts or "hydra" in parts
    return file.startswith("<frozen") or is_ours or is_module or machines
