import pytest
import torch

from limner.losses.diagnostics import discriminator_statistics
from limner.losses.lecam import LeCam
from limner.losses.penalty import Pairs

IMAGES = torch.zeros(2, 1, 2, 2)
NONE = torch.zeros(2, 0)


def seen(real: float, fake: float):
    return discriminator_statistics(torch.full((4,), real), torch.full((4,), fake), threshold=0.0)


def test_lecam_is_the_squared_distance_to_the_average_of_the_other_logits():
    lecam = LeCam(decay=0.99)
    lecam.observe(seen(3.0, -1.0), step=0, num_images=4)
    pairs = Pairs(IMAGES, IMAGES, torch.tensor([2.0, -1.0]), torch.tensor([0.0, 3.0]))
    values = lecam(None, pairs, uniform=NONE)
    assert values.tolist() == [3.0**2 + 3.0**2, 0.0**2 + 0.0**2]


def test_lecam_average_starts_as_a_plain_mean_and_forgets_later():
    lecam, reals = LeCam(decay=0.9), torch.randn(60).tolist()
    for step, real in enumerate(reals[:5]):
        lecam.observe(seen(real, -real), step=step, num_images=4)
    assert lecam.real.item() == pytest.approx(sum(reals[:5]) / 5, abs=1e-6)
    assert lecam.fake.item() == pytest.approx(-sum(reals[:5]) / 5, abs=1e-6)
    expected = sum(reals[:10]) / 10  # t / (t + 1) reaches 0.9 at this step.
    for real in reals[10:]:
        expected = 0.9 * expected + 0.1 * real
    for step, real in enumerate(reals[5:], start=5):
        lecam.observe(seen(real, 0.0), step=step, num_images=4)
    assert lecam.real.item() == pytest.approx(expected, abs=1e-5)


def test_lecam_averages_are_in_the_state_dict():
    lecam, again = LeCam(decay=0.9), LeCam(decay=0.9)
    lecam.observe(seen(3.0, -1.0), step=0, num_images=4)
    again.load_state_dict(lecam.state_dict())
    assert (again.real.item(), again.fake.item()) == (3.0, -1.0)


def test_lecam_gives_a_gradient_to_both_logits_and_none_to_the_averages():
    logits = torch.randn(2, 5, requires_grad=True)
    pairs = Pairs(IMAGES, IMAGES, *logits.unbind())
    lecam = LeCam(decay=0.5)
    lecam(None, pairs, uniform=NONE).sum().backward()
    assert torch.allclose(logits.grad, 2 * logits.detach()), "the averages begin at 0"


@pytest.mark.parametrize("decay", [-0.1, 1.0])
def test_lecam_refuses_an_invalid_decay(decay):
    with pytest.raises(ValueError, match="decay"):
        LeCam(decay=decay)
