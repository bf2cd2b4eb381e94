"""Likelihood of 256 grey levels: a mixture of discretised logistics for each value.

    P(x | z) = sum_k w_k [ s((x + 1/255 - m_k) / b_k) - s((x - 1/255 - m_k) / b_k) ]

where s is the sigmoid. The bins of x = -1 and x = 1 extend to minus and plus infinity. Kingma et
al. (2016), section 4 and appendix, https://arxiv.org/abs/1606.04934 (one component); Salimans et
al. (2017), equation 2, https://arxiv.org/abs/1701.05517. Unlike in Salimans et al., the
channels of a pixel are independent given z.
"""

__all__ = ["LogisticMixture"]

import torch
from torch import Tensor, nn
from torch.nn.functional import log_softmax, logsigmoid, softplus

from limner.losses.likelihood import check_range

MIN_LOG_SCALE = -7.0  # a ninth of a grey level's width, as in PixelCNN++
HALF_BIN = 1 / 255


class LogisticMixture(nn.Module):
    """A mixture over the levels -1, -1 + 2/255 ... 1 for each channel of each pixel.

    `params` (B, C * 3 K, H, W) hold for each channel of the image K logits of the weights, K means
    in units of images in [-1, 1], and K log-scales. Images are rounded to the nearest level.

    Args:
        num_components: Number K of components, at least 1.
    """

    is_density = False

    def __init__(self, *, num_components: int) -> None:
        if num_components < 1:
            raise ValueError(
                f"model.likelihood.num_components={num_components}: must be at least 1."
            )
        super().__init__()
        self.params_per_value = 3 * num_components

    def log_prob(self, params: Tensor, images: Tensor) -> Tensor:
        """Return log P(x | z) (B,) in nats."""
        levels = ((images + 1) * 127.5).round().unsqueeze(-3)  # (B, C, 1, H, W) in 0 ... 255
        return self._log_probs(params.to(images.dtype), levels).flatten(1).sum(1)

    def level_log_probs(self, params: Tensor) -> Tensor:
        """Return log P of each of the 256 levels (B, C, 256, H, W)."""
        params = params.to(torch.promote_types(params.dtype, torch.float32))
        levels = torch.arange(256).to(params)[:, None, None]
        channels = params.shape[-3] // self.params_per_value
        levels = levels.expand(*params.shape[:-3], channels, 256, *params.shape[-2:])
        return self._log_probs(params, levels)

    def mean(self, params: Tensor) -> Tensor:
        """Return the expected images (B, C, H, W) in [-1, 1], up to half a grey level at worst.

        E[x] = -1 + integral over t in [-1, 1] of P(x > t). The sum over the 256 levels is the
        midpoint rule for this integral.
        """
        params = params.to(torch.promote_types(params.dtype, torch.float32))
        logits, means, log_scales = self._read(params, params.shape[-3] // self.params_per_value)
        scales = log_scales.exp()
        area = softplus((means + 1) / scales) - softplus((means - 1) / scales)
        return (logits.softmax(-3) * (scales * area - 1)).sum(-3).clamp(-1, 1)

    def check(self, images: Tensor) -> None:
        """Raise ValueError for images outside [-1, 1]."""
        check_range(images, "logistic")

    def _log_probs(self, params: Tensor, levels: Tensor) -> Tensor:
        """Return log P (B, C, L, H, W) of levels (B, C, L, H, W) in 0 ... 255."""
        levels = levels.unsqueeze(-4)  # (B, C, 1, L, H, W)
        parts = self._read(params, levels.shape[-5])
        logits, means, log_scales = (part.unsqueeze(-3) for part in parts)
        precision = (-log_scales).exp()
        centred = levels / 127.5 - 1 - means
        above, below = (centred + HALF_BIN) * precision, (centred - HALF_BIN) * precision
        # s(a) - s(b) = s(a) s(-b) (1 - exp(b - a)) avoids the difference of nearly equal numbers
        low, high = logsigmoid(above), logsigmoid(-below)
        inside = low + high + (-(-2 * HALF_BIN * precision).expm1()).log()
        log_probs = low.where(levels == 0, high.where(levels == 255, inside))
        return (log_softmax(logits, -4) + log_probs).logsumexp(-4)

    def _read(self, params: Tensor, num_channels: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return logits, means and log-scales, each (B, C, K, H, W)."""
        parts = params.unflatten(-3, (num_channels, 3, -1))
        logits, means, log_scales = parts.unbind(-4)
        return logits, means, log_scales.clamp_min(MIN_LOG_SCALE)
