"""Bicubic enlargement equals torch's, and the arithmetic of pixel shuffles."""

import pytest
import torch
from torch.nn.functional import interpolate

from limner.networks.enlargement import Bicubic, prime_factors, reach_before


@pytest.mark.parametrize("scale", [1, 2, 3, 4, 5])
def test_bicubic_enlargement_equals_torch_away_from_the_border(scale):
    images = torch.randn(2, 3, 9, 11, dtype=torch.float64)
    found = Bicubic(scale=scale)(images)
    expected = interpolate(images, scale_factor=scale, mode="bicubic", antialias=True)
    inside = (..., slice(2 * scale, -2 * scale), slice(2 * scale, -2 * scale))
    assert found.shape == expected.shape
    torch.testing.assert_close(found[inside], expected[inside], rtol=0, atol=1e-6)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_bicubic_enlargement_keeps_a_constant_up_to_the_border(scale):
    found = Bicubic(scale=scale)(torch.full((1, 1, 5, 4), 0.7))
    torch.testing.assert_close(found, torch.full((1, 1, 5 * scale, 4 * scale), 0.7))


@pytest.mark.parametrize(("scale", "factors"), [(1, []), (2, [2]), (4, [2, 2]), (6, [2, 3])])
def test_prime_factors_multiply_to_the_scale(scale, factors):
    assert prime_factors(scale) == factors


@pytest.mark.parametrize(
    ("factors", "reach", "expected"), [([], 2, 2), ([3], 2, 2), ([2, 2], 2, 2), ([4], 5, 3)]
)
def test_reach_before_adds_a_pixel_for_each_convolution(factors, reach, expected):
    assert reach_before(factors, reach=reach) == expected


def test_bicubic_enlargement_keeps_float32_under_autocast():
    images = torch.randn(1, 3, 6, 6)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = Bicubic(scale=2)(images)
    assert torch.equal(found, Bicubic(scale=2)(images))
