"""Comparison of the training images of a resumed run with the images at its start."""

__all__ = ["hash_of_files", "refuse_other_images"]

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from limner.errors import UserError


def hash_of_files(sizes: object) -> str:
    """Return a SHA-256 of names and sizes of files as plain data; copies have the same hash."""
    return hashlib.sha256(json.dumps(sizes).encode()).hexdigest()


def refuse_other_images(name: str, *, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Raise `UserError` if the training images differ from the images at the start of a run.

    Images are equal if their pixels and labels are equal. A streamed store has no hash of its
    pixels; for such a store, the names and sizes of the files are compared.

    Args:
        name: Name of the data set.
        before: State of the data at the start: num_images, and pixels and files, which are hashes
            or None.
        now: State of the data now.
    """
    known = "files" if None in (before["pixels"], now["pixels"]) else "pixels"
    if before[known] == now[known]:
        return
    then, here = before["num_images"], now["num_images"]
    numbers = f"{then:,} before, {here:,} now" if then != here else f"{here:,}, as before"
    raise UserError(
        f"The training images of {name} differ from those at the start of this run "
        f"({numbers}): the files have changed, or another version of Pillow decodes them "
        "differently.\nRestore the files, or start a new run."
    )
