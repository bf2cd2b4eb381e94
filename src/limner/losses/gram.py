"""Style loss: the difference of the Gram matrices of feature maps, whatever the places.

    g_l(x, y) = sum |G_l(x) - G_l(y)|^2,   G_l = mean over the places of f_l f_l^T

with the vector f_l of all channels at a place of the map at depth l. Gatys et al. (2016),
equations 3 to 5, https://doi.org/10.1109/CVPR.2016.265.
"""

__all__ = ["Gram"]

from collections.abc import Sequence

import torch
from torch import Tensor

from limner.losses.feature_maps import SMALLEST, FeatureLoss
from limner.losses.perceptual import gram


class Gram(FeatureLoss):
    """Difference of the style of two images, in each depth of a frozen network.

    Args:
        weight: Factor of the loss in the model's sum, at least 0.
        maps: Maps of the frozen network.
    """

    key = "model.losses.gram"

    def style(self, images: Tensor) -> list[Tensor]:
        """Return the Gram matrices (B, C_l, C_l) of images (B, 1 or 3, H, W), for each depth."""
        maps = self.maps(images)
        with torch.autocast(images.device.type, enabled=False):  # products in float32
            return [gram(f) for f in maps]

    def terms(self, images: Tensor, style: Sequence[Tensor]) -> Tensor:
        """Return g_l (B, number of depths) of images and Gram matrices (B or 1, C_l, C_l)."""
        pairs = zip(self.style(images), style, strict=True)
        return torch.stack([(own - given).square().sum((1, 2)) for own, given in pairs], 1)

    def __call__(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the mean (B,) over the depths of g_l, each divided by the target's |G_l|^2.

        The two batches may differ in height and width.
        """
        style = self.style(target)
        sizes = torch.stack([each.square().sum((1, 2)) for each in style], 1)
        terms = self.terms(output, style)
        return (terms / sizes.clamp(min=SMALLEST)).mean(1).to(output.dtype)
