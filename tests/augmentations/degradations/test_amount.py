import pytest
import torch

from limner.augmentations.degradations.amount import Amount
from support.draws import OwnDraws

IMAGES = torch.zeros(4000, 1, 1, 1)


def test_amount_of_one_number_takes_no_random_numbers():
    found = Amount(2.5, key="x").draw(IMAGES, draws=None)
    assert torch.equal(found, torch.full((4000, 1, 1, 1), 2.5))
    assert torch.equal(Amount([3, 3], key="x").draw(IMAGES, draws=None), found + 0.5)


def test_amount_of_an_interval_is_uniform_and_drawn_for_each_image():
    found = Amount([2, 6], key="x").draw(IMAGES, OwnDraws())
    assert found.shape == (4000, 1, 1, 1)
    assert found.min() >= 2
    assert found.max() < 6
    assert found.mean().item() == pytest.approx(4, abs=0.1)
    assert found.std().item() == pytest.approx(4 / 12**0.5, abs=0.05)


def test_amount_of_whole_numbers_draws_each_equally_often():
    found = Amount([2, 5], key="x", whole=True).draw(IMAGES, OwnDraws()).flatten()
    values, counts = found.unique(return_counts=True)
    assert values.tolist() == [2, 3, 4, 5]
    assert (counts - 1000).abs().max() < 120


class Largest:
    """The largest number below 1, rounded as the images of half precision are."""

    def uniform(self, images, *shape):
        return torch.full((len(images), *shape), 1 - 2**-24).to(images.dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_amount_of_whole_numbers_never_exceeds_its_interval(dtype):
    found = Amount([0, 100], key="x", whole=True).draw(IMAGES[:1].to(dtype), Largest())
    assert found.item() == 100


@pytest.mark.parametrize("value", [-1, 11, [], [1, 2, 3], [-1, 2], [1, 11]])
def test_amount_refuses_what_is_no_number_or_range_within_its_limits(value):
    with pytest.raises(ValueError, match=r"parts\.blur\.sigma=.*in \[0, 10\], or a range \[min"):
        Amount(value, key="blur.sigma", most=10)


def test_amount_refuses_a_range_whose_first_number_is_larger():
    with pytest.raises(ValueError, match=r"sigma=\[50, 10\]: .* smaller number first: \[10,50\]"):
        Amount([50, 10], key="noise.sigma")


def test_amount_refuses_a_part_of_a_whole_number():
    with pytest.raises(ValueError, match="must be a whole number 1 or more"):
        Amount([1, 2.5], key="x", least=1, whole=True)
