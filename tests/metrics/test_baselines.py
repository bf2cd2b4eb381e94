"""Methods that need no training: each changes a picture as it says, in the target's channels."""

import pytest
import torch
from torch.nn.functional import interpolate

from limner.metrics.baselines import BASELINES, Pair, bicubic, enlarged, pairs_of
from support.picture_pairs import smooth


def test_unsharp_masking_adds_the_difference_from_the_blurred_picture():
    target = smooth(40, 50)
    pair = Pair(target, None, target)
    made = BASELINES["unsharp"].apply(pair, 2.0)
    expected = 3 * target - 2 * BASELINES["blur"].apply(pair, 1.5)
    torch.testing.assert_close(made[:, 8:-8, 8:-8], expected[:, 8:-8, 8:-8], atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", ["biharmonic", "pull_push"])
def test_inpainting_changes_only_the_holes(name):
    target = smooth(32, 32)
    mask = torch.ones(1, 32, 32)
    mask[:, 10:16, 5:9] = 0
    made = BASELINES[name].apply(Pair(target * mask, mask, target), 0.0)
    known = mask.bool().expand_as(target)
    torch.testing.assert_close(made[known], target[known], atol=1e-6, rtol=0)
    errors = [(x - target).abs().max().item() for x in (made, target * mask)]
    assert errors[0] < 0.5 * errors[1]
    whole = Pair(target, torch.ones(1, 32, 32), target)
    assert torch.equal(BASELINES[name].apply(whole, 0.0), target)


def test_centre_of_a_pair_shows_the_same_place_in_input_and_target():
    small = torch.rand(3, 50, 90)
    target = interpolate(small[None], scale_factor=4, mode="nearest")[0]
    pair = Pair(small, None, target).centre
    assert pair.target.shape == (3, 128, 128)
    assert torch.equal(enlarged(pair), pair.target)
    tiny = Pair(small[:, :5, :7], None, target[:, :20, :28])
    assert torch.equal(tiny.centre.target, tiny.target)


def test_repeated_pictures_of_weight_0_do_not_count():
    batch = {
        "image": torch.zeros(2, 3, 4, 4),
        "input": torch.arange(2.0).view(2, 1, 1, 1).expand(2, 3, 4, 4),
        "weight": torch.tensor([0.0, 1.0]),
    }
    (pair,) = pairs_of(batch)
    assert pair.input.mean() == 1


@pytest.mark.parametrize(("channels", "target_channels"), [(1, 3), (3, 1), (4, 3)])
@pytest.mark.parametrize("change", [enlarged, bicubic])
def test_input_gets_the_channels_of_the_target(channels, target_channels, change):
    given = torch.full((channels, 8, 8), 0.5)
    made = change(Pair(given, None, torch.zeros(target_channels, 16, 16)))
    torch.testing.assert_close(made, torch.full((target_channels, 16, 16), 0.5))
    red = torch.stack([torch.ones(8, 8), -torch.ones(8, 8), -torch.ones(8, 8)])
    grey = enlarged(Pair(red, None, torch.zeros(1, 8, 8)))
    torch.testing.assert_close(grey, torch.full((1, 8, 8), 0.299 - 0.701))


def test_blend_moves_the_input_towards_the_mean_target():
    target, mean = smooth(20, 30), torch.full((3, 20, 30), 0.2)
    pair = Pair(torch.zeros(3, 20, 30), None, target, mean)
    torch.testing.assert_close(BASELINES["blend"].apply(pair, 0.25), 0.25 * mean)
    torch.testing.assert_close(BASELINES["blend"].apply(pair, 1.0), mean)
    shape = (3, 150, 140)
    large = Pair(torch.rand(shape), None, torch.rand(shape), torch.rand(shape))
    assert torch.equal(large.centre.mean, large.mean[:, 11:139, 6:134])
