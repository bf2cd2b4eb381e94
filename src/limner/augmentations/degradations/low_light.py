"""Dark pictures with the noise of a sensor."""

__all__ = ["LowLight"]

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from limner.augmentations.degradations.amount import Amount
from limner.augmentations.degradations.protocols import Degraded, Draws


class LowLight:
    """Dark picture  exposure * v^gamma + noise, for values v in [0, 1].

    Lore et al. (2017), section III, https://arxiv.org/abs/1511.03995, darken by gamma and add
    Gaussian noise. The noise is not clipped: inputs may leave [-1, 1].

    Args:
        gamma: Exponent, at least 1, or an interval [min, max] from which each image draws its
            own; large values darken shadows most.
        exposure: Factor in (0, 1], or an interval.
        sigma: Standard deviation of the noise in levels of 0 ... 255, or an interval.
    """

    factor, adds_mask = 1, False

    def __init__(
        self,
        *,
        gamma: float | Sequence[float],
        exposure: float | Sequence[float],
        sigma: float | Sequence[float],
    ) -> None:
        self.gamma = Amount(gamma, key="low_light.gamma", least=1)
        self.exposure = Amount(exposure, key="low_light.exposure", least=1 / 255, most=1)
        self.sigma = Amount(sigma, key="low_light.sigma")

    def __call__(self, images: Tensor, *, draws: Draws) -> Degraded:
        """Return dark images (B, C, H, W)."""
        gamma, exposure, sigma = (
            amount.draw(images, draws).to(images.dtype)
            for amount in (self.gamma, self.exposure, self.sigma)
        )
        light = exposure * ((images + 1) / 2).clamp(min=0) ** gamma
        noise = sigma / 127.5 * draws.normal(images, *images.shape[1:])
        return Degraded(2 * light - 1 + noise, None)

    def protocol(self) -> dict[str, Any]:
        """Return the strengths and that values are not clipped."""
        return {
            "kind": "low light", "gamma": self.gamma.value, "exposure": self.exposure.value,
            "sigma": self.sigma.value, "clipped": False,
        }  # fmt: skip
