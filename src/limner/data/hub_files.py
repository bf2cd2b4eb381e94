"""The files of a data set: a folder or .parquet file, or a repository of the Hugging Face Hub.

A repository is downloaded once, at one commit, into the hub's own cache, and is then read like a
folder. Without a network, or with HF_HUB_OFFLINE=1, the copy in that cache is read.
"""

__all__ = ["DataFiles", "locate"]

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from limner.data.walks import walk
from limner.errors import UserError
from limner.files.hub import is_repository, looks_local, reason, repository_of

log = logging.getLogger(__name__)

CARD = "README.md"
ALWAYS = (CARD, ".huggingface.yaml", "dataset_infos.json")
"""Files of a repository that describe its data."""


class DataFiles(NamedTuple):
    """The files of a data set on this machine."""

    path: Path
    """Folder, or .parquet file."""
    commit: str | None
    """Commit of the repository; None for the user's own files."""
    fingerprint: object
    """Plain JSON data that changes with the files."""
    sizes: object
    """Plain JSON data that a copy of the files shares."""

    @property
    def root(self) -> Path:
        """Folder with the files."""
        return self.path if self.path.is_dir() else self.path.parent


def locate(path: str, revision: str | None, subset: str | None) -> DataFiles:
    """Return the files of a data set, after downloading them if necessary.

    Args:
        path: Folder or .parquet file, or owner/name of a repository; `~` is the home folder.
        revision: Branch, tag or commit of a repository; None for its main branch.
        subset: Subset of the data set of which the files are needed; None for the only subset.

    Raises:
        UserError: If there are no such files, if they cannot be downloaded, or if the data set
            needs code of its own.
    """
    if is_repository(path):
        return _downloaded(repository_of(path), revision, subset)
    here = Path(path).expanduser()
    if looks_local(path) and not here.exists():
        raise UserError(
            f"data.path={path} does not exist.\nIf it was moved, set data.path to its new place."
        )
    if not here.is_dir() and not (here.is_file() and here.suffix.lower() == ".parquet"):
        raise UserError(
            f"data.path={path} must be a folder, a .parquet file,\nor a data set of the hub: "
            "owner/name."
        )
    if revision is not None:
        log.warning("data.revision=%s has no effect: data.path is no repository.", revision)
    if here.is_dir():
        found = sorted(walk(here))
        _refuse_script(path, here.name, [name for name, _, _ in found], local=True)
    else:
        found = [(here.name, here.stat().st_size, here.stat().st_mtime_ns)]
    sizes = [[name, size] for name, size, _ in found]
    return DataFiles(here.absolute(), None, [list(each) for each in found], sizes)


def _downloaded(name: str, revision: str | None, subset: str | None) -> DataFiles:
    import huggingface_hub
    from huggingface_hub.errors import LocalEntryNotFoundError

    about, problem = _about(name, revision)
    try:
        patterns = _patterns(name, revision, subset, local=about is None)
        if about is not None:
            _tell_size(about)
        folder = huggingface_hub.snapshot_download(
            name, repo_type="dataset", revision=revision, allow_patterns=patterns,
            local_files_only=about is None,
        )  # fmt: skip
    except Exception as error:  # of the hub, of HTTP, of sockets and of the disk
        if isinstance(error, LocalEntryNotFoundError) and problem is not None:
            problem = f"{problem},\nand its cache has no copy of this revision"
        else:
            problem = reason(error)
        raise UserError(
            f"data.path={name}: {problem}.\n"
            "A folder with the same files needs no network: data.path=FOLDER"
        ) from error
    if problem is not None:
        log.info("%s: %s. The copy in its cache is read.", name, problem)
    commit = Path(folder).name
    _refuse_script(name, name.split("/")[1], [file.name for file in Path(folder).iterdir()])
    return DataFiles(Path(folder), commit, [name, commit], [name, commit])


def _about(name: str, revision: str | None) -> tuple[Any, str | None]:
    """Return the hub's description of a revision, or None and why the hub cannot be reached."""
    import huggingface_hub
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        about = huggingface_hub.HfApi().dataset_info(name, revision=revision, files_metadata=True)
    except GatedRepoError as error:
        raise _gated(name) from error
    except RepositoryNotFoundError as error:
        raise UserError(
            f"data.path={name}: the hub has no such data set, or it is private and you are not\n"
            "logged in (hf auth login)."
        ) from error
    except RevisionNotFoundError as error:
        raise UserError(
            f"data.revision={revision}: {name} has no such branch, tag or commit."
        ) from error
    except HFValidationError as error:
        raise UserError(f"data.path={name}: {reason(error)}.") from error
    except HfHubHTTPError as error:
        if error.response is not None and error.response.status_code in (401, 403):
            raise UserError(f"data.path={name}: {reason(error)}.") from error
        return None, reason(error)
    except Exception as error:  # of HTTP and of sockets; or HF_HUB_OFFLINE=1
        return None, reason(error)
    _refuse_script(name, name.split("/")[1], [file.rfilename for file in about.siblings or []])
    return about, None


def _gated(name: str) -> UserError:
    from huggingface_hub import constants

    return UserError(
        f"data.path={name}: the owner decides who may read this data set. Ask for access on\n"
        f"{constants.ENDPOINT}/datasets/{name}, and log in: hf auth login"
    )


def _refuse_script(path: str, name: str, files: Sequence[str], *, local: bool = False) -> None:
    """Raise `UserError` for a data set whose files are read by a program of its own."""
    if f"{name}.py" in files:
        hint = (
            f"To read the files of the folder without it, move {name}.py out of the folder."
            if local
            else "The hub has copies without code of many data sets:\n"
            "data.revision=refs/convert/parquet"
        )
        raise UserError(
            f"data.path={path} is read by code of its own, {name}.py, which limner never runs.\n"
            f"{hint}"
        )


def _patterns(
    name: str, revision: str | None, subset: str | None, *, local: bool
) -> list[str] | None:
    """Return patterns of the files of a subset, from the data set's card; None for all files."""
    import huggingface_hub
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    try:
        card = huggingface_hub.hf_hub_download(
            name, CARD, repo_type="dataset", revision=revision, local_files_only=local
        )
        listed = huggingface_hub.DatasetCard.load(card).data.to_dict().get("configs")
    except LocalEntryNotFoundError:  # not in the cache, and the hub cannot be reached
        return None
    except (EntryNotFoundError, ValueError):  # no card, or a card without a valid description
        return None
    subsets = [each for each in listed or [] if isinstance(each, Mapping)]
    chosen = [each for each in subsets if each.get("config_name") == subset]
    if subset is None:
        chosen = subsets if len(subsets) == 1 else [s for s in subsets if s.get("default")]
    files = _globs(chosen[0].get("data_files")) if len(chosen) == 1 else []
    if not files:
        return None
    below = str(chosen[0].get("data_dir") or "")
    return [*(f"{below}/{glob}" if below else glob for glob in files), *ALWAYS, "*.py"]


def _globs(node: Any) -> list[str]:
    """Return the patterns in a card's `data_files`: a text, a list, or lists for each split."""
    if isinstance(node, str):
        return [node]
    if isinstance(node, Mapping):
        return _globs(node["path"] if "path" in node else list(node.values()))
    return [glob for each in node for glob in _globs(each)] if isinstance(node, list) else []


def _tell_size(about: Any) -> None:
    size = sum(file.size or 0 for file in about.siblings or [])
    log.info(
        "%s at commit %s has files of %.3g MB, which are downloaded once.",
        about.id, about.sha[:8], size / 1e6,
    )  # fmt: skip
