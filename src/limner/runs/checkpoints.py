"""Checkpoint files, which are written completely or not at all, and verified when read.

The folder `checkpoints/` of a run has files such as `update_00001000.ckpt`, and may have
`best.ckpt`.
"""

__all__ = [
    "best_path", "numbered", "problem", "read", "refuse_odd", "tidy", "update_of",
    "update_path", "write",
]  # fmt: skip

import logging
import pickle
import re
import time
import zipfile
from pathlib import Path
from typing import Any

from limner.errors import UserError
from limner.files.atomic import PARTIAL, atomic_file, sync_folder
from limner.runs.checksums import NO_CHECKSUM, SignedFile, damage

log = logging.getLogger(__name__)

NAME = re.compile(r"update_(\d{8,})\.ckpt")


def update_path(run_dir: Path, update: int) -> Path:
    """Return the path of the checkpoint of an update."""
    return run_dir / "checkpoints" / f"update_{update:08d}.ckpt"


def best_path(run_dir: Path) -> Path:
    """Return the path of the best checkpoint, whether the run has one or not."""
    return run_dir / "checkpoints" / "best.ckpt"


def update_of(path: Path) -> int:
    """Return the update in a checkpoint's name.

    Raises:
        ValueError: If the name has no update, such as best.ckpt.
    """
    found = NAME.fullmatch(path.name)
    if found is None:
        raise ValueError(f"{path} is not named after an update.")
    return int(found[1])


def numbered(run_dir: Path) -> list[Path]:
    """Return a run's checkpoints that are named after an update, newest first.

    The list includes damaged checkpoints, and excludes folders and pipes with such names.
    """
    found = (run_dir / "checkpoints").glob("*.ckpt")
    paths = [path for path in found if NAME.fullmatch(path.name) and path.is_file()]
    return sorted(paths, key=update_of, reverse=True)


def problem(path: Path) -> str | None:
    """Return a short description of the damage of a checkpoint; None if it is whole."""
    try:
        _load(path, unsigned=False)
    except _Unfit as reason:
        return str(reason)
    return None


def read(path: Path, *, unsigned: bool = False) -> dict[str, Any]:
    """Read a checkpoint without running any code in it.

    Args:
        path: Path of the file; tensors stay in the file until they are used.
        unsigned: Whether to accept a file without a checksum if the CRC-32 checksums of its
            archive are correct. These checksums do not cover the names and positions of the parts.

    Raises:
        UserError: If the file is damaged, or contains anything but tensors and plain values.
    """
    try:
        return _load(path, unsigned=unsigned)
    except _Unfit as reason:
        raise UserError(f"{path} {reason}.") from reason


def refuse_odd(saved: Any, path: Path) -> None:
    """Raise `UserError` if the content of a checkpoint is not what a run of limner saves.

    Args:
        saved: Content of the checkpoint.
        path: Path of the checkpoint, for the message.
    """
    kinds = {"state_dict": dict, "callbacks": dict, "loops": dict, "optimizer_states": list,
             "global_step": int, "epoch": int}  # fmt: skip
    wrong = [
        name
        for name, kind in kinds.items()
        if not isinstance(saved, dict) or not isinstance(saved.get(name), kind)
    ]
    if not wrong and not isinstance(saved.get("limner", {}), dict):
        wrong = ["limner"]
    if wrong:
        raise UserError(f"{path} is not a checkpoint of a run: its {wrong[0]} has another form.")


def write(checkpoint: dict[str, Any], path: Path) -> None:
    """Write a checkpoint to a temporary file, sync it and rename it to `path`.

    If the process or the machine stops at any time, either the old file or the new file exists,
    complete. Incomplete files of killed processes in this folder are removed first.

    Raises:
        OSError: If the file cannot be written, or the disk does not confirm it. No incomplete file
            stays.
    """
    import torch  # slow to import, and the command line needs only the names of checkpoints

    _make_folder(path.parent)
    for leftover in path.parent.glob(f"*{PARTIAL}"):
        leftover.unlink()
    with atomic_file(path, sync=True) as file:
        signed = SignedFile(file)
        torch.save(checkpoint, signed)
        signed.finish()
        if path.is_dir():  # a file cannot replace a folder
            path.rename(path.with_name(f"{path.name}.{time.time_ns()}.aside"))


def tidy(run_dir: Path, *, update: int, since: int, keep_last: int) -> None:
    """Remove checkpoints that are no longer needed after a new checkpoint was written.

    Args:
        run_dir: Run folder.
        update: Update of the new checkpoint, which is complete.
        since: Update of the previous checkpoint, from which training continued. Checkpoints after
            this update, except the new checkpoint, are removed: they are damaged, or belong to a
            part of training that was rolled back.
        keep_last: Number of checkpoints to keep.
    """
    ours = []
    for path in numbered(run_dir):
        if update_of(path) <= since or update_of(path) == update:
            ours.append(path)
        else:
            path.unlink()
    for path in ours[keep_last:]:
        path.unlink()


class _Unfit(Exception):
    """Reason why a file is not a whole checkpoint, worded to follow the name of the file."""


def _load(path: Path, *, unsigned: bool) -> dict[str, Any]:
    import torch

    try:
        if path.exists() and not path.is_file():
            raise _Unfit("is no regular file")
        reason = damage(path)
        if reason is None or (reason == NO_CHECKSUM and unsigned):
            with zipfile.ZipFile(path) as archive:
                _refuse_bombs(archive, path.stat().st_size)
                if reason is not None:
                    reason = "is damaged" if archive.testzip() else None
        if reason is not None:
            raise _Unfit(reason)
        return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except _Unfit:
        raise
    except pickle.UnpicklingError as error:
        named = re.search(r"GLOBAL ([\w.]+)|(?:class|type|function) ([\w.]+)", str(error))
        what = (named[1] or named[2]) if named else "code"
        raise _Unfit(
            f"is refused: a checkpoint holds tensors, but this checkpoint asks for {what}, "
            "which was not run"
        ) from error
    except OSError as error:
        raise _Unfit(f"cannot be read ({error.strerror or error})") from error
    except Exception as error:  # an untrusted archive may cause any exception in its readers
        raise _Unfit("is damaged, or no checkpoint") from error


def _refuse_bombs(archive: zipfile.ZipFile, size: int) -> None:
    """Raise `_Unfit` for an archive that would take more memory than the size of its file."""
    parts = archive.infolist()
    if any(part.compress_type != zipfile.ZIP_STORED for part in parts):
        raise _Unfit("is refused: its parts are compressed, but a checkpoint is never compressed")
    if sum(part.file_size for part in parts) > size:
        raise _Unfit("is damaged, or no checkpoint")
    for part in parts:
        if part.filename.endswith("/data.pkl") and b"bytearray\n" in archive.read(part):
            raise _Unfit("is refused: it asks for a bytearray, which may be of any size")


def _make_folder(folder: Path) -> None:
    if not folder.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        sync_folder(folder.parent)
