import pytest
import torch

from limner.augmentations.chain import Chain
from limner.augmentations.diffaugment import Colour, Cutout, Translation

COLOUR = Colour(brightness=0.5, saturation=1.0, contrast=0.5)
MOVE, CUT = Translation(max_fraction=0.25), Cutout(fraction=0.5)


def test_chain_applies_its_parts_in_order_with_separate_random_numbers():
    images = torch.rand(6, 3, 8, 8) * 2 - 1
    chain = Chain(parts={"colour": COLOUR, "move": MOVE, "cut": CUT})
    assert chain.num_draws == 7
    uniform = torch.rand(6, 7)
    expected = COLOUR(images, uniform=uniform[:, :3])
    expected = CUT(MOVE(expected, uniform=uniform[:, 3:5]), uniform=uniform[:, 5:])
    assert torch.equal(chain(images, uniform=uniform), expected)


@pytest.mark.parametrize(
    "augmentation", [COLOUR, MOVE, CUT, Chain(parts={"m": MOVE, "c": COLOUR})]
)
def test_chain_result_of_an_image_depends_only_on_its_own_random_numbers(augmentation):
    images, uniform = torch.randn(8, 3, 6, 10), torch.rand(8, augmentation.num_draws)
    whole = augmentation(images, uniform=uniform)
    halves = [
        augmentation(images[part], uniform=uniform[part]) for part in (slice(0, 3), slice(3, 8))
    ]
    assert whole.shape == images.shape
    assert torch.allclose(whole, torch.cat(halves), atol=1e-6)


@pytest.mark.parametrize("augmentation", [COLOUR, MOVE, CUT])
def test_gradient_passes_through_a_chain(augmentation):
    images = torch.randn(2, 3, 4, 4, dtype=torch.float64, requires_grad=True)
    uniform = torch.rand(2, augmentation.num_draws, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: augmentation(x, uniform=uniform), images)
