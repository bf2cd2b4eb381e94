"""Content loss of style transfer: the difference of feature maps, place by place.

    c_l(x, y) = mean |f_l(x) - f_l(y)|^2        over the channels and places of the map at depth l

Gatys et al. (2016), equation 1, https://doi.org/10.1109/CVPR.2016.265.
"""

__all__ = ["Content"]

import torch
from torch import Tensor

from limner.losses.feature_maps import SMALLEST, FeatureLoss


class Content(FeatureLoss):
    """Difference of the content of two images, in each depth of a frozen network.

    Args:
        weight: Factor of the loss in the model's sum, at least 0.
        maps: Maps of the frozen network.
    """

    key = "model.losses.content"

    def terms(self, images: Tensor, others: Tensor) -> Tensor:
        """Return c_l (B, number of depths) of images (B, 1 or 3, H, W) and others in [-1, 1]."""
        pairs = zip(self.maps(images), self.maps(others), strict=True)
        return torch.stack([(f - g).square().mean((1, 2, 3)) for f, g in pairs], 1)

    def __call__(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the mean of c_l over the depths, each by the target's mean square, (B,)."""
        sizes = torch.stack([f.square().mean((1, 2, 3)) for f in self.maps(target)], 1)
        terms = self.terms(output, target)
        return (terms / sizes.clamp(min=SMALLEST)).mean(1).to(output.dtype)
