"""Walks through the latent space of a model, as rows of images."""

__all__ = ["tour", "traversal"]

import numpy as np

from limner.pretrained.trained_model import TrainedModel


def tour(
    model: TrainedModel, codes: np.ndarray, num_steps: int, *, mode: str, label: int | None
) -> np.ndarray:
    """Interpolate from each code (N, latent_dim) to the next, and from the last to the first.

    Returns:
        Images, uint8 (N, num_steps, H, W, C). Each row includes both ends.
    """
    ends = zip(codes, np.roll(codes, -1, axis=0), strict=True)
    return np.stack([model.interpolate(a, b, num_steps, mode=mode, label=label) for a, b in ends])


def traversal(
    model: TrainedModel,
    start: np.ndarray,
    num_steps: int,
    *,
    num_directions: int,
    reach: float,
    label: int | None,
) -> np.ndarray:
    """Vary one dimension of `start` (latent_dim,) at a time from -reach to reach.

    Many dimensions of a VAE are inactive and change nothing, so the dimensions that change the
    image most come first.

    Returns:
        Images, uint8 (at most num_directions, num_steps, H, W, C).
    """
    values = np.linspace(-reach, reach, num_steps)
    order = _strongest(model, start, reach, label)[:num_directions]
    return np.stack([model.decode(_varied(start, d, values), label=label) for d in order])


def _strongest(
    model: TrainedModel, start: np.ndarray, reach: float, label: int | None
) -> np.ndarray:
    ends = np.concatenate(
        [_varied(start, d, np.array([-reach, reach])) for d in range(len(start))]
    )
    images = model.decode(ends, label=label).astype(np.float32)
    changes = (images[1::2] - images[::2]).reshape(len(start), -1)
    return np.argsort(-np.square(changes).mean(1), kind="stable")


def _varied(start: np.ndarray, dimension: int, values: np.ndarray) -> np.ndarray:
    """Return codes (len(values), latent_dim) that differ from `start` in one dimension."""
    codes = np.repeat(start[None], len(values), axis=0)
    codes[:, dimension] = values
    return codes
