import io

import numpy as np
import pytest
import torch
from PIL import Image

from limner.augmentations.degradations import JPEG
from support.draws import OwnDraws, pictures


def compressed(images, quality):
    return JPEG(quality=quality)(images, draws=OwnDraws()).input


def levels(images):
    return (images + 1) * 127.5


def by_pillow(image, quality):
    """Return the levels (C, H, W) of an image of whole levels after Pillow's JPEG."""
    pixels = levels(image).round().byte().permute(1, 2, 0).numpy()
    file = io.BytesIO()
    Image.fromarray(pixels.squeeze()).save(file, "jpeg", quality=quality)
    found = torch.from_numpy(np.array(Image.open(file))).float()
    return found.permute(2, 0, 1) if found.dim() == 3 else found[None]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("quality", [5, 20, 50, 75, 95, 100])
@pytest.mark.parametrize(("height", "width"), [(48, 64), (37, 51)])
def test_jpeg_equals_the_jpeg_of_pillow_within_rounding(channels, quality, height, width):
    image = pictures(1, channels=channels, height=height, width=width)
    found = levels(compressed(image, quality))[0]
    apart = (found - by_pillow(image[0], quality)).abs()
    assert apart.mean() < 0.5
    assert apart.square().mean() < 2  # 45 dB: a coefficient near a half may be rounded either way


def test_jpeg_of_quality_100_is_near_identity():
    grey = pictures(channels=1)
    assert (levels(compressed(grey, 100)) - levels(grey)).abs().max() < 2.1
    smooth = torch.linspace(-1, 1, 40).expand(1, 3, 30, 40)
    assert (levels(compressed(smooth, 100)) - levels(smooth)).abs().max() < 3.1


def test_jpeg_error_grows_as_quality_falls():
    images = pictures()
    errors = [(compressed(images, q) - images).square().mean() for q in (95, 75, 50, 25, 10, 3)]
    assert errors == sorted(errors)
    assert errors[-1] > 5 * errors[0]


def test_jpeg_of_an_interval_compresses_each_image_by_its_own_quality():
    images = pictures(1).expand(12, -1, -1, -1)
    found = compressed(images, [5, 95])
    possible = torch.cat([compressed(images[:1], q) for q in range(5, 96)])
    for each in found:
        assert (each == possible).flatten(1).all(1).any()
    assert len({float(each.sum()) for each in found}) > 6


def test_jpeg_rounds_to_8_bits_and_clips():
    found = levels(compressed(2 * pictures(), 30))
    assert torch.allclose(found, found.round(), atol=1e-3)
    assert found.min() >= 0
    assert found.max() <= 255.001


@pytest.mark.parametrize("quality", [0, 101, 50.5])
def test_jpeg_refuses_what_is_no_quality(quality):
    with pytest.raises(ValueError, match=r"jpeg\.quality=.*whole number in \[1, 100\]"):
        JPEG(quality=quality)
