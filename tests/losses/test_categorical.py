"""The softmax over grey levels, and the levels of every discrete likelihood."""

import pytest
import torch
from torch.distributions import Bernoulli as Coin

from limner.losses.categorical import Categorical
from limner.losses.likelihood import Bernoulli
from limner.losses.logistic import LogisticMixture

DISCRETE = [
    (Bernoulli(), 2), (Categorical(num_levels=2), 2), (Categorical(num_levels=5), 5),
    (Categorical(num_levels=256), 256), (LogisticMixture(num_components=3), 256),
]  # fmt: skip


@pytest.mark.parametrize(("likelihood", "num_levels"), DISCRETE)
def test_level_log_probs_are_the_log_probabilities_of_images_of_each_level(likelihood, num_levels):
    params = torch.randn(3, 2 * likelihood.params_per_value, 4, 5, dtype=torch.float64)
    found = likelihood.level_log_probs(params)
    assert found.shape == (3, 2, num_levels, 4, 5)
    assert torch.allclose(found.exp().sum(2), torch.ones(3, 2, 4, 5, dtype=torch.float64))
    for k in (0, num_levels // 2, num_levels - 1):
        images = torch.full((3, 2, 4, 5), -1 + 2 * k / (num_levels - 1), dtype=torch.float64)
        expected = likelihood.log_prob(params, images)
        assert torch.allclose(found[:, :, k].flatten(1).sum(1), expected)


def test_categorical_with_two_levels_is_a_bernoulli():
    params = torch.randn(3, 4, 2, 2)
    images = torch.randint(2, (3, 2, 2, 2)).float()
    logits = params.unflatten(1, (2, 2))
    expected = Coin(logits=logits[:, :, 1] - logits[:, :, 0]).log_prob(images).flatten(1).sum(1)
    found = Categorical(num_levels=2).log_prob(params, images * 2 - 1)
    assert torch.allclose(found, expected, atol=1e-5)


def test_categorical_mean_is_the_expectation_over_the_levels():
    likelihood = Categorical(num_levels=5)
    params = torch.randn(3, 10, 2, 2)
    p = likelihood.level_log_probs(params).exp()
    levels = torch.tensor([-1, -0.5, 0, 0.5, 1])[:, None, None]
    assert torch.allclose(likelihood.mean(params), (p * levels).sum(2), atol=1e-6)


def test_categorical_refuses_images_out_of_range_and_one_level():
    with pytest.raises(ValueError, match=r"categorical reads images in \[-1, 1\]"):
        Categorical(num_levels=256).check(torch.full((1, 1, 2, 2), 3.0))
    with pytest.raises(ValueError, match="num_levels=1: must be 2 or more"):
        Categorical(num_levels=1)
