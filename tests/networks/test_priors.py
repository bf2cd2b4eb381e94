"""Priors: densities that integrate to one, and samples that follow the density."""

import pytest
import torch
from sklearn import mixture
from torch import distributions as D
from torch import nn

from limner.networks.flow import FlowPrior
from limner.networks.priors import GaussianMixture, StandardNormal, VampPrior

DIM = 2


def encoder(images):
    """Return mean and log-variance of images of four values, as a linear map."""
    weight = torch.linspace(-1, 1, 16).view(4, 4)
    mean, logvar = (images.flatten(1) @ weight).chunk(2, dim=1)
    return 2 * mean, logvar - 1


def made(name):
    torch.manual_seed(3)
    if name == "standard":
        return StandardNormal(latent_dim=DIM).given(encoder)
    if name == "vamp":
        return VampPrior(image_shape=(1, 2, 2), num_components=5).given(encoder)
    if name == "mixture":
        prior = GaussianMixture(latent_dim=DIM, num_components=3)
        factors = torch.randn(3, DIM, DIM)
        covariances = factors @ factors.mT + 0.2 * torch.eye(DIM)
        weights = torch.tensor([0.5, 0.2, 0.3])
        prior.set(weights=weights, means=2 * torch.randn(3, DIM), covariances=covariances)
        return prior.given(encoder)
    return bent(FlowPrior(latent_dim=DIM, num_layers=4, hidden_dim=16)).given(encoder)


def bent(flow):
    """Set weights as after training, different from the identity."""
    for parameter in flow.parameters():
        nn.init.normal_(parameter, std=0.25)
    return flow


NAMES = ["standard", "vamp", "mixture", "flow"]


@pytest.mark.parametrize("name", NAMES)
def test_prior_density_integrates_to_one_and_samples_follow_it(name):
    prior = made(name)
    axis = torch.linspace(-15, 15, 601)
    grid = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), dim=2)  # (601, 601, 2)
    with torch.no_grad():
        mass = prior.log_prob(grid).exp() * 0.05**2
        codes = prior.sample(20_000, generator=torch.Generator().manual_seed(0))
        entropy = -prior.log_prob(codes)
    assert mass.shape == (601, 601)
    assert mass.sum().item() == pytest.approx(1, abs=2e-3)
    for power in (1, 2):
        expected = (mass[..., None] * grid**power).sum((0, 1))
        error = (codes**power).std(0) / len(codes) ** 0.5
        assert ((codes**power).mean(0) - expected).abs().max() < 5 * error.max()
    expected = -torch.special.xlogy(mass, mass / 0.05**2).sum().item()
    assert entropy.mean().item() == pytest.approx(expected, abs=0.05)


@pytest.mark.parametrize("name", NAMES)
def test_prior_accepts_codes_of_any_leading_shape(name):
    prior = made(name)
    z = torch.randn(3, 4, DIM)
    values = prior.log_prob(z)
    assert values.shape == (3, 4)
    assert torch.allclose(values[1], prior.log_prob(z[1]), atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_prior_draws_the_same_codes_for_the_same_generator(name):
    prior = made(name)
    first, second = (prior.sample(7, generator=torch.Generator().manual_seed(5)) for _ in "ab")
    assert first.shape == (7, DIM)
    assert torch.equal(first, second)


def test_standard_normal_agrees_with_torch():
    z = torch.randn(5, 9, dtype=torch.float64)
    expected = D.Normal(0.0, 1.0).log_prob(z).sum(1)
    assert torch.allclose(StandardNormal(latent_dim=9).log_prob(z), expected)
    assert not StandardNormal(latent_dim=9).state_dict()


def test_vampprior_is_the_mixture_of_the_posteriors_of_its_images():
    prior = VampPrior(image_shape=(1, 2, 2), num_components=5)
    assert prior.pseudo_inputs.shape == (5, 1, 2, 2)
    assert prior.pseudo_inputs.abs().max() <= 1
    mean, logvar = encoder(prior.pseudo_inputs)
    parts = D.Independent(D.Normal(mean, (logvar / 2).exp()), 1)
    expected = D.MixtureSameFamily(D.Categorical(torch.ones(5)), parts)
    z = torch.randn(8, DIM)
    assert torch.allclose(prior.given(encoder).log_prob(z), expected.log_prob(z), atol=1e-5)


def test_vampprior_gradient_reaches_images_and_encoder():
    prior = VampPrior(image_shape=(1, 4, 4), num_components=6)
    layers = nn.Sequential(nn.Flatten(), nn.Linear(16, 2 * DIM))
    prior.given(lambda x: layers(x).chunk(2, dim=1)).log_prob(torch.randn(9, DIM)).sum().backward()
    assert prior.free.grad.flatten(1).any(1).all()
    assert layers[1].weight.grad.any()


def test_prior_computes_many_codes_in_parts(monkeypatch):
    vamp, gaussians, z = made("vamp"), made("mixture"), torch.randn(50, DIM)
    whole = vamp.log_prob(z), gaussians.log_prob(z)
    monkeypatch.setattr("limner.networks.priors.MAX_TERMS", 64)
    assert torch.allclose(vamp.log_prob(z), whole[0], atol=1e-6)
    assert torch.allclose(gaussians.log_prob(z), whole[1], atol=1e-6)


def test_gaussian_mixture_keeps_the_parameters_fitted_by_scikit_learn():
    generator = torch.Generator().manual_seed(0)
    codes = torch.randn(400, 3, generator=generator) @ torch.randn(3, 3, generator=generator)
    codes[:150] += torch.tensor([6.0, 0.0, -3.0])
    fit = mixture.GaussianMixture(n_components=2, random_state=0).fit(codes.double().numpy())
    prior = GaussianMixture(latent_dim=3, num_components=2)
    assert torch.allclose(prior.log_prob(codes), StandardNormal(latent_dim=3).log_prob(codes))
    prior.set(
        weights=torch.from_numpy(fit.weights_),
        means=torch.from_numpy(fit.means_),
        covariances=torch.from_numpy(fit.covariances_),
    )
    expected = torch.from_numpy(fit.score_samples(codes.double().numpy())).float()
    assert torch.allclose(prior.log_prob(codes), expected, atol=1e-4)
    assert not list(prior.parameters())
    loaded = GaussianMixture(latent_dim=3, num_components=2)
    loaded.load_state_dict(prior.state_dict())
    assert torch.equal(loaded.log_prob(codes), prior.log_prob(codes))


@pytest.mark.parametrize("latent_dim", [2, 3, 6])
def test_flow_is_inverted_and_its_determinant_is_the_determinant_of_the_jacobian(latent_dim):
    flow = bent(FlowPrior(latent_dim=latent_dim, num_layers=3, hidden_dim=12)).double()
    z = torch.randn(5, latent_dim, dtype=torch.float64)
    noise, log_det = flow(z)
    assert torch.allclose(flow.inverse(noise), z)
    jacobians = [torch.autograd.functional.jacobian(lambda x: flow(x)[0], row) for row in z]
    expected = torch.stack([torch.linalg.slogdet(j).logabsdet for j in jacobians])
    assert torch.allclose(log_det, expected)
    assert all((j.abs().sum(0) > 0).all() and (j - j.diag().diag()).any() for j in jacobians)


def test_new_flow_is_the_standard_normal():
    z = torch.randn(6, 5)
    flow = FlowPrior(latent_dim=5, num_layers=4, hidden_dim=8)
    assert torch.allclose(flow.log_prob(z), StandardNormal(latent_dim=5).log_prob(z))


def test_flow_learns_a_distribution_that_a_normal_cannot():
    """On a ring of radius 2, new points are much more likely than under the best normal."""
    angle = 6.2832 * torch.rand(2000, 1)
    radius = 2 + 0.1 * torch.randn(2000, 1)
    codes = torch.cat([radius * angle.cos(), radius * angle.sin()], dim=1)
    train, test = codes.split([1500, 500])
    flow = FlowPrior(latent_dim=2, num_layers=6, hidden_dim=32)
    optimizer = torch.optim.Adam(flow.parameters(), lr=5e-3)
    for _ in range(120):
        optimizer.zero_grad()
        (-flow.log_prob(train[torch.randint(1500, (256,))]).mean()).backward()
        optimizer.step()
    normal = D.MultivariateNormal(train.mean(0), train.T.cov()).log_prob(test).mean()
    assert flow.log_prob(test).mean() > normal + 0.5


@pytest.mark.parametrize(
    ("make", "key"),
    [
        (lambda: VampPrior(image_shape=(1, 2, 2), num_components=0), "num_components=0"),
        (lambda: GaussianMixture(latent_dim=2, num_components=0), "num_components=0"),
        (lambda: FlowPrior(latent_dim=1, num_layers=2, hidden_dim=4), "latent_dim=1"),
        (lambda: FlowPrior(latent_dim=4, num_layers=1, hidden_dim=4), "num_layers=1"),
    ],
)
def test_priors_refuse_invalid_values(make, key):
    with pytest.raises(ValueError, match=key):
        make()
