"""Paths between two latent codes."""

__all__ = ["linear", "spherical"]

import numpy as np


def linear(a: np.ndarray, b: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Return the points (T, D) of the straight line from `a` to `b` (D,) at `t` (T, 1)."""
    return (1 - t) * a + t * b


def spherical(a: np.ndarray, b: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Return sin((1 - t) w) / sin w * a + sin(t w) / sin w * b; w is the angle between a and b.

    Shoemake (1985), https://doi.org/10.1145/325165.325242. If a and b are (anti)parallel, this is
    the straight line.

    Args:
        a: First end (D,).
        b: Second end (D,).
        t: Positions (T, 1) in [0, 1].
    """
    norms = np.linalg.norm(a) * np.linalg.norm(b)
    angle = np.arccos(np.clip(a @ b / max(norms, 1e-12), -1, 1))
    if np.sin(angle) < 1e-6:
        return linear(a, b, t)
    return (np.sin((1 - t) * angle) * a + np.sin(t * angle) * b) / np.sin(angle)
