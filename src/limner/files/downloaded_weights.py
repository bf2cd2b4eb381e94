"""Published weights that torch keeps in its folder of downloads, read as tensors only.

torch compares a file with its checksum when it downloads it, but takes one that lies in the folder
as it is; some callers would even run the code that such a file may hold.
"""

__all__ = ["MAX_BYTES", "downloaded_path", "load_downloaded"]

from pathlib import Path
from typing import Any

import torch

from limner.files.plain import check_regular

MAX_BYTES = 2**30
"""The largest file of published weights that is read: 1 GiB, twice VGG-16's."""


def downloaded_path(url: str) -> Path:
    """Return where torch keeps what it downloads from an address."""
    return Path(torch.hub.get_dir(), "checkpoints", Path(url).name)


def load_downloaded(url: str, *, max_bytes: int = MAX_BYTES, **options: Any) -> dict[str, Any]:
    """Return the tensors at an address, downloaded if they are not there.

    Args:
        url: The address.
        max_bytes: The largest file that is read.
        **options: What `torch.hub.load_state_dict_from_url` takes; `weights_only` is always true.

    Raises:
        NotPlainError: If the file is no regular one, or too large.
        Exception: What torch raises, of which there are many, if it cannot be had or read.
    """
    path = downloaded_path(url)
    if path.exists():
        check_regular(path, max_bytes=max_bytes)
    options |= {"map_location": "cpu", "check_hash": True, "weights_only": True}
    return torch.hub.load_state_dict_from_url(url, **options)
