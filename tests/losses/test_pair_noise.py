"""The distribution of the noise of penalties, and what it depends on."""

import pytest
import torch

from limner.losses.pair_noise import NUM_SEEDS, normal_noise


def test_normal_noise_has_independent_normal_numbers():
    noise = normal_noise(torch.rand(500, NUM_SEEDS), (2, 10, 20))
    assert noise.shape == (500, 2, 10, 20)
    assert noise.isfinite().all()
    flat = noise.flatten(1)
    for power, moment in ((1, 0), (2, 1), (3, 0), (4, 3)):
        assert flat.pow(power).mean().item() == pytest.approx(moment, abs=0.06)
    for rows in (flat, flat.T):  # between images, and between places
        others = torch.corrcoef(rows).fill_diagonal_(0)
        assert others.abs().max() < 6 / rows.shape[1] ** 0.5


def test_normal_noise_of_an_image_depends_on_its_uniform_numbers_only():
    uniform = torch.rand(4, NUM_SEEDS)
    noise = normal_noise(uniform, (3, 5))
    assert torch.equal(normal_noise(uniform[2:].double(), (3, 5)), noise[2:])
    for column in range(NUM_SEEDS):
        changed = uniform.clone()
        changed[:, column] = (changed[:, column] + 0.5) % 1
        assert not torch.isclose(normal_noise(changed, (3, 5)), noise).any()


def test_normal_noise_is_finite_for_the_ends_of_the_uniform_numbers():
    ends = torch.tensor([[0.0, 0.0], [1 - 2**-24, 1 - 2**-24], [1.0, 1.0]])
    noise = normal_noise(ends, (1000,))
    assert noise.isfinite().all()
    assert (noise.std(1) - 1).abs().max() < 0.15
