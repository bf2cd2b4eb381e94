"""The floor of a score: the value that real images get, compared with other real images.

A distance of two sets of images is not 0 even if both come from the same distribution: FID is
large for few images. A score therefore means little without the score of real images. Both compare
sets of n images: the reference is one half of the real images, and the other half gives the floor.
"""

__all__ = ["halves", "num_compared"]

from collections.abc import Iterable

from torch import Tensor

from limner.metrics.feature_buffer import permutation


def num_compared(num_samples: int, nums_real: Iterable[int]) -> int:
    """Return n: the number of samples, but at most half of the real images of each split."""
    return min(num_samples, *(num // 2 for num in nums_real))


def halves(indices: Tensor, num_images: int) -> tuple[Tensor, Tensor]:
    """Return two disjoint random choices of `num_images` indices each, the same every time.

    Args:
        indices: int64 (N,): indices of the real images.
        num_images: Number of images of each half, at most N / 2.
    """
    shuffled = indices[permutation(len(indices))]
    first, second = shuffled[:num_images], shuffled[num_images : 2 * num_images]
    return first.sort().values, second.sort().values
