"""Minibatch standard deviation: its groups and its value."""

import pytest
import torch

from limner.networks.minibatch_std import MinibatchStd


def spread(maps, group_size):
    """Return the further channel, one number for each image."""
    further = MinibatchStd(group_size)(maps)[:, -1]
    assert (further == further[:, :1, :1]).all()
    return further[:, 0, 0]


def test_minibatch_std_is_the_mean_standard_deviation_of_its_group():
    maps = torch.randn(8, 3, 4, 2)
    expected = [part.std(0, unbiased=False).mean() for part in maps.split(4)]
    expected = torch.stack(expected).repeat_interleave(4)
    torch.testing.assert_close(spread(maps, 4), expected)
    assert torch.equal(MinibatchStd(4)(maps)[:, :3], maps)


def test_minibatch_std_is_invariant_under_permutation_inside_its_groups():
    maps = torch.randn(8, 3, 4, 4)
    inside = torch.cat([torch.randperm(4), 4 + torch.randperm(4)])
    torch.testing.assert_close(spread(maps[inside], 4), spread(maps, 4))
    across = torch.tensor([0, 1, 2, 4, 3, 5, 6, 7])
    assert not torch.allclose(spread(maps[across], 4), spread(maps, 4))


def test_parts_of_a_batch_have_the_numbers_of_the_whole_batch():
    """So two processes compute what one process computes."""
    maps = torch.randn(16, 3, 4, 4)
    parts = torch.cat([spread(part, 4) for part in maps.chunk(2)])
    torch.testing.assert_close(parts, spread(maps, 4))


@pytest.mark.parametrize(("num_images", "size"), [(1, 1), (3, 3), (6, 3), (7, 1), (10, 2)])
def test_groups_have_the_largest_size_that_divides_the_batch(num_images, size):
    maps = torch.randn(num_images, 2, 3, 3)
    torch.testing.assert_close(spread(maps, 4), spread(maps, size))
    assert (spread(maps, 4) < 1e-3).all() == (size == 1)


def test_group_without_images_is_refused():
    with pytest.raises(ValueError, match="group_size=0: must be 1 or more"):
        MinibatchStd(0)
