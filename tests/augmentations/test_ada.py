import pytest
import torch

from limner.augmentations.ada import ADA, Transforms
from limner.schedules import Linear
from support.waiting import no_waiting

SETTINGS = {"image_shape": [3, 8, 8], "target": 0.6, "images_per_unit": 1000, "every": 4}


class Seen:
    """Statistics of a discriminator that takes the given share of the real images for real."""

    def __init__(self, share: float) -> None:
        self.accuracy_real = torch.tensor(share)


def after(ada: ADA, shares: list[float], *, num_images: int = 10) -> float:
    for step, share in enumerate(shares):
        ada.observe(Seen(share), step=step, num_images=num_images)
    return ada.p.item()


def test_ada_p_rises_from_0_to_1_in_the_given_number_of_images_and_stays_there():
    """r = 2 * 0.81 - 1 is above 0.6, and 4 steps of 10 images are 1/25 of 1000 images."""
    ada = ADA(**SETTINGS)
    assert after(ada, [0.81] * 4) == pytest.approx(0.04)
    assert after(ada, [0.81] * 96) == pytest.approx(1.0)
    assert after(ada, [0.81] * 40) == 1.0


def test_ada_p_falls_when_d_is_less_sure_but_not_below_0():
    ada = ADA(**SETTINGS)
    after(ada, [1.0] * 8)
    assert after(ada, [0.79] * 4) == pytest.approx(0.04)
    assert after(ada, [0.5] * 40) == 0.0


def test_ada_averages_a_few_steps_before_it_adjusts_p():
    ada = ADA(**SETTINGS)
    assert after(ada, [1.0] * 3) == 0.0
    ada.observe(Seen(0.3), step=3, num_images=10)
    assert ada.p > 0, "the average accuracy of the four steps is 0.825"
    assert after(ada, [0.9, 0.9, 0.9, 0.3]) == 0.0


def test_ada_state_is_saved_between_two_adjustments():
    ada, again = ADA(**SETTINGS), ADA(**SETTINGS)
    after(ada, [1.0] * 6)
    again.load_state_dict(ada.state_dict())
    for step in range(6, 24):
        for each in (ada, again):
            each.observe(Seen(1.0 if step < 12 else 0.0), step=step, num_images=10)
        assert torch.equal(ada.p, again.p)


def test_ada_changes_each_image_by_its_own_random_numbers():
    ada, images = ADA(**SETTINGS), torch.rand(40, 3, 8, 8) * 2 - 1
    uniform = torch.rand(40, ada.num_draws)
    assert torch.allclose(ada(images, uniform=uniform), images, atol=1e-5)
    ada.p.fill_(0.5)
    whole = ada(images, uniform=uniform)
    parts = [ada(images[part], uniform=uniform[part]) for part in (slice(0, 7), slice(7, 40))]
    assert torch.allclose(whole, torch.cat(parts), atol=1e-5)
    assert ((whole - images).abs().flatten(1).amax(1) > 1e-3).float().mean() > 0.9


def test_ada_keeps_positions_exact_when_networks_use_half_precision():
    ada, images = ADA(**SETTINGS), torch.rand(40, 3, 8, 8) * 2 - 1
    ada.p.fill_(1.0)
    uniform = torch.rand(40, ada.num_draws)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = ada(images, uniform=uniform)
    assert torch.equal(mixed, ada(images, uniform=uniform))


def test_ada_does_not_wait_for_the_device():
    ada, images = ADA(**SETTINGS), torch.rand(4, 3, 8, 8)
    with no_waiting():
        ada(images, uniform=torch.rand(4, ada.num_draws))
        for step in range(4):
            ada.observe(Seen(1.0), step=step, num_images=10)
    with no_waiting(), pytest.raises(AssertionError, match="waits"):
        bool(ada.p > 0)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"image_shape": [4, 8, 8]}, "1 or 3 channels, not 4"),
        ({"target": 2.0}, "target=2"),
        ({"images_per_unit": 0}, "images_per_unit=0"),
        ({"every": 0}, "every=0"),
    ],
)
def test_ada_refuses_invalid_values(changed, message):
    with pytest.raises(ValueError, match=message):
        ADA(**(SETTINGS | changed))


def test_transforms_change_images_as_ada_with_the_same_p():
    images, ada = torch.rand(40, 3, 8, 8) * 2 - 1, ADA(**SETTINGS)
    uniform = torch.rand(40, ada.num_draws)
    for p in (0.0, 0.4, 1.0):
        ada.p.fill_(p)
        fixed = Transforms(image_shape=[3, 8, 8], p=p)
        assert fixed.num_draws == ada.num_draws
        assert torch.equal(fixed(images, uniform=uniform), ada(images, uniform=uniform))
        fixed.observe(Seen(1.0), step=0, num_images=40)
        assert fixed.p == ada.p


def test_transforms_p_follows_its_schedule_and_is_saved():
    """Step 0 of D has the first value; what is observed after step n is for step n + 1."""
    schedule = Linear(start=0.1, end=0.5, first=0, last=4)
    changed, again = (Transforms(image_shape=[1, 8, 8], p=schedule) for _ in range(2))
    found = [changed.p.item()]
    for step in range(6):
        changed.observe(Seen(0.9), step=step, num_images=8)
        found.append(changed.p.item())
    assert found == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5, 0.5, 0.5])
    again.load_state_dict(changed.state_dict())
    assert torch.equal(again.p, changed.p)


@pytest.mark.parametrize(
    "p",
    [
        -0.1,
        1.5,
        Linear(start=0.0, end=1.2, first=0, last=9),
        Linear(start=2.0, end=0.0, first=0, last=9),
    ],
)
def test_transforms_refuse_values_that_are_no_probability(p):
    with pytest.raises(ValueError, match=r"model\.augmentation\.p=.*must be in \[0, 1\]"):
        Transforms(image_shape=[3, 8, 8], p=p)
    with pytest.raises(ValueError, match=r"transforms changes .* 1 or 3 channels, not 2"):
        Transforms(image_shape=[2, 8, 8], p=0.5)
