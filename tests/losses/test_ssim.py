"""SSIM as a loss, compared with the score."""

import pytest
import torch

from limner.losses.ssim import SSIM
from limner.metrics.image_similarity import ssim
from support.photos import photos


@pytest.mark.parametrize("offset", [0.0, 0.5])
def test_ssim_loss_is_one_minus_the_score_of_the_same_images(offset):
    """The similarity of images in [0, 1] differs from the similarity of images in [-1, 1]."""
    targets = (photos(3, size=32).float() / 127.5 - 1 - offset).clamp(-1, 1)
    outputs = (targets + 0.1 * torch.randn(targets.shape)).clamp(-1, 1)
    found = SSIM(weight=1.0)(outputs, targets)
    torch.testing.assert_close(found, 1 - ssim(outputs, targets), rtol=1e-4, atol=1e-5)


def test_ssim_loss_is_0_for_equal_images_and_descends():
    target = photos(2, size=24).float() / 127.5 - 1
    assert SSIM(weight=1.0)(target, target).abs().max() < 1e-6
    output = (target + 0.3 * torch.randn(target.shape)).requires_grad_()
    loss = SSIM(weight=1.0)(output, target).sum()
    (gradient,) = torch.autograd.grad(loss, output)
    assert gradient.isfinite().all()
    assert SSIM(weight=1.0)(output - 2 * gradient, target).sum() < loss


def test_ssim_loss_stays_in_float32_under_autocast():
    target = photos(2, size=24).float() / 127.5 - 1
    output = target + 0.1
    expected = SSIM(weight=1.0)(output, target)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(SSIM(weight=1.0)(output, target), expected)


def test_images_smaller_than_a_window_are_refused():
    with pytest.raises(ValueError, match=r"windows of 11x11 pixels, and the targets have 10x40"):
        SSIM(weight=1.0).check(torch.zeros(1, 3, 10, 40))
