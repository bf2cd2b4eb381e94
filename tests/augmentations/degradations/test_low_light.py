import pytest
import torch

from limner.augmentations.degradations import LowLight
from support.draws import OwnDraws, pictures


def test_low_light_without_darkening_and_noise_changes_nothing():
    images = pictures()
    found = LowLight(gamma=1, exposure=1, sigma=0)(images, draws=OwnDraws())
    assert torch.allclose(found.input, images, atol=1e-6)
    assert found.mask is None


def test_low_light_is_exposure_times_a_power_of_the_value():
    values = torch.tensor([0.0, 0.25, 0.5, 1.0]).view(1, 1, 1, 4)
    found = LowLight(gamma=2, exposure=0.5, sigma=0)(2 * values - 1, draws=OwnDraws())
    assert torch.allclose((found.input + 1) / 2, 0.5 * values**2, atol=1e-6)


def test_low_light_takes_values_outside_of_the_range():
    found = LowLight(gamma=1.5, exposure=1, sigma=0)(
        torch.full((1, 1, 1, 1), -1.2), draws=OwnDraws()
    )
    assert found.input.item() == -1


def test_low_light_noise_is_not_clipped_and_is_added_after_darkening():
    black = torch.full((1, 3, 100, 100), -1.0)
    noise = (LowLight(gamma=2, exposure=0.3, sigma=8)(black, draws=OwnDraws()).input + 1) * 127.5
    assert noise.std().item() == pytest.approx(8, rel=0.03)
    assert noise.mean().item() == pytest.approx(0, abs=0.2)


def test_low_light_draws_its_strengths_for_each_image():
    found = LowLight(gamma=1, exposure=[0.2, 0.8], sigma=0)(
        torch.ones(500, 1, 1, 1), draws=OwnDraws()
    )
    exposure = (found.input + 1) / 2
    assert 0.2 <= exposure.min() < 0.25
    assert 0.75 < exposure.max() < 0.8


@pytest.mark.parametrize(("key", "value"), [("gamma", 0.5), ("exposure", 0), ("exposure", 1.1)])
def test_low_light_refuses_what_would_brighten_or_blacken(key, value):
    with pytest.raises(ValueError, match=rf"low_light\.{key}={value}"):
        LowLight(**({"gamma": 2, "exposure": 0.5, "sigma": 0} | {key: value}))
