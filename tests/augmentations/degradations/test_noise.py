import pytest
import torch

from limner.augmentations.degradations import GaussianNoise
from support.draws import OwnDraws


def test_noise_has_its_standard_deviation_in_levels_of_255_and_is_not_clipped():
    images = torch.tensor([-1.0, 1.0]).view(2, 1, 1, 1).expand(2, 3, 100, 100)
    found = GaussianNoise(sigma=25)(images, draws=OwnDraws())
    noise = (found.input - images) * 127.5
    assert found.mask is None
    assert noise.std().item() == pytest.approx(25, rel=0.02)
    assert noise.mean().item() == pytest.approx(0, abs=0.5)
    for each in noise:
        assert (each > 0).float().mean().item() == pytest.approx(0.5, abs=0.02)
    assert noise.abs().max() > 3.5 * 25


def test_noise_of_an_interval_has_another_strength_in_each_image():
    images = torch.zeros(200, 1, 20, 20)
    strengths = (
        GaussianNoise(sigma=[10, 50])(images, draws=OwnDraws()).input.std((1, 2, 3)) * 127.5
    )
    assert 7 < strengths.min() < 15
    assert 44 < strengths.max() < 58
    assert strengths.mean().item() == pytest.approx(30, abs=3)


def test_noise_of_strength_0_changes_nothing():
    images = torch.rand(2, 3, 5, 5)
    assert torch.equal(GaussianNoise(sigma=0)(images, draws=OwnDraws()).input, images)


def test_noise_states_that_it_is_not_clipped():
    assert GaussianNoise(sigma=[0, 55]).protocol() == {
        "kind": "gaussian noise", "sigma": [0, 55], "clipped": False,
    }  # fmt: skip
