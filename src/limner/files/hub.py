"""Names of repositories of the Hugging Face Hub, and reasons why the hub cannot be used."""

__all__ = ["is_repository", "looks_local", "reason", "repository_of"]

import re
from pathlib import Path

DATA_SET = re.compile(r"(?:hf://)?(?:datasets/)?([\w-][\w.-]{0,95}/[\w-][\w.-]{0,95})", re.ASCII)


def is_repository(path: str) -> bool:
    """Return whether a path names a data set of the hub: owner/name, and no such file here."""
    return (
        DATA_SET.fullmatch(path) is not None and not looks_local(path) and not Path(path).exists()
    )


def looks_local(path: str) -> bool:
    """Return whether a path can only be one of this machine, by how it is written.

    Such a path is absolute, starts with `./`, `../` or `~`, or ends in `.parquet`.
    """
    return (
        Path(path).is_absolute()
        or path.startswith(("./", "../", "~"))
        or path.lower().endswith(".parquet")
    )


def repository_of(path: str) -> str:
    """Return owner/name of a data set of the hub, for which `is_repository` holds."""
    return DATA_SET.fullmatch(path)[1]


def reason(error: Exception) -> str:
    """Return the reason of an exception of the hub, of HTTP or of a socket, without a full stop.

    Args:
        error: Exception that huggingface_hub raised.
    """
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        OfflineModeIsEnabled,
    )

    offline = isinstance(error, OfflineModeIsEnabled) or isinstance(
        error.__cause__, OfflineModeIsEnabled
    )
    if offline:
        return "HF_HUB_OFFLINE=1 forbids the network"
    if isinstance(error, GatedRepoError):
        return "the hub gives access on request: ask for it on the page of the repository"
    if isinstance(error, HfHubHTTPError) and error.response is not None:
        status = error.response.status_code
        if status in (401, 403):
            return (
                f"the hub refused access ({status}). Check that the token is valid and may do this"
            )
        return f"the hub answered {status}: {_first_line(error)}"
    return f"the Hugging Face Hub cannot be reached ({_first_line(error)})"


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].rstrip(". ")
