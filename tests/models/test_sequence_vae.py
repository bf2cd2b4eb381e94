"""The VAE of sequences: its bound, its samples, and refusals of parts for single images."""

import pytest
import torch
from torch import nn

from limner.config.build import build
from limner.errors import UserError
from limner.losses.likelihood import Bernoulli, GaussianLikelihood
from limner.losses.logistic import LogisticMixture
from limner.metrics.likelihood import likelihood_bounds
from limner.pixels import to_uint8

FRAMES = 2 * torch.rand(5, 4, 1, 8, 8, generator=torch.Generator().manual_seed(0)) - 1
SMALL = (
    "data=moving_shapes", "data.num_channels=1", "data.image_size=8", "data.num_inputs=2",
    "data.num_targets=2", "model.latent_dim=3", "network.encoder.width=8",
    "network.encoder.max_width=8", "network.encoder.hidden_dim=8", "network.decoder.width=8",
    "network.decoder.patch_size=2",
)  # fmt: skip


@pytest.fixture
def made(composed):
    def make(*overrides):
        torch.manual_seed(0)
        vae = build(composed("model=sequence_vae", *SMALL, *overrides), "model")
        nn.Module.__setattr__(vae, "_trainer", None)
        return vae

    return make


def test_loss_is_the_negative_elbo_summed_over_all_frames(made):
    vae = made("model.likelihood.sigma=0.5")
    eps = torch.randn(5, 1, 3)
    found = vae._losses(vae.network, FRAMES, None, eps, kl_weight=1.0)
    mean, logvar = vae.network["encoder"](FRAMES)
    output = vae.network["decoder"](mean + (logvar / 2).exp() * eps[:, 0])
    log_p = sum(
        torch.distributions.Normal(output[:, t], 0.5).log_prob(FRAMES[:, t]).flatten(1).sum(1)
        for t in range(4)
    )
    kl = torch.distributions.kl_divergence(
        torch.distributions.Normal(mean, (logvar / 2).exp()), torch.distributions.Normal(0.0, 1.0)
    ).sum(1)
    assert found["loss"].item() == pytest.approx((kl - log_p).mean().item(), rel=1e-5)


@pytest.mark.parametrize(
    "likelihood", [Bernoulli(), GaussianLikelihood(sigma=0.3), LogisticMixture(num_components=2)]
)
def test_log_probability_of_a_sequence_is_the_sum_over_its_frames(likelihood):
    frames = torch.cat([FRAMES, FRAMES.flip(1)], 2)
    params = torch.randn(5, 4, 2 * likelihood.params_per_value, 8, 8)
    expected = sum(likelihood.log_prob(params[:, t], frames[:, t]) for t in range(4))
    assert torch.allclose(likelihood.log_prob(params, frames), expected, rtol=1e-5)
    means = torch.stack([likelihood.mean(params[:, t]) for t in range(4)], 1)
    assert torch.allclose(likelihood.mean(params), means, atol=1e-6)


def test_samples_are_sequences_that_the_generator_determines(made):
    vae = made()
    first, again, other = (
        vae.sample(4, generator=torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)
    )
    assert first.shape == (4, 4, 1, 8, 8)
    assert first.abs().max() <= 1
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    codes = vae.sample_codes(2)
    assert vae.generate(codes, num_frames=7).shape == (2, 7, 1, 8, 8)
    assert vae.reconstruct(FRAMES).shape == FRAMES.shape
    assert vae.encode(FRAMES).shape == (5, 3)


@pytest.mark.parametrize("prior", ["standard_normal", "flow", "mixture"])
def test_bounds_of_a_sequence_are_ordered(made, prior):
    vae = made(f"model/prior={prior}")
    bounds = likelihood_bounds(
        vae, [(to_uint8(FRAMES), None)], num_samples=(1, 5, 20), decoded_at_once=16,
        pixels="stored", seed=0, device=torch.device("cpu"),
    )  # fmt: skip
    assert bounds.num_values == FRAMES[0].numel()
    values = [bounds.elbo, *bounds.importance_weighted.values()]
    assert values == sorted(values)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["model/likelihood=perceptual"], "draws sequences: choose model/likelihood=gaussian"),
        (["model/prior=vamp"], "choose another model/prior, such as flow"),
    ],
)
def test_sequence_vae_refuses_parts_of_single_images(made, words, message):
    with pytest.raises(UserError, match=message):
        made(*words)


@pytest.mark.parametrize("words", [["network=conv"], ["network=ladder", "model.latent_dim=null"]])
def test_sequence_vae_refuses_networks_of_single_images(composed, words):
    config = composed("model=sequence_vae", "data=moving_shapes", *words)
    with pytest.raises(UserError, match="choose network=recurrent"):
        build(config, "model")
