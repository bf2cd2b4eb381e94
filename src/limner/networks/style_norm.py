"""Instance norm with factors and offsets for each style, in networks of layers in a row.

    norm(h, s) = gamma_s (h - mean) / std + beta_s       mean and std of each map of each image

Dumoulin et al. (2017), equation 5, https://arxiv.org/abs/1610.07629.
"""

__all__ = ["Layers", "StyleNorm"]

import torch
from torch import Tensor, nn
from torch.nn.functional import group_norm


class StyleNorm(nn.Module):
    """Instance norm of maps (B, C, H, W) whose factors and offsets depend on a style.

    Args:
        num_channels: Number C of channels.
        num_styles: Number of styles.
    """

    takes_styles = True

    def __init__(self, num_channels: int, num_styles: int) -> None:
        super().__init__()
        self.num_channels = num_channels
        self.gamma = nn.Parameter(torch.ones(num_styles, num_channels))
        self.beta = nn.Parameter(torch.zeros(num_styles, num_channels))

    def forward(self, h: Tensor, styles: Tensor) -> Tensor:
        """Return the normed maps of each image in its style, int64 (B,) or (1,) for all images."""
        normed = group_norm(h, self.num_channels)
        gamma, beta = (each[styles][:, :, None, None] for each in (self.gamma, self.beta))
        return gamma * normed + beta


class Layers(nn.Sequential):
    """Layers in a row; a layer with `takes_styles = True` also gets the styles."""

    takes_styles = True

    def forward(self, h: Tensor, styles: Tensor | None = None) -> Tensor:
        """Return the maps of the last layer.

        Args:
            h: Maps (B, C, H, W).
            styles: Style of each image, int64 (B,) or (1,); None for a network without styles.
        """
        for layer in self:
            h = layer(h, styles) if getattr(layer, "takes_styles", False) else layer(h)
        return h
