"""The filter of StyleGAN2: its weights, and its agreement with simple formulas."""

import torch
from torch.nn.functional import conv2d, conv_transpose2d, interpolate

from limner.networks.fir import Filter


def inner(maps, margin=2):
    """Return maps without their edge."""
    return maps[..., margin:-margin, margin:-margin]


def test_filter_is_a_partition_of_unity():
    """Each pixel of the half and of the double is a weighted mean, except at the edge."""
    ones, filtered = torch.ones(1, 2, 12, 8), Filter(2)
    for maps in (filtered.doubled(ones), filtered.halved(ones)):
        torch.testing.assert_close(inner(maps, 1), torch.ones_like(inner(maps, 1)))
        assert (maps <= 1 + 1e-6).all()
    double = torch.eye(36).view(36, 1, 6, 6)
    spread = Filter(1).doubled(double).sum((1, 2, 3)).view(6, 6)
    torch.testing.assert_close(inner(spread), torch.full((2, 2), 4.0))


def test_halved_double_of_a_constant_is_the_constant():
    constant = torch.randn(2, 3, 1, 1).expand(-1, -1, 10, 12)
    again = Filter(3).halved(Filter(3).doubled(constant))
    torch.testing.assert_close(inner(again), inner(constant))


def test_double_is_the_bilinear_enlargement():
    maps = torch.randn(2, 3, 6, 5)
    expected = interpolate(maps, scale_factor=2, mode="bilinear", align_corners=False)
    torch.testing.assert_close(inner(Filter(3).doubled(maps)), inner(expected))


def test_filter_beside_a_convolution_equals_the_filter_by_itself():
    """The convolution passes its input on: 1 at the centre of the kernel, and at its channel."""
    maps, filtered = torch.randn(2, 3, 6, 4), Filter(3)
    kernel = torch.zeros(3, 3, 3, 3)
    kernel[range(3), range(3), 1, 1] = 1.0
    doubled = filtered.after_doubling(conv_transpose2d(maps, kernel, stride=2))
    torch.testing.assert_close(doubled, filtered.doubled(maps))
    halved = conv2d(filtered.before_halving(maps), kernel, stride=2)
    torch.testing.assert_close(halved, filtered.halved(maps))
