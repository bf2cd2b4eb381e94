"""Likelihood of evenly spaced grey levels by one logit for each level.

    P(x = l_k | z) = exp(a_k) / sum_j exp(a_j)        l_k = -1 + 2 k / (K - 1),  k = 0 ... K - 1

van den Oord et al. (2016), section 3.2, https://arxiv.org/abs/1601.06759. With K = 2 levels this
is a Bernoulli distribution of black and white.
"""

__all__ = ["Categorical"]

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from limner.losses.likelihood import check_range


class Categorical(nn.Module):
    """A softmax over K levels for each channel of each pixel.

    `params` (B, C * K, H, W) hold K logits for each channel of the image. Images are rounded to
    the nearest level.

    Args:
        num_levels: Number K of levels, at least 2: 256 for grey values, 2 for black and white.
    """

    is_density = False

    def __init__(self, *, num_levels: int) -> None:
        if num_levels < 2:
            raise ValueError(f"model.likelihood.num_levels={num_levels}: must be 2 or more.")
        super().__init__()
        self.params_per_value = num_levels

    def log_prob(self, params: Tensor, images: Tensor) -> Tensor:
        """Return log P(x | z) (B,) in nats."""
        logits = self._read(params).to(images.dtype).transpose(1, 2)  # (B, K, C, H, W)
        levels = ((images + 1) / 2 * (self.params_per_value - 1)).round().long()
        return -cross_entropy(logits, levels, reduction="none").flatten(1).sum(1)

    def mean(self, params: Tensor) -> Tensor:
        """Return the expected images (B, C, H, W) in [-1, 1]."""
        levels = torch.linspace(-1, 1, self.params_per_value).to(params)[:, None, None]
        return (self._read(params).softmax(2) * levels).sum(2)

    def level_log_probs(self, params: Tensor) -> Tensor:
        """Return log P of each of the K levels (B, C, K, H, W)."""
        return self._read(params).log_softmax(2)

    def check(self, images: Tensor) -> None:
        """Raise ValueError for images outside [-1, 1]."""
        check_range(images, "categorical")

    def _read(self, params: Tensor) -> Tensor:
        """Return logits (B, C, K, H, W)."""
        return params.unflatten(1, (-1, self.params_per_value))
