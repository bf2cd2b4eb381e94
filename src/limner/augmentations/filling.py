"""A smooth fill of holes without training: the pull-push algorithm.

Gortler et al. (1996), section 3.4, https://doi.org/10.1145/237170.237200. The algorithm averages
the known pixels over squares of 2, 4, 8 ... pixels, and fills each hole with the finest averages
that exist there.
"""

__all__ = ["PullPush", "pull_push"]

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate, pad


class PullPush:
    """`pull_push` as an object, which a config can name."""

    def __call__(self, images: Tensor, is_known: Tensor) -> Tensor:
        """Return images (B, C, H, W) with filled holes, see `pull_push`."""
        return pull_push(images, is_known)


def pull_push(images: Tensor, is_known: Tensor) -> Tensor:
    """Return images whose unknown pixels are filled smoothly; known pixels do not change.

    Args:
        images: Images (B, C, H, W). The values of unknown pixels are not used.
        is_known: Whether a pixel is known, bool (B, 1, H, W). An image without a known pixel
            becomes 0.
    """
    known = torch.where(is_known, images, 0)
    return torch.where(is_known, images, _filled(known, is_known.to(images.dtype)))


def _filled(sums: Tensor, weights: Tensor) -> Tensor:
    """Return filled images of weighted pixels (B, C, H, W) and weights (B, 1, H, W) up to 1."""
    height, width = sums.shape[2:]
    means = sums / weights.clamp(min=torch.finfo(sums.dtype).tiny)
    if max(height, width) == 1:
        return means
    even = (0, width % 2, 0, height % 2)
    half_sums, half_weights = (4 * avg_pool2d(pad(x, even), 2) for x in (sums, weights))
    excess = half_weights.clamp(min=1)  # a square counts as one pixel at most
    half = _filled(half_sums / excess, half_weights / excess)
    double = interpolate(half, scale_factor=2.0, mode="bilinear")[:, :, :height, :width]
    return weights * means + (1 - weights) * double
