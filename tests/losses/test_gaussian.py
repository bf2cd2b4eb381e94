"""The Gaussian log-density of all losses, compared with torch's."""

import math
import re
from pathlib import Path

import torch
from torch.distributions import Normal

import limner.losses
from limner.losses.gaussian import gaussian_log_prob, normal_log_prob


def test_gaussian_log_prob_agrees_with_torch_for_each_value():
    x, mean, logvar = torch.randn(3, 4, 5, dtype=torch.float64)
    sigma = (logvar / 2).exp()
    found = gaussian_log_prob(((x - mean) / sigma).square(), logvar)
    assert torch.allclose(found, Normal(mean, sigma).log_prob(x))


def test_gaussian_log_prob_sums_values_that_share_a_variance():
    x, mean = torch.randn(2, 4, 7, dtype=torch.float64)
    squares = ((x - mean) / 0.3).square().sum(1)
    found = gaussian_log_prob(squares, 2 * math.log(0.3), num_values=7)
    assert torch.allclose(found, Normal(mean, 0.3).log_prob(x).sum(1))


def test_normal_log_prob_broadcasts_over_samples():
    z, mean, logvar = torch.randn(6, 4, 3), torch.randn(1, 4, 3), torch.randn(1, 4, 3)
    found = normal_log_prob(z, mean, logvar)
    assert found.shape == (6, 4)
    assert torch.allclose(found, Normal(mean, (logvar / 2).exp()).log_prob(z).sum(-1), atol=1e-4)


def test_gaussian_log_prob_is_the_only_density_of_the_losses():
    folder = Path(limner.losses.__file__).parent
    found = {p.name for p in folder.glob("*.py") if re.search(r"2 \* math\.pi", p.read_text())}
    assert found == {"gaussian.py"}
