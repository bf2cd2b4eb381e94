"""Structural similarity as a loss: 1 - SSIM of Wang et al. (2004), for each image.

    SSIM = (2 m m' + c1) (2 s_xy + c2) / ((m^2 + m'^2 + c1) (s^2 + s'^2 + c2))

averaged over places and channels, for images on the scale [0, 1]; c1 = 0.01^2 and c2 = 0.03^2.
Means, variances and covariance are taken under windows of 11x11 pixels, Gaussian with a standard
deviation of 1.5 pixels. Equation 13, https://doi.org/10.1109/TIP.2003.819861. Images are reflected
at their borders, as for the score.
"""

__all__ = ["SSIM"]

import math

import torch
from torch import Tensor
from torch.nn.functional import conv2d, pad

SIDE, SIGMA = 11, 1.5  # pixels
C1, C2 = 0.01**2, 0.03**2


class SSIM:
    """1 - SSIM, in [0, 2], computed in float32.

    Args:
        weight: Factor of the loss in the model's sum, at least 0.
    """

    def __init__(self, *, weight: float) -> None:
        self.weight = weight
        bell = [math.exp(-0.5 * ((i - SIDE // 2) / SIGMA) ** 2) for i in range(SIDE)]
        self._window = [value / sum(bell) for value in bell]

    def check(self, images: Tensor) -> None:
        """Raise ValueError if images (B, C, H, W) are smaller than a window."""
        if min(images.shape[2:]) < SIDE:
            height, width = images.shape[2:]
            raise ValueError(
                f"model/losses=ssim compares windows of {SIDE}x{SIDE} pixels, and the targets "
                f"have {height}x{width}: choose a larger data.crop_size."
            )

    def __call__(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the losses (B,) of outputs (B, C, H, W) and targets in [-1, 1]."""
        with torch.autocast(output.device.type, enabled=False):
            x, y = ((images.float() + 1) / 2 for images in (output, target))
            means = self._mean(torch.cat([x, y, x * x, y * y, x * y]))
            mean_x, mean_y, xx, yy, xy = means.chunk(5)
            product, squares = mean_x * mean_y, mean_x.square() + mean_y.square()
            similarity = (2 * product + C1) * (2 * (xy - product) + C2)
            similarity = similarity / ((squares + C1) * (xx + yy - squares + C2))
            return (1 - similarity.flatten(1).mean(1)).to(output.dtype)

    def _mean(self, maps: Tensor) -> Tensor:
        """Return the mean (B, C, H, W) under the window at each place."""
        single = pad(maps, (SIDE // 2,) * 4, mode="reflect").flatten(0, 1)[:, None]
        window = torch.tensor(self._window, device=maps.device)
        single = conv2d(conv2d(single, window.view(1, 1, 1, -1)), window.view(1, 1, -1, 1))
        return single.view(maps.shape)
