"""Scores of one picture, compared with closed forms and with scikit-image."""

import math

import numpy as np
import pytest
import torch
from skimage.color import rgb2ycbcr
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from limner.errors import UserError
from limner.metrics.picture_quality import LARGEST_PSNR, PictureQuality, luminance
from limner.pixels import to_float


def noise(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)


def quality(*scores, colour="rgb", border=0, perceptual=None):
    return PictureQuality(scores=scores, colour=colour, border=border, perceptual=perceptual)


def level(value, channels=3, size=16):
    """Return a picture of one grey level, as a model gives it."""
    return torch.full((channels, size, size), value / 127.5 - 1)


@pytest.mark.parametrize("offset", [1, 10, 100])
def test_psnr_and_mae_of_a_constant_offset_equal_their_closed_forms(offset):
    found = quality("psnr", "mae")(level(50 + offset), level(50))
    assert found["psnr"] == pytest.approx(20 * math.log10(255 / offset), rel=1e-5)
    assert found["mae"] == pytest.approx(offset, rel=1e-5)


def test_psnr_of_equal_pictures_is_100_decibels():
    assert quality("psnr", "ssim")(level(50), level(50)) == {"psnr": LARGEST_PSNR, "ssim": 1.0}


def test_pictures_are_rounded_to_8_bits_and_clamped_before_they_are_compared():
    scored = quality("psnr", "mae")
    assert scored(level(50.49), level(50))["psnr"] == LARGEST_PSNR
    assert scored(level(50.51), level(50))["mae"] == pytest.approx(1, rel=1e-4)
    assert scored(level(400), level(255))["mae"] == 0


@pytest.mark.parametrize(
    ("colour", "luma"),
    [((0, 0, 0), 16), ((255, 255, 255), 235), ((255, 0, 0), 81.481), ((0, 255, 0), 144.553),
     ((0, 0, 255), 40.966)],
)  # fmt: skip
def test_luminance_of_known_colours(colour, luma):
    pixel = torch.tensor(colour, dtype=torch.uint8).view(1, 3, 1, 1)
    assert 127.5 * (luminance(pixel).item() + 1) == pytest.approx(luma, abs=1e-4)


def test_luminance_equals_the_first_channel_of_scikit_image():
    pictures = noise(1, 3, 20, 30)
    expected = rgb2ycbcr(pictures[0].permute(1, 2, 0).numpy())[..., 0]
    found = 127.5 * (luminance(pictures)[0, 0].numpy() + 1)
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("colour", ["y", "rgb"])
@pytest.mark.parametrize("border", [0, 4])
def test_psnr_and_ssim_equal_scikit_image_on_the_cut_picture(colour, border):
    target = noise(3, 40, 53)
    near = (target.int() + noise(3, 40, 53, seed=1).int() // 8).clamp(0, 255).to(torch.uint8)
    found = quality("psnr", "ssim", colour=colour, border=border)(to_float(near), to_float(target))
    edge = slice(border, -border or None)
    cut = [x[:, edge, edge].permute(1, 2, 0).double().numpy() for x in (near, target)]
    if colour == "y":
        cut = [rgb2ycbcr(x.astype(np.uint8))[..., :1] for x in cut]
    ssim = structural_similarity(
        *cut, data_range=255, channel_axis=-1, gaussian_weights=True, sigma=1.5,
        use_sample_covariance=False,
    )  # fmt: skip
    assert found["ssim"] == pytest.approx(ssim, abs=2e-5)
    psnr = peak_signal_noise_ratio(*cut[::-1], data_range=255)
    assert found["psnr"] == pytest.approx(psnr, abs=1e-3)


def test_border_is_not_compared():
    output = level(50)
    output[:, :2] = output[:, -2:] = output[..., :2] = output[..., -2:] = 1
    assert quality("mae", border=2)(output, level(50))["mae"] == 0
    assert quality("mae", border=1)(output, level(50))["mae"] > 0


def test_grey_pictures_are_compared_in_their_only_channel():
    found = quality("psnr", colour="y")(level(60, channels=1), level(50, channels=1))
    assert found["psnr"] == pytest.approx(20 * math.log10(25.5), rel=1e-5)


def test_perceptual_score_sees_rounded_colours_without_the_border():
    seen = []

    class Distance:
        weights_sha256, stage_weights, min_size = "0", [1.0], 32

        def load(self):
            pass

        def __call__(self, images, others):
            seen.append((images, others))
            return torch.tensor([0.25])

    scored = quality("perceptual", colour="y", border=3, perceptual=Distance())
    assert scored(level(50.3), level(50)) == {"perceptual": 0.25}
    torch.testing.assert_close(seen[0][0], level(50)[None, :, 3:-3, 3:-3])
    assert scored.protocol("perceptual")["colour"] == "rgb"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"scores": ["fid"]}, "choose from psnr, ssim, mae, perceptual"),
        ({"colour": "lab"}, "metrics.colour=lab: choose y, rgb or auto"),
        ({"border": -1}, "metrics.border=-1"),
        ({"scores": ["perceptual"]}, "metrics.perceptual, which is null"),
    ],
)
def test_quality_refuses_values_with_the_key_to_change(arguments, message):
    given = {"scores": ["psnr"], "colour": "rgb", "border": 0, "perceptual": None} | arguments
    with pytest.raises(UserError, match=message):
        PictureQuality(**given)


def test_picture_smaller_than_a_window_is_refused_with_its_size():
    assert quality("psnr", "ssim", border=2)(level(1, size=15), level(2, size=15))
    with pytest.raises(UserError, match="14x14 pixels is too small"):
        quality("psnr", "ssim", border=2)(level(1, size=14), level(2, size=14))
