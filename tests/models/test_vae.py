"""The VAE family: the loss, samples, bounds and refusals of each member."""

import math

import pytest
import torch
from torch import nn

from limner.config.build import build
from limner.losses.likelihood import GaussianLikelihood
from limner.losses.objectives import Elbo, ImportanceWeighted
from limner.models import VAE
from limner.models.gradients import Gradients
from limner.networks.priors import StandardNormal

IMAGES = 2 * torch.rand(6, 1, 8, 8) - 1
LABELS = torch.arange(6)


@pytest.fixture
def made(composed):
    def make(*overrides):
        vae = build(composed("model=vae", "network=mlp", *overrides), "model")
        nn.Module.__setattr__(vae, "_trainer", None)
        return vae

    return make


def losses(vae, num_samples=1):
    eps = torch.randn(num_samples, len(IMAGES), vae.latent_dim)
    labels = None if vae.num_classes is None else LABELS
    return vae._losses(vae.network, IMAGES, labels, eps.transpose(0, 1), kl_weight=vae.kl_weight)


def test_negative_elbo_is_the_sum_of_its_terms(made):
    found = losses(made("model.kl_weight=2.0"))
    expected = found["reconstruction"] + 2 * found["kl"]
    assert found["loss"].item() == pytest.approx(expected.item(), rel=1e-5)
    assert found["kl"] >= 0


class Linear(nn.Module):
    """An encoder with the exact posterior of images x = (2, 0, 1, -1) z + noise."""

    factors = torch.tensor([[2.0, 0.0, 1.0, -1.0]])

    def forward(self, images, labels=None):
        precision = 1 + self.factors.square().sum()
        mean = images.flatten(1) @ self.factors.T / precision
        return mean, torch.full_like(mean, -math.log(precision))


class Blurred(Linear):
    """An encoder whose posterior is twice as wide, and shifted."""

    def forward(self, images, labels=None):
        mean, logvar = super().forward(images)
        return mean + 0.1, logvar + 2 * math.log(2)


class Back(nn.Module):
    def forward(self, z, labels=None):
        return (z @ Linear.factors).unflatten(1, (1, 2, 2))


def linear(encoder, objective):
    return VAE(
        encoder=encoder, decoder=Back(), likelihood=GaussianLikelihood(sigma=1.0),
        prior=StandardNormal(latent_dim=1), objective=objective, latent_dim=1, kl_weight=1.0,
        kl_schedule=None, num_classes=None, text=None, optimizer=torch.optim.Adam,
        gradients=Gradients(max_norm=None, accumulate=1), ema_half_life=None,
    )  # fmt: skip


def exact(images):
    """Return log p(x) of the linear-Gaussian model, N(0, I + f f^T)."""
    factors = Linear.factors
    covariance = torch.eye(4) + factors.T @ factors
    density = torch.distributions.MultivariateNormal(torch.zeros(4), covariance)
    return density.log_prob(images.flatten(1))


def test_elbo_of_the_exact_posterior_is_the_log_likelihood():
    images = torch.randn(500, 1, 2, 2)
    vae = linear(Linear(), Elbo(free_bits=None))
    weights = vae.log_weights(images, num_samples=3)
    found = weights.reconstruction - weights.kl
    assert torch.allclose(found, exact(images).expand(3, -1), atol=1e-4)


def test_importance_weighted_bound_is_the_log_likelihood_within_its_error():
    images, num_samples = torch.randn(200, 1, 2, 2), 5000
    vae = linear(Blurred(), ImportanceWeighted(num_samples=5, doubly_reparameterised=False))
    generator = torch.Generator().manual_seed(0)
    drawn = vae.log_weights(images, num_samples=num_samples, generator=generator)
    log_weights = (drawn.reconstruction - drawn.kl).double()
    bound = log_weights.logsumexp(0) - math.log(num_samples)
    relative = (log_weights - bound).exp().std(0) / num_samples**0.5
    error = ((bound - exact(images)) / relative).square().mean().sqrt()
    assert 0.8 < error < 1.2, "errors do not match the standard errors"
    assert (log_weights.mean(0) < bound).all()


def test_importance_weighted_gradients_agree_and_the_doubly_reparameterised_one_varies_less():
    images = torch.randn(1, 1, 2, 2).expand(20_000, 1, 2, 2)
    found = {}
    for is_dreg in (False, True):
        encoder = Blurred()
        shift = nn.Parameter(torch.zeros(len(images), 1))
        encoder.forward = lambda x, labels=None, e=encoder, s=shift: (
            Blurred.forward(e, x)[0] + s, Blurred.forward(e, x)[1],
        )  # fmt: skip
        objective = ImportanceWeighted(num_samples=8, doubly_reparameterised=is_dreg)
        vae = linear(encoder, objective)
        vae.trainer = None
        eps = torch.randn(8, len(images), 1)
        losses = vae._losses(vae.network, images, None, eps.transpose(0, 1), kl_weight=1.0)
        losses["loss"].backward()
        found[is_dreg] = len(images) * shift.grad
    plain, dreg = found[False], found[True]
    error = (plain.var() / len(plain) + dreg.var() / len(dreg)).sqrt()
    assert abs(plain.mean() - dreg.mean()) < 3 * error
    assert dreg.var() < 0.5 * plain.var()


@pytest.mark.parametrize("choice", ["model/prior=vamp", "model/prior=mixture", "model/prior=flow"])
def test_learned_prior_is_trained_and_sampled(made, choice):
    vae = made(choice)
    losses(vae)["loss"].backward()
    assert all(p.grad is not None for p in vae.network["prior"].parameters())
    codes = [vae.sample_codes(4, generator=torch.Generator().manual_seed(i)) for i in (0, 0, 1)]
    assert torch.equal(codes[0], codes[1])
    assert not torch.equal(codes[0], codes[2])
    assert vae.sample(3).shape == (3, 1, 8, 8)


def test_vae_samples_depend_on_labels_and_repeat_for_the_same_generator(made):
    vae = made("model/condition=concat")
    draw = {"generator": torch.Generator().manual_seed(0)}
    zeros = vae.sample(4, labels=torch.zeros(4, dtype=torch.int64), **draw)
    draw["generator"].manual_seed(0)
    ones = vae.sample(4, labels=torch.ones(4, dtype=torch.int64), **draw)
    assert not torch.equal(zeros, ones)
    draws = [vae.sample(4, generator=torch.Generator().manual_seed(1)) for _ in "ab"]
    assert torch.equal(*draws)
    assert vae.reconstruct(IMAGES, LABELS).shape == IMAGES.shape
    with pytest.raises(ValueError, match="needs labels, but got none"):
        vae.encode(IMAGES)


def test_ladder_vae_has_the_bounds_of_a_vae(composed):
    vae = build(composed("model=ladder_vae"), "model")
    assert vae.latent_dim == vae.network["decoder"].latent_dim
    weights = vae.log_weights(IMAGES, num_samples=3)
    assert weights.kl.shape == (3, 6)
    assert vae.encode(IMAGES).shape == (6, vae.latent_dim)
    assert vae.reconstruct(IMAGES).shape == IMAGES.shape


class FirstLook(nn.Module):
    """The encoder that the first step of DRAW is, without attention."""

    def __init__(self, network):
        super().__init__()
        self.encoder, self.decoder = network["encoder"], network["decoder"]

    def forward(self, images, labels=None):
        canvas = self.decoder.canvas(len(images), None)
        hidden = self.decoder.start(len(images), None)[:, 0]
        return self.encoder(images)(canvas, hidden)


class OnlyStep(nn.Module):
    """The decoder that the only step of DRAW is, without attention."""

    def __init__(self, decoder):
        super().__init__()
        self.decoder = decoder

    def forward(self, z, labels=None):
        decoder = self.decoder
        hidden, _ = decoder.cell([z], decoder.start(len(z), None).unbind(1))
        first = decoder.canvas(len(z), None).transpose(1, 2)
        return first + decoder.to_patch(hidden).unflatten(1, (8, 1, 8)).transpose(1, 2)


def test_draw_of_one_step_without_attention_is_a_vae(composed):
    size = ["network.num_steps=1", "network.encoder.read_size=null",
            "network.decoder.write_size=null"]  # fmt: skip
    painter = build(composed("model=draw", *size), "model")
    for parameter in painter.network.parameters():
        nn.init.normal_(parameter, std=0.1)
    prior = StandardNormal(latent_dim=painter.latent_dim)
    plain = VAE(
        encoder=FirstLook(painter.network), decoder=OnlyStep(painter.network["decoder"]),
        likelihood=painter.likelihood, prior=prior, objective=Elbo(free_bits=None),
        latent_dim=painter.latent_dim, kl_weight=1.0, kl_schedule=None, num_classes=None,
        text=None, optimizer=None, gradients=None, ema_half_life=None,
    )  # fmt: skip
    eps = torch.randn(2, 6, painter.latent_dim).transpose(0, 1)
    found, expected = (
        vae._losses(vae.network, IMAGES, None, eps, kl_weight=1.0) for vae in (painter, plain)
    )
    for name, value in expected.items():
        assert found[name].item() == pytest.approx(value.item(), rel=1e-5), name
    weights = [
        vae.log_weights(IMAGES, num_samples=3, generator=torch.Generator().manual_seed(0))
        for vae in (painter, plain)
    ]
    for part, other in zip(*weights, strict=True):
        assert torch.allclose(part, other, rtol=1e-5, atol=1e-4)


def test_draw_has_the_bounds_of_a_vae_and_paints_in_steps(composed):
    vae = build(composed("model=draw", "network.num_steps=3", "network.num_codes=4"), "model")
    assert vae.latent_dim == 12
    weights = vae.log_weights(IMAGES, num_samples=3)
    assert weights.kl.shape == (3, 6)
    z = vae.encode(IMAGES)
    assert z.shape == (6, 12)
    painted = vae.paint(z)
    assert painted.shape == (3, *IMAGES.shape)
    assert torch.equal(painted[-1], vae.reconstruct(IMAGES))
    assert painted.abs().max() <= 1


def test_paint_of_a_vae_without_steps_has_one_step(made):
    vae = made()
    z = torch.randn(2, vae.latent_dim)
    assert torch.equal(vae.paint(z), vae.generate(z).unsqueeze(0))


def test_rae_adds_no_noise(made):
    vae = made("model/objective=rae")
    first, second = losses(vae), losses(vae)
    assert first["loss"] == second["loss"]
    assert first["loss"] > first["reconstruction"]


def test_kl_weight_follows_its_schedule(made):
    vae = made("model/kl_schedule=linear", "model.kl_schedule.num_updates=10")
    seen = [vae.kl_weight_at(update) for update in (0, 5, 10, 20)]
    assert seen == pytest.approx([0, 0.5, 1, 1])
    found = losses(vae)
    assert found["loss"].item() == pytest.approx(
        (found["reconstruction"] + found["kl"]).item(), rel=1e-6
    ), "validation has the full weight"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["model/objective=iwae", "model.objective.num_samples=0"],
            "num_samples=0: must be 1 or more",
        ),
        (["model/objective=iwae", "model.kl_weight=2.0"], "does not support a KL weight"),
        (["model/objective=iwae", "model/kl_schedule=linear"], "does not support a KL weight"),
        (["model.objective.free_bits=-1"], "free_bits=-1"),
        (["model/objective=rae", "model.objective.decoder_weight=-1"], "decoder_weight=-1"),
        (["model/condition=concat", "model/prior=vamp"], "choose another model/prior"),
        (["network=ladder"], r"latent_dim=32: must be null, (.|\n)* model=ladder_vae or"),
        (["network=ladder", "model.latent_dim=null", "model/objective=dreg"], "A ladder"),
        (["network=draw", "model.latent_dim=null", "model/objective=dreg"], "A ladder or DRAW"),
        (["network=draw"], r"latent_dim=32: must be null, (.|\n)* or model=draw"),
        (["model/prior=mixture", "model.prior.num_components=0"], "num_components=0"),
    ],
)
def test_vaes_refuse_invalid_values(made, overrides, message):
    with pytest.raises(Exception, match=message):
        made(*overrides)


def test_images_out_of_the_range_of_the_likelihood_are_refused_before_training(run, monkeypatch):
    monkeypatch.setattr("limner.models.variational.to_float", lambda images: images.float())
    result = run("model/likelihood=bernoulli", "metrics=none", "trainer.max_steps=1")
    assert result.code == 1
    assert "model/likelihood=bernoulli reads images in [-1, 1]" in result.err
