"""Loading of published weights from torch's folder of downloads, as tensors only.

torch verifies the checksum of a file only when it downloads the file, not for a file that is in
the folder already. Some callers of torch would even run code in such a file.
"""

__all__ = ["MAX_BYTES", "downloaded_path", "load_downloaded"]

from pathlib import Path
from typing import Any

import torch

from limner.files.plain import check_regular

MAX_BYTES = 2**30
"""Largest size of a file of published weights: 1 GiB, twice the size of VGG-16."""


def downloaded_path(url: str) -> Path:
    """Return the path at which torch stores the download of an address."""
    return Path(torch.hub.get_dir(), "checkpoints", Path(url).name)


def load_downloaded(url: str, *, max_bytes: int = MAX_BYTES, **options: Any) -> dict[str, Any]:
    """Return the tensors of the file at an address; download the file if it is missing.

    Args:
        url: Address of the file.
        max_bytes: Largest size of an existing file, in bytes.
        **options: Options of `torch.hub.load_state_dict_from_url`; `weights_only` is always true.

    Raises:
        NotPlainError: If the existing file is not a regular file, or is too large.
        Exception: If the file cannot be downloaded or read; torch raises many kinds.
    """
    path = downloaded_path(url)
    if path.exists():
        check_regular(path, max_bytes=max_bytes)
    options |= {"map_location": "cpu", "check_hash": True, "weights_only": True}
    return torch.hub.load_state_dict_from_url(url, **options)
