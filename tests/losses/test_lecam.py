import pytest
import torch

from limner.losses.diagnostics import discriminator_statistics
from limner.losses.lecam import LeCam
from limner.losses.penalty import Pairs

IMAGES = torch.zeros(2, 1, 2, 2)
NONE = torch.zeros(2, 0)


def seen(real: float, fake: float):
    return discriminator_statistics(torch.full((4,), real), torch.full((4,), fake), threshold=0.0)


def test_it_is_the_squared_distance_to_the_others_average():
    lecam = LeCam(decay=0.99)
    lecam.observe(seen(3.0, -1.0), step=0, num_images=4)
    pairs = Pairs(IMAGES, IMAGES, torch.tensor([2.0, -1.0]), torch.tensor([0.0, 3.0]))
    values = lecam(None, pairs, uniform=NONE)
    assert values.tolist() == [3.0**2 + 3.0**2, 0.0**2 + 0.0**2]


def test_a_young_average_is_the_mean_and_an_old_one_forgets():
    lecam, reals = LeCam(decay=0.9), torch.randn(60).tolist()
    for step, real in enumerate(reals[:5]):
        lecam.observe(seen(real, -real), step=step, num_images=4)
    assert lecam.real.item() == pytest.approx(sum(reals[:5]) / 5, abs=1e-6)
    assert lecam.fake.item() == pytest.approx(-sum(reals[:5]) / 5, abs=1e-6)
    expected = sum(reals[:10]) / 10  # t / (t + 1) reaches 0.9 there
    for real in reals[10:]:
        expected = 0.9 * expected + 0.1 * real
    for step, real in enumerate(reals[5:], start=5):
        lecam.observe(seen(real, 0.0), step=step, num_images=4)
    assert lecam.real.item() == pytest.approx(expected, abs=1e-5)


def test_the_averages_are_saved():
    lecam, again = LeCam(decay=0.9), LeCam(decay=0.9)
    lecam.observe(seen(3.0, -1.0), step=0, num_images=4)
    again.load_state_dict(lecam.state_dict())
    assert (again.real.item(), again.fake.item()) == (3.0, -1.0)


def test_both_logits_get_a_gradient_and_the_averages_none():
    logits = torch.randn(2, 5, requires_grad=True)
    pairs = Pairs(IMAGES, IMAGES, *logits.unbind())
    lecam = LeCam(decay=0.5)
    lecam(None, pairs, uniform=NONE).sum().backward()
    assert torch.allclose(logits.grad, 2 * logits.detach()), "towards 0, where averages begin"


@pytest.mark.parametrize("decay", [-0.1, 1.0])
def test_a_decay_that_is_none_is_refused(decay):
    with pytest.raises(ValueError, match="decay"):
        LeCam(decay=decay)
