"""Bounds against a linear-Gaussian model, whose log p(x) and posterior are known exactly."""

import math
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor
from torch import distributions as D

from limner.losses.bounds import doubly_reparameterised, elbo, free_bits, importance_weighted
from limner.losses.gaussian import normal_log_prob
from limner.losses.kl import kl_dimensions, kl_standard_normal

DIM, SIGMA = 2, 0.7
W = torch.tensor([[1.0, 0.4], [-0.5, 0.8], [0.3, 0.9]], dtype=torch.float64)
X = torch.tensor([0.9, -0.3, 1.1], dtype=torch.float64)


def log_likelihood() -> float:
    """Return log N(x; 0, W W^T + sigma^2 I)."""
    covariance = W @ W.T + SIGMA**2 * torch.eye(3, dtype=torch.float64)
    return D.MultivariateNormal(torch.zeros(3).double(), covariance).log_prob(X).item()


@dataclass
class Drawn:
    """Importance weights of `num_codes` codes for each of `num_images` copies of x.

    Each copy has its own q, which is not the true posterior.
    """

    num_codes: int
    num_images: int
    detached: bool = False
    exact: bool = False

    def __post_init__(self) -> None:
        precision = W.T @ W / SIGMA**2 + torch.eye(DIM, dtype=torch.float64)
        covariance = torch.linalg.inv(precision)
        mean = covariance @ W.T @ X / SIGMA**2
        logvar = covariance.diagonal().log()
        if not self.exact:
            mean, logvar = mean + 0.3, logvar + 0.4
        self.mean = mean.repeat(self.num_images, 1).requires_grad_()
        self.logvar = logvar.repeat(self.num_images, 1).requires_grad_()
        self.weight = W.repeat(self.num_images, 1, 1).requires_grad_()
        generator = torch.Generator().manual_seed(1)
        eps = torch.randn(
            self.num_codes, *self.mean.shape, generator=generator, dtype=torch.float64
        )
        self.z = self.mean + torch.exp(self.logvar / 2) * eps

    def log_weights(self) -> Tensor:
        """Return the log weights, (num_codes, num_images)."""
        reconstruction = D.Normal((self.weight @ self.z[..., None]).squeeze(-1), SIGMA)
        mean, logvar = self.mean, self.logvar
        if self.detached:
            mean, logvar = mean.detach(), logvar.detach()
        log_p = reconstruction.log_prob(X).sum(-1) + D.Normal(0.0, 1.0).log_prob(self.z).sum(-1)
        return log_p - normal_log_prob(self.z, mean, logvar)


def standard_error(values: Tensor) -> float:
    return (values.std() / len(values) ** 0.5).item()


def test_normal_log_prob_agrees_with_torch():
    z, mean, logvar = torch.randn(3, 4, 5, 6, dtype=torch.float64).unbind()
    expected = D.Normal(mean, (logvar / 2).exp()).log_prob(z).sum(-1)
    assert torch.allclose(normal_log_prob(z, mean, logvar), expected)


def test_mean_of_the_log_weights_agrees_with_the_closed_form_kl():
    mean, logvar = torch.randn(2, 7, dtype=torch.float64)
    z = mean + torch.exp(logvar / 2) * torch.randn(100_000, 7, dtype=torch.float64)
    sampled = normal_log_prob(z, mean, logvar) - D.Normal(0.0, 1.0).log_prob(z).sum(-1)
    closed = kl_standard_normal(mean[None], logvar[None]).item()
    assert abs(sampled.mean().item() - closed) < 4 * standard_error(sampled)


def test_kl_of_all_dimensions_sums_to_the_kl():
    mean, logvar = torch.randn(2, 9, 6).unbind()
    terms = kl_dimensions(mean, logvar)
    assert terms.shape == (9, 6)
    assert (terms >= 0).all()
    expected = 0.5 * (mean.square() + logvar.exp() - logvar - 1).sum(1)
    assert torch.equal(terms.sum(1), expected)
    assert torch.equal(kl_standard_normal(mean, logvar), expected)


def test_importance_weighted_bound_is_the_exact_log_likelihood_within_its_standard_error():
    drawn = Drawn(num_codes=500, num_images=500)
    bounds = importance_weighted(drawn.log_weights().detach())
    error = standard_error(bounds)
    assert error < 3e-3
    # To first order, the bound lies below the log-likelihood by half the variance.
    slack = bounds.var().item() / 2
    assert abs(bounds.mean().item() + slack - log_likelihood()) < 4 * error
    assert slack < 4 * error, "the first-order correction is larger than the tolerance"


def test_importance_weighted_bound_is_exact_with_one_code_when_q_is_the_true_posterior():
    """W^T W is diagonal here, so that the true posterior belongs to the family of q."""
    values = torch.tensor([1.2, 0.5], dtype=torch.float64)
    x = torch.tensor([0.4, -1.0], dtype=torch.float64)
    variance = 1 / (values.square() / SIGMA**2 + 1)
    mean, logvar = variance * values * x / SIGMA**2, variance.log()
    z = mean + torch.exp(logvar / 2) * torch.randn(5, 3, 2, dtype=torch.float64)
    weights = (
        D.Normal(values * z, SIGMA).log_prob(x).sum(-1)
        + D.Normal(0.0, 1.0).log_prob(z).sum(-1)
        - normal_log_prob(z, mean.expand_as(z), logvar.expand_as(z))
    )
    exact = D.Normal(0.0, (values.square() + SIGMA**2).sqrt()).log_prob(x).sum()
    assert torch.allclose(weights, exact.expand_as(weights))
    assert torch.allclose(elbo(weights), importance_weighted(weights))


def test_bounds_grow_with_the_number_of_codes():
    weights = Drawn(num_codes=64, num_images=500).log_weights().detach()
    means = [elbo(weights).mean()]
    for k in (2, 8, 64):
        groups = weights.unflatten(0, (-1, k))
        means.append(torch.stack([importance_weighted(group) for group in groups]).mean())
    assert means == sorted(means)
    assert means[0] < means[-1] - 0.1
    assert means[-1] < log_likelihood() + 4 * standard_error(importance_weighted(weights))
    assert torch.allclose(importance_weighted(weights[:1]), elbo(weights[:1]))


def test_bounds_do_not_overflow_when_weights_are_large():
    weights = torch.tensor([[-5000.0, 5000.0], [-5001.0, -5000.0]], requires_grad=True)
    expected = [-5000 + math.log((1 + math.exp(-1)) / 2), 5000 - math.log(2)]
    assert importance_weighted(weights).tolist() == pytest.approx(expected)


def gradients(*, num_codes: int, doubly: bool) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the bounds, and the gradients of mean, logvar and decoder, each (num_images, ...)."""
    drawn = Drawn(num_codes=num_codes, num_images=20_000, detached=doubly)
    weights = drawn.log_weights()
    bound = doubly_reparameterised(weights, drawn.z) if doubly else importance_weighted(weights)
    bound.sum().backward()
    return bound.detach(), drawn.mean.grad, drawn.logvar.grad, drawn.weight.grad


@pytest.mark.parametrize("num_codes", [1, 8])
def test_doubly_reparameterised_gradient_has_the_same_mean_and_less_variance(num_codes):
    usual = gradients(num_codes=num_codes, doubly=False)
    doubly = gradients(num_codes=num_codes, doubly=True)
    assert torch.equal(usual[0], doubly[0]), "the value is the bound itself"
    assert torch.allclose(usual[3], doubly[3], atol=1e-12), "the decoder's gradient is the same"
    for a, b in zip(usual[1:3], doubly[1:3], strict=True):
        for dim in range(DIM):
            difference = a[:, dim] - b[:, dim]
            assert abs(difference.mean().item()) < 4 * standard_error(difference)
            assert b[:, dim].mean().abs() > 4 * standard_error(b[:, dim]), "both means are 0"
        assert (b.var(0) < a.var(0)).all()
    if num_codes > 1:
        assert (doubly[1].var(0) < usual[1].var(0) / 3).all()


def test_doubly_reparameterised_returns_only_the_value_without_gradients():
    drawn = Drawn(num_codes=4, num_images=3, detached=True)
    with torch.no_grad():
        drawn.z = drawn.z.detach()
        value = doubly_reparameterised(drawn.log_weights(), drawn.z)
    assert not value.requires_grad
    assert torch.equal(value, importance_weighted(drawn.log_weights()).detach())


def test_free_bits_takes_the_larger_of_the_batch_mean_and_the_floor():
    # The means are .2, 2 and 1.1.
    kl = torch.tensor([[0.1, 3.0, 0.9], [0.3, 1.0, 1.3]], requires_grad=True)
    values = free_bits(kl, 1.0)
    assert values.shape == (2,)
    assert values.mean().item() == pytest.approx(1.0 + 2.0 + 1.1)
    values.mean().backward()
    assert kl.grad.tolist() == [[0.0, 0.5, 0.5], [0.0, 0.5, 0.5]]
    assert torch.equal(free_bits(kl, 0.0), kl.sum(1))
