"""Scores of predicted frames at each step ahead."""

import pytest
import torch

from limner.errors import UserError
from limner.metrics.frame_quality import SCORES, FrameQuality, FrameTally
from limner.metrics.image_similarity import psnr, ssim


def frames(num=3, *, size=(12, 12), channels=1, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(num, 2, channels, *size, generator=generator) * 2 - 1


def test_scores_of_each_frame_equal_their_definitions():
    output, target = frames(seed=1, channels=3), frames(channels=3)
    found = dict(zip(SCORES, FrameQuality(scores=SCORES)(output, target).unbind(1), strict=True))
    d = ((output - target) / 2).double()
    torch.testing.assert_close(found["squared_error"], d.square().sum((2, 3, 4)))
    torch.testing.assert_close(found["absolute_error"], d.abs().sum((2, 3, 4)))
    flat = output.flatten(0, 1), target.flatten(0, 1)
    torch.testing.assert_close(found["psnr"].flatten(), psnr(*flat).double(), rtol=1e-4, atol=0)
    expected = ssim(*flat, whole_windows=True).double()
    torch.testing.assert_close(found["ssim"].flatten(), expected, rtol=1e-4, atol=1e-5)


def test_equal_frames_have_the_largest_psnr_and_values_out_of_range_are_clamped():
    target = torch.ones(1, 2, 1, 12, 12)
    (found,) = FrameQuality(scores=["squared_error", "psnr"])(target + 5, target)
    assert found.tolist() == [[0, 0], [100, 100]]


def test_tally_means_each_step_and_ignores_weight_zero_at_any_batch_size():
    output, target = frames(4, seed=1), frames(4)
    weight = torch.tensor([1.0, 1.0, 0.0, 1.0])
    quality = FrameQuality(scores=["squared_error"])
    tallies = [FrameTally(quality, ["model", "black"], 2) for _ in range(2)]
    black = torch.tensor(-1.0)
    tallies[0].add({"model": output, "black": black}, target, weight)
    for i in range(4):
        one = slice(i, i + 1)
        tallies[1].add({"model": output[one], "black": black}, target[one], weight[one])
    kept = weight > 0
    expected = ((output - target)[kept] / 2).square().sum((2, 3, 4)).mean(0)
    for tally in tallies:
        steps = tally.steps()
        assert steps["model"]["squared_error"] == pytest.approx(expected.tolist(), rel=1e-5)
        blank = ((target[kept] + 1) / 2).square().sum((2, 3, 4)).mean(0)
        assert steps["black"]["squared_error"] == pytest.approx(blank.tolist(), rel=1e-5)
    assert FrameTally(quality, ["model"], 2).steps() == {}


@pytest.mark.parametrize(
    ("scores", "message"), [(["mse"], "choose from squared_error"), ([], "is empty")]
)
def test_frame_quality_refuses_unknown_scores_and_none(scores, message):
    with pytest.raises(UserError, match=message):
        FrameQuality(scores=scores)


def test_ssim_refuses_frames_smaller_than_its_window():
    small = frames(size=(10, 12))
    with pytest.raises(UserError, match=r"10x12 pixels .*\n.*metrics.scores="):
        FrameQuality(scores=["ssim"])(small, small)
