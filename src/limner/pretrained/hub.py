"""The Hugging Face Hub: exported models come from it and go to it as hf://user/name."""

__all__ = ["SCHEME", "download", "require_token", "upload"]

import re
from pathlib import Path

import huggingface_hub
from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError

from limner.errors import UserError

SCHEME = "hf://"
FILES = ("config.yaml", "*.safetensors", "README.md")


def download(address: str) -> Path:
    """The folder, in the hub's own cache, of the model at hf://user/name or hf://user/name@revision.

    Raises:
        UserError: If there is no such model, or no way to it.
    """
    name, revision = _parse(address)
    try:
        folder = huggingface_hub.snapshot_download(
            name, revision=revision, allow_patterns=list(FILES)
        )
    except RepositoryNotFoundError as error:
        raise UserError(
            f"{address}: there is no such repository, or it is private and you are not logged in "
            "(hf auth login)."
        ) from error
    except Exception as error:
        raise _unreachable(address, error) from error
    return Path(folder)


def require_token(address: str) -> None:
    """Raises `UserError` if the address is malformed, or nobody is logged in."""
    _parse(address)
    if huggingface_hub.get_token() is None:
        raise UserError(
            f"to={address}: pushing needs a token with write access; run `hf auth login`, or set "
            "HF_TOKEN."
        )


def upload(folder: Path, address: str) -> str:
    """Pushes a folder, and returns the address of the page where it is seen.

    Raises:
        UserError: If there is no token, no network, or no permission.
    """
    require_token(address)
    name, revision = _parse(address)
    try:
        page = huggingface_hub.create_repo(name, exist_ok=True)
        huggingface_hub.upload_folder(
            repo_id=name, folder_path=folder, revision=revision, commit_message="Export of limner"
        )
    except Exception as error:
        raise _unreachable(address, error) from error
    return str(page)


def _parse(address: str) -> tuple[str, str | None]:
    """Repository and revision."""
    name, _, revision = address.removeprefix(SCHEME).partition("@")
    if re.fullmatch(r"[\w-][\w.-]*/[\w-][\w.-]*", name) is None:
        raise UserError(f"{address}: not of the form hf://user/name.")
    return name, revision or None


def _unreachable(address: str, error: Exception) -> UserError:
    """What the many exceptions of the hub, of HTTP and of the sockets below mean to a user."""
    if isinstance(error, HfHubHTTPError) and error.response is not None:
        status = error.response.status_code
        if status in (401, 403):
            return UserError(
                f"{address}: refused ({status}); is the token valid, and may it write?"
            )
        return UserError(f"{address}: the hub answered {status}: {str(error).splitlines()[0]}")
    reason = str(error).strip().splitlines() or [type(error).__name__]
    return UserError(f"{address}: the Hugging Face Hub cannot be reached ({reason[0]}).")
