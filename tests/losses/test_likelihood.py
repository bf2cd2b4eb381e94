"""Likelihoods compared with torch.distributions."""

import pytest
import torch
from torch import distributions as D

from limner.losses.likelihood import Bernoulli, GaussianLikelihood


def test_bernoulli_agrees_with_torch_on_black_and_white():
    params = torch.randn(5, 2, 3, 3, dtype=torch.float64)
    images = torch.randint(0, 2, params.shape).double() * 2 - 1
    expected = D.Bernoulli(logits=params).log_prob((images + 1) / 2).flatten(1).sum(1)
    assert torch.allclose(Bernoulli().log_prob(params, images), expected)


@pytest.mark.parametrize("sigma", [0.1, 1.0])
def test_gaussian_agrees_with_torch(sigma):
    params, images = torch.randn(2, 5, 2, 3, 3, dtype=torch.float64).unbind()
    expected = D.Normal(params, sigma).log_prob(images).flatten(1).sum(1)
    assert torch.allclose(GaussianLikelihood(sigma=sigma).log_prob(params, images), expected)


@pytest.mark.parametrize("likelihood", [Bernoulli(), GaussianLikelihood(sigma=0.3)])
def test_mean_of_each_likelihood_is_an_image(likelihood):
    mean = likelihood.mean(10 * torch.randn(4, 1, 5, 5))
    assert mean.shape == (4, 1, 5, 5)
    assert mean.abs().max() <= 1


@pytest.mark.parametrize("sigma", [0.0, -1.0])
def test_gaussian_refuses_an_invalid_deviation(sigma):
    with pytest.raises(ValueError, match="sigma"):
        GaussianLikelihood(sigma=sigma)
