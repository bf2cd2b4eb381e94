"""The Hugging Face Hub, where exported models are stored as hf://user/name.

huggingface_hub is imported when it is used: a training needs neither it nor its packages.
"""

__all__ = ["SCHEME", "download", "require_token", "upload"]

import re
from pathlib import Path

from limner.errors import UserError
from limner.files.hub import reason

SCHEME = "hf://"
FILES = ("config.yaml", "*.safetensors", "README.md")


def download(address: str) -> Path:
    """Download a model into the hub's own cache, and return its folder there.

    Args:
        address: hf://user/name or hf://user/name@revision.

    Raises:
        UserError: If there is no such model, or if the hub cannot be reached.
    """
    import huggingface_hub
    from huggingface_hub.errors import (
        GatedRepoError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    name, revision = _parse(address)
    try:
        folder = huggingface_hub.snapshot_download(
            name, revision=revision, allow_patterns=list(FILES)
        )
    except GatedRepoError as error:
        raise UserError(f"{address}: {reason(error)}.") from error
    except RevisionNotFoundError as error:
        raise UserError(
            f"{address}: {name} has no branch, tag or commit {revision or 'main'}."
        ) from error
    except RepositoryNotFoundError as error:
        raise UserError(
            f"{address}: there is no such repository, or it is private and you are not logged in "
            "(hf auth login)."
        ) from error
    except Exception as error:
        raise UserError(f"{address}: {reason(error)}.") from error
    return Path(folder)


def require_token(address: str) -> None:
    """Raise UserError if the address is malformed, or no token is stored."""
    import huggingface_hub

    _parse(address)
    if huggingface_hub.get_token() is None:
        raise UserError(
            f"to={address}: pushing needs a token with write access; run `hf auth login`, or set "
            "HF_TOKEN."
        )


def upload(folder: Path, address: str) -> str:
    """Push a folder to the hub, and return the address of its web page.

    Raises:
        UserError: If there is no token, no network, or no permission.
    """
    import huggingface_hub

    require_token(address)
    name, revision = _parse(address)
    try:
        page = huggingface_hub.create_repo(name, exist_ok=True)
        if revision is not None:
            huggingface_hub.create_branch(name, branch=revision, exist_ok=True)
        huggingface_hub.upload_folder(
            repo_id=name, folder_path=folder, revision=revision, commit_message="Export of limner"
        )
    except Exception as error:
        raise UserError(f"{address}: {reason(error)}.") from error
    return str(page)


def _parse(address: str) -> tuple[str, str | None]:
    """Return the repository and the revision of an address; None is the default revision."""
    name, _, revision = address.removeprefix(SCHEME).partition("@")
    if re.fullmatch(r"[\w-][\w.-]*/[\w-][\w.-]*", name) is None:
        raise UserError(f"{address}: not of the form hf://user/name.")
    return name, revision or None
