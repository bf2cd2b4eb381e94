"""Walks through the latent space of a model, as rows of images."""

__all__ = ["tour", "traversal"]

from collections.abc import Mapping
from typing import Any

import numpy as np

from limner.pretrained.trained_model import TrainedModel


def tour(
    model: TrainedModel, codes: np.ndarray, num_steps: int, *, mode: str, **condition: Any
) -> np.ndarray:
    """Interpolate from each code (N, latent_dim) to the next, and from the last to the first.

    `condition` is the label or the text of all images, as for `TrainedModel.interpolate`.

    Returns:
        Images, uint8 (N, num_steps, H, W, C). Each row includes both ends.
    """
    ends = zip(codes, np.roll(codes, -1, axis=0), strict=True)
    rows = [model.interpolate(a, b, num_steps, mode=mode, **condition) for a, b in ends]
    return np.stack(rows)


def traversal(
    model: TrainedModel,
    start: np.ndarray,
    num_steps: int,
    *,
    num_directions: int,
    reach: float,
    **condition: Any,
) -> np.ndarray:
    """Vary one dimension of `start` (latent_dim,) at a time from -reach to reach.

    Many dimensions of a VAE are inactive and change nothing, so the dimensions that change the
    image most come first. `condition` is the label or the text of all images.

    Returns:
        Images, uint8 (at most num_directions, num_steps, H, W, C).
    """
    values = np.linspace(-reach, reach, num_steps)
    order = _strongest(model, start, reach, condition)[:num_directions]
    return np.stack([model.decode(_varied(start, d, values), **condition) for d in order])


def _strongest(
    model: TrainedModel, start: np.ndarray, reach: float, condition: Mapping[str, Any]
) -> np.ndarray:
    ends = np.concatenate(
        [_varied(start, d, np.array([-reach, reach])) for d in range(len(start))]
    )
    images = model.decode(ends, **condition).astype(np.float32)
    changes = (images[1::2] - images[::2]).reshape(len(start), -1)
    return np.argsort(-np.square(changes).mean(1), kind="stable")


def _varied(start: np.ndarray, dimension: int, values: np.ndarray) -> np.ndarray:
    """Return codes (len(values), latent_dim) that differ from `start` in one dimension."""
    codes = np.repeat(start[None], len(values), axis=0)
    codes[:, dimension] = values
    return codes
