"""The published test set of moving MNIST: an .npy file with uint8 (20, 10000, 64, 64)."""

__all__ = ["published_sequences"]

import hashlib
from pathlib import Path

import numpy as np
import torch

from limner.data.sequence_frames import StoredSequences
from limner.data.sequence_store import SequenceSettings
from limner.errors import UserError
from limner.files.plain import NotPlainError, check_regular

MAX_BYTES = 2**32


def published_sequences(path: Path, settings: SequenceSettings) -> StoredSequences:
    """Return the sequences of an .npy file with uint8 (T, N, H, W), as published.

    Raises:
        UserError: If the file holds no such array, or its frames have another size, or are fewer
            than the frames to read.
    """
    try:
        check_regular(path, max_bytes=MAX_BYTES)
        array = np.load(path, allow_pickle=False)
    except (NotPlainError, ValueError, OSError, EOFError) as error:
        reason = error if isinstance(error, NotPlainError) else "is no .npy file of numbers"
        raise UserError(f"data.test_file={path} {reason}.") from error
    channels, height, width = settings.image_shape
    if not isinstance(array, np.ndarray) or array.dtype != np.uint8 or array.ndim != 4:
        raise UserError(f"data.test_file={path}: must hold uint8 (frames, sequences, H, W).")
    length, size, *sides = array.shape
    if [*sides] != [height, width] or length < settings.num_frames:
        raise UserError(
            f"data.test_file={path} has {length} frames of {sides[0]}x{sides[1]}, and the data "
            f"have\n{settings.num_frames} frames of {height}x{width}: change data.image_size, "
            "data.num_inputs or data.num_targets."
        )
    frames = torch.from_numpy(np.ascontiguousarray(array.swapaxes(0, 1)))
    return StoredSequences(
        frames.flatten(0, 1)[:, None].expand(-1, channels, -1, -1),
        torch.full((size,), length),
        num_frames=settings.num_frames,
        fingerprint=hashlib.sha256(frames.numpy().tobytes()).hexdigest(),
        waits=False,
    )
