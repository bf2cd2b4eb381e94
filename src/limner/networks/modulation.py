"""Styles of StyleGAN2, and convolutions that read them, Karras et al. (2020), section 2.2.

    s = A w + 1        y_o = d_o sum_i W_oi * (s_i x_i), d_o = (sum (W_oik s_i)^2)^-1/2

https://arxiv.org/abs/1912.04958, equations 1 to 3. The style multiplies the input channels, and d
restores unit variance of each output channel for inputs of unit variance. Both are products with
maps, and the weights are the same for all images. So the layer is one ordinary convolution for any
batch, while the paper has weights for each image, and a grouped convolution. Written from the
paper.
"""

__all__ = ["Mapping", "ModulatedConv2d", "Painting"]

import itertools
import math

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, conv_transpose2d

from limner.networks.conditions import learned_vectors
from limner.networks.equalised import EqualisedLinear, activated, unit_length
from limner.networks.fir import Filter

EPSILON = 1e-8


class Mapping(nn.Module):
    """Mapping network from z (B, latent_dim), and classes, to styles w (B, style_dim).

    z and the embedding of the class are normalised to unit root mean square, and concatenated:
    Karras et al. (2020), appendix C, https://arxiv.org/abs/2006.06676.

    Args:
        latent_dim: Size of z; 0 for a network of the class alone.
        style_dim: Size of w and of the hidden layers.
        num_layers: Number of layers, at least 1.
        multiplier: Factor of the learning rate.
        num_classes: Number of classes; None without classes.
    """

    def __init__(
        self,
        latent_dim: int,
        style_dim: int,
        *,
        num_layers: int,
        multiplier: float,
        num_classes: int | None,
    ) -> None:
        super().__init__()
        self.latent_dim = latent_dim
        self.embedding = None if num_classes is None else nn.Embedding(num_classes, style_dim)
        num_inputs = latent_dim + (0 if num_classes is None else style_dim)
        self.layers = nn.ModuleList(
            EqualisedLinear(*pair, multiplier=multiplier)
            for pair in itertools.pairwise([num_inputs] + [style_dim] * num_layers)
        )

    def forward(self, z: Tensor | None, labels: Tensor | None) -> Tensor:
        """Return w (B, style_dim)."""
        parts = [] if self.latent_dim == 0 else [unit_length(z)]
        if self.embedding is not None:
            parts.append(unit_length(learned_vectors(self.embedding, labels)))
        x = torch.cat([part.to(parts[0]) for part in parts], dim=1)
        for layer in self.layers:
            x = activated(layer(x))
        return x


class ModulatedConv2d(nn.Module):
    """Convolution of maps (B, before, h, w) whose input channels are multiplied by a style.

    Args:
        before: Number of channels of the inputs.
        after: Number of channels of the outputs.
        kernel: Size of the kernel, 1 or 3.
        style_dim: Size of w.
        demodulates: Whether the outputs are divided by their expected standard deviation.
        doubles: Whether the outputs have the size (2h, 2w), by a transposed convolution and the
            filter of `limner.networks.fir`.
    """

    def __init__(
        self,
        before: int,
        after: int,
        kernel: int,
        *,
        style_dim: int,
        demodulates: bool = True,
        doubles: bool = False,
    ) -> None:
        super().__init__()
        self.affine = EqualisedLinear(style_dim, before, bias=1.0)
        self.weight = nn.Parameter(torch.randn(after, before, kernel, kernel))
        self.scale = 1 / math.sqrt(before * kernel**2)
        self.demodulates, self.padding = demodulates, kernel // 2
        self.filter = Filter(after) if doubles else None

    def forward(self, h: Tensor, w: Tensor) -> Tensor:
        """Return maps (B, after, ...) for styles w (B, style_dim)."""
        style = self.affine(w) * self.scale
        h = h * style[..., None, None].to(h)
        if self.filter is None:
            h = conv2d(h, self.weight, padding=self.padding)
        else:
            h = conv_transpose2d(h, self.weight.transpose(0, 1), stride=2)
            h = self.filter.after_doubling(h)
        if not self.demodulates:
            return h
        wide = torch.promote_types(self.weight.dtype, torch.float32)
        power = style.to(wide).square() @ self.weight.to(wide).square().sum((2, 3)).T
        return h * (power.to(wide) + EPSILON).rsqrt()[..., None, None].to(h)


class Painting(nn.Module):
    """Layer of the generator: modulated convolution, noise input, bias and activation.

    Args:
        before: Number of channels of the inputs.
        after: Number of channels of the outputs.
        style_dim: Size of w.
        doubles: Whether the outputs have twice the height and width.
        noise: Whether the layer has a noise input, and learns its strength.
    """

    def __init__(
        self, before: int, after: int, *, style_dim: int, doubles: bool, noise: bool
    ) -> None:
        super().__init__()
        self.conv = ModulatedConv2d(before, after, 3, style_dim=style_dim, doubles=doubles)
        self.noise_strength = nn.Parameter(torch.zeros(())) if noise else None
        self.bias = nn.Parameter(torch.zeros(after))

    def forward(self, h: Tensor, w: Tensor, noise: Tensor | None) -> Tensor:
        """Return maps (B, after, ...) for styles (B, style_dim) and noise (B, 1, ...).

        None is for noise of zeros, and for a layer without noise input.
        """
        h = self.conv(h, w)
        if noise is not None:
            h = h + (noise * self.noise_strength).to(h)
        return activated(h + self.bias[:, None, None].to(h))
