"""A trained model of video prediction as a function of sequences of any size."""

__all__ = ["PredictsFrames", "predicted", "predicts_frames", "transforms"]

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from limner.errors import UserError
from limner.pixels import to_float, to_uint8
from limner.pretrained.roles import allowed
from limner.pretrained.safe_build import read_config


@runtime_checkable
class PredictsFrames(Protocol):
    """A model that continues sequences of frames."""

    num_inputs: int
    """Number of frames that the model reads."""
    num_targets: int
    """Number of frames that the model predicts in training."""
    reads_frames: bool

    def transform(self, inputs: Tensor, num_targets: int | None = None) -> Tensor:
        """Return the next frames (B, num_targets, C, H, W) of frames (B, T, C, H, W)."""


def predicted(
    module: PredictsFrames,
    frames: Any,
    mask: Any,
    num_channels: int,
    *,
    num_targets: int | None = None,
    **others: Any,
) -> np.ndarray:
    """Return the next frames of one or several sequences, see `TrainedModel.transform`.

    Args:
        module: Model in evaluation mode.
        frames: Sequence uint8 (T, H, W, C), or several of them (N, T, H, W, C). The last
            `num_inputs` frames are read.
        mask: Must be None.
        num_channels: Number of channels C that the model reads.
        num_targets: Number of frames to predict, at least 1; None for the number of training.
        others: Choices of other models, which must be None.

    Returns:
        Frames uint8 (num_targets, H, W, C), or (N, num_targets, H, W, C).

    Raises:
        UserError: If the frames or another argument do not fit the model.
    """
    others |= {"mask": mask}
    if given := [name for name, value in others.items() if value is not None]:
        raise UserError(f"{given[0]}: this {type(module).__name__} predicts frames, without it.")
    if num_targets is not None and num_targets < 1:
        raise UserError(f"num_targets={num_targets}: must be 1 or more (frames).")
    frames = np.asarray(frames)
    fits = frames.dtype == np.uint8 and frames.ndim in (4, 5) and frames.size > 0
    if not fits or frames.shape[-1] != num_channels:
        raise UserError(
            f"Sequences for this model are uint8 (T, H, W, {num_channels}), not {frames.dtype} "
            f"{frames.shape}."
        )
    batch = torch.tensor(frames if frames.ndim == 5 else frames[None]).movedim(-1, 2)
    found = to_uint8(module.transform(to_float(batch), num_targets)).cpu().movedim(2, -1)
    made = np.ascontiguousarray(found.numpy())
    return made if frames.ndim == 5 else made[0]


def predicts_frames(folder: Path, *, trust: Sequence[str]) -> bool:
    """Return whether the config in a folder names a model that predicts frames."""
    kind = _kind(folder, trust=trust)
    return getattr(kind, "reads_frames", False) is True and hasattr(kind, "transform")


def transforms(folder: Path, *, trust: Sequence[str]) -> bool:
    """Return whether the config in a folder may name a model that transforms pictures or frames.

    A model whose class is not known may do so.
    """
    kind = _kind(folder, trust=trust)
    return kind is None or hasattr(kind, "transform")


def _kind(folder: Path, *, trust: Sequence[str]) -> Any:
    if not (folder / "config.yaml").is_file():
        return None
    model = read_config(folder / "config.yaml").get("model")
    name = model.get("_target_") if isinstance(model, Mapping) else None
    return allowed(name, "model", trust=trust)
