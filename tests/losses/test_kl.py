"""The KL divergence compared with torch.distributions."""

import torch
from torch import distributions as D

from limner.losses.kl import kl_standard_normal


def test_kl_agrees_with_torch():
    mean, logvar = torch.randn(2, 9, 6, dtype=torch.float64).unbind()
    posterior = D.Normal(mean, torch.exp(logvar / 2))
    expected = D.kl_divergence(posterior, D.Normal(0.0, 1.0)).sum(1)
    assert torch.allclose(kl_standard_normal(mean, logvar), expected)


def test_kl_of_the_prior_is_zero():
    assert kl_standard_normal(torch.zeros(3, 4), torch.zeros(3, 4)).tolist() == [0, 0, 0]
