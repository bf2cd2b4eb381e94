"""Hash of a network's weights, which distinguishes feature networks."""

__all__ = ["weights_hash"]

import hashlib
from collections.abc import Mapping

from torch import Tensor


def weights_hash(state: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of the names, types, shapes and bytes of all tensors."""
    digest = hashlib.sha256()
    for name, tensor in sorted(state.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
