"""Bounds compared with the likelihood of a linear Gaussian model, which has a closed form."""

import math

import pytest
import torch
from torch import nn

from limner.losses.bounds import LatentVariables
from limner.losses.likelihood import Bernoulli, GaussianLikelihood
from limner.losses.objectives import Elbo
from limner.metrics.likelihood import bits_per_dim, likelihood_bounds
from limner.models import VAE
from limner.models.gradients import Gradients
from limner.networks.priors import StandardNormal
from limner.pixels import to_float

SIGMA = 0.6
# The columns are orthogonal, so that the covariance of the posterior is diagonal.
W = torch.tensor([[0.5, 0.0], [0.5, 0.3], [0.0, 0.4], [0.5, -0.3], [0.1, 0.0], [0.0, 0.2]])


class Linear(nn.Module):
    """A decoder with E[x | z] = W z, as images of 1x2x3."""

    def forward(self, z):
        return (z @ W.T).unflatten(1, (1, 2, 3))


class Posterior(nn.Module):
    """The posterior p(z | x) of the linear model, shifted and widened."""

    def __init__(self, shift: float, widening: float):
        super().__init__()
        self.shift, self.widening = shift, widening

    def forward(self, x):
        precision = 1 + W.square().sum(0) / SIGMA**2
        mean = x.flatten(1) @ W / SIGMA**2 / precision
        logvar = -precision.log().expand_as(mean) + math.log(self.widening)
        return mean + self.shift, logvar


def vae(shift=0.0, widening=1.0, encoder=None, decoder=None, likelihood=None, num_classes=None):
    return VAE(
        encoder=encoder or Posterior(shift, widening), decoder=decoder or Linear(),
        likelihood=likelihood or GaussianLikelihood(sigma=SIGMA),
        prior=StandardNormal(latent_dim=2),
        objective=Elbo(free_bits=None), latent_dim=2, kl_weight=1.0, kl_schedule=None,
        num_classes=num_classes, text=None, optimizer=torch.optim.Adam, ema_half_life=None,
        gradients=Gradients(max_norm=None, accumulate=1),
    )  # fmt: skip


def images(num_images=100):
    random = torch.Generator().manual_seed(0)
    return torch.randint(40, 216, (num_images, 1, 2, 3), dtype=torch.uint8, generator=random)


def exact(stored):
    """Return the mean of log N(x; 0, W W' + sigma^2 I)."""
    covariance = W @ W.T + SIGMA**2 * torch.eye(6)
    p = torch.distributions.MultivariateNormal(torch.zeros(6), covariance)
    return p.log_prob(to_float(stored).flatten(1)).mean().item()


def bounded(model, *num_samples, stored=None, decoded_at_once=1000, pixels="stored", seed=0):
    stored = images() if stored is None else stored
    batches = ((part, None) for part in stored.split(40))
    return likelihood_bounds(
        model, batches, num_samples=num_samples, decoded_at_once=decoded_at_once,
        pixels=pixels, seed=seed,
    )  # fmt: skip


def test_bounds_with_the_exact_posterior_equal_the_likelihood_for_any_number_of_codes():
    found = bounded(vae(), 1, 5, 20)
    for bound in (found.elbo, *found.importance_weighted.values()):
        assert bound == pytest.approx(exact(images()), abs=1e-4)


class Brighter(nn.Module):
    """A decoder of images that are brighter by 0.3 times their class, or its encoder."""

    def __init__(self, network: nn.Module, *, is_decoder: bool):
        super().__init__()
        self.network, self.is_decoder = network, is_decoder

    def forward(self, x, labels):
        light = 0.3 * labels[:, None]
        if self.is_decoder:
            return self.network(x) + light[:, :, None, None]
        return self.network(x.flatten(1) - light)


def test_likelihood_of_a_conditional_model_is_conditional_on_the_class():
    model = vae(
        encoder=Brighter(Posterior(0.0, 1.0), is_decoder=False),
        decoder=Brighter(Linear(), is_decoder=True), num_classes=3,
    )  # fmt: skip
    stored, labels = images(), torch.arange(100) % 3
    batches = zip(stored.split(40), labels.split(40), strict=True)
    found = likelihood_bounds(
        model, batches, num_samples=[1, 5], decoded_at_once=200, pixels="stored", seed=0
    )
    p = torch.distributions.MultivariateNormal(torch.zeros(6), W @ W.T + SIGMA**2 * torch.eye(6))
    expected = p.log_prob(to_float(stored).flatten(1) - 0.3 * labels[:, None]).mean().item()
    assert found.importance_weighted[5] == pytest.approx(expected, abs=1e-4)
    assert found.elbo == pytest.approx(expected, abs=1e-4)


def test_bounds_are_in_order_and_approach_the_likelihood():
    found = bounded(vae(shift=0.7, widening=1.5), 1, 5, 50, 500)
    bounds = list(found.importance_weighted.values())
    gaps = [exact(images()) - bound for bound in bounds]
    assert found.elbo == pytest.approx(bounds[0])
    assert bounds == sorted(bounds)
    assert gaps[0] > 0.3
    assert gaps[2] < 0.1 * gaps[0]
    assert abs(gaps[3]) < 0.02, "the gap exceeds the noise of the bound"


def test_no_bound_exceeds_the_likelihood_by_more_than_its_noise():
    values = [bounded(vae(shift=0.5), 5, seed=seed).importance_weighted[5] for seed in range(30)]
    spread = torch.tensor(values)
    assert spread.mean() + 2 * spread.std() / 30**0.5 < exact(images())


def test_elbo_is_the_sum_of_its_terms_and_equals_the_closed_form():
    """The terms: KL of two Gaussians and E log p(x|z) with the variance of z times W squared."""
    model = vae(shift=0.3, widening=2.0)
    found = bounded(model, 4000)
    x = to_float(images())
    mean, logvar = model.network["encoder"](x)
    q, p = torch.distributions.Normal(mean, (logvar / 2).exp()), torch.distributions.Normal(0, 1)
    kl = torch.distributions.kl_divergence(q, p).sum(1).mean()
    errors = (x.flatten(1) - mean @ W.T).square().sum(1) + logvar.exp() @ W.square().sum(0)
    expected = -errors / (2 * SIGMA**2) - 6 * math.log(SIGMA * math.sqrt(2 * math.pi))
    assert found.kl == pytest.approx(kl.item(), abs=0.02)
    assert found.reconstruction == pytest.approx(expected.mean().item(), abs=0.02)
    assert found.elbo == pytest.approx(found.reconstruction - found.kl)
    assert (found.num_images, found.num_values) == (100, 6)


def test_elbo_equals_the_negative_training_loss():
    model = vae(shift=0.3)
    torch.manual_seed(0)
    x = to_float(images())
    eps = torch.randn(400, len(x), model.latent_dim)
    losses = [
        model._losses(model.network, x, None, e[:, None], kl_weight=1.0)["loss"] for e in eps
    ]
    assert bounded(model, 400).elbo == pytest.approx(-torch.stack(losses).mean().item(), abs=0.05)


def test_decoder_gets_at_most_the_allowed_number_of_codes():
    seen = []

    class Watched(Linear):
        def forward(self, z):
            seen.append(len(z))
            return super().forward(z)

    found = bounded(vae(shift=0.5, decoder=Watched()), 25, decoded_at_once=120)
    assert max(seen) <= 120
    assert sum(seen) == 25 * 100
    whole = bounded(vae(shift=0.5), 25, decoded_at_once=10**6)
    assert found.importance_weighted[25] == pytest.approx(whole.importance_weighted[25], abs=0.02)


def test_bounds_do_not_underflow_when_weights_are_small():
    """exp(-10^4) is 0 in floating point; its logarithm is not -infinity."""
    black = torch.zeros(2, 1, 2, 3, dtype=torch.uint8)

    class White(Linear):
        def forward(self, z):
            return super().forward(z) + 50

    found = bounded(vae(decoder=White()), 3, stored=black)
    assert -math.inf < found.importance_weighted[3] < -1e4


def test_binarised_images_are_random_draws():
    """If p(x|z) ignores z, log p(x) is -ln 2 per pixel, and the draws follow the pixel values."""

    class Fair(nn.Module):
        def forward(self, z):
            return z.new_zeros(len(z), 1, 2, 3)

    class Prior(nn.Module):
        def forward(self, x):
            assert set(x.unique().tolist()) <= {-1.0, 1.0}
            means.append(x.mean().item())
            return x.new_zeros(len(x), 2), x.new_zeros(len(x), 2)

    means = []
    stored = torch.full((2000, 1, 2, 3), 204, dtype=torch.uint8)
    model = vae(encoder=Prior(), decoder=Fair(), likelihood=Bernoulli())
    found = bounded(model, 2, stored=stored, pixels="binarised")
    assert found.elbo == pytest.approx(-6 * math.log(2), rel=1e-5)
    assert sum(means) / len(means) == pytest.approx(0.6, abs=0.03)
    bits = bits_per_dim(found.elbo, num_values=6, is_density=Bernoulli.is_density)
    assert bits == pytest.approx(1)


def test_dequantised_images_stay_within_their_level():
    class Kept(Posterior):
        def forward(self, x):
            kept.append(x)
            return super().forward(x)

    kept = []
    bounded(vae(encoder=Kept(0.0, 1.0)), 1, pixels="dequantised")
    difference = torch.cat(kept) - to_float(images())
    assert difference.abs().max() <= 1 / 255 + 1e-6
    assert difference.std() == pytest.approx(2 / 255 / math.sqrt(12), rel=0.1)


def test_equal_levels_cost_eight_bits():
    """The distribution is uniform over the 256 levels, as a density and as a probability."""
    density = -10 * math.log(256 * 2 / 255)
    assert bits_per_dim(density, num_values=10, is_density=True) == pytest.approx(8)
    probability = -10 * math.log(256)
    assert bits_per_dim(probability, num_values=10, is_density=False) == pytest.approx(8)


def test_vae_follows_the_protocol_of_latent_variable_models():
    assert isinstance(vae(), LatentVariables)
