import pytest
import torch

from limner.augmentations.degradations import Downscale, Resize
from limner.augmentations.resampling import matlab_resize
from support.draws import OwnDraws, pictures


def test_resize_makes_the_copy_that_a_file_holds():
    images = pictures(height=24, width=36)
    part = Resize(factor=3, kernel="cubic", antialias=True, quantise=True)
    found = part(images, draws=OwnDraws())
    assert part.factor == 3
    assert found.input.shape == (4, 3, 8, 12)
    assert torch.equal(found.input, matlab_resize(images, factor=1 / 3, quantise=True))
    levels = (found.input + 1) * 127.5
    assert torch.allclose(levels, levels.round(), atol=1e-3)


def test_resize_without_rounding_keeps_overshoots():
    images = torch.ones(1, 1, 8, 32)
    images[..., 16:] = -1
    kept = Resize(factor=4, kernel="cubic", antialias=True, quantise=False)
    assert kept(images, draws=OwnDraws()).input.max() > 1.01


@pytest.mark.parametrize("ratio", [2, 2.5])
def test_downscale_loses_detail_and_keeps_size_and_slow_change(ratio):
    part = Downscale(ratio=ratio, kernel="cubic", antialias=True)
    slow = torch.linspace(-1, 1, 40).expand(1, 1, 30, 40)
    kept = part(slow, draws=OwnDraws()).input
    assert kept.shape == slow.shape
    assert (kept - slow).abs()[..., 5:-5].max() < 0.01
    fine = (torch.arange(40) % 2 * 2.0 - 1).expand(1, 1, 30, 40)
    assert part(fine, draws=OwnDraws()).input.std() < 0.2 * fine.std()


def test_downscale_by_1_changes_nothing():
    images = pictures()
    found = Downscale(ratio=1, kernel="linear", antialias=True)(images, draws=OwnDraws()).input
    assert torch.allclose(found, images, atol=1e-5)


def test_downscale_without_antialias_skips_pixels():
    fine = (torch.arange(40) % 2 * 2.0 - 1).expand(1, 1, 30, 40)
    part = Downscale(ratio=3, kernel="linear", antialias=False)
    assert part(fine, draws=OwnDraws()).input.std() > 0.5 * fine.std()


def test_resizing_refuses_what_enlarges_and_unknown_kernels():
    with pytest.raises(ValueError, match=r"data\.scale=0"):
        Resize(factor=0, kernel="cubic", antialias=True, quantise=True)
    with pytest.raises(ValueError, match=r"downscale\.ratio=0\.5"):
        Downscale(ratio=0.5, kernel="cubic", antialias=True)
    with pytest.raises(ValueError, match=r"resize\.kernel=bicubic: must be box \| linear"):
        Resize(factor=2, kernel="bicubic", antialias=True, quantise=True)
