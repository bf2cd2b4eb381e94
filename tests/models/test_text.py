"""GANs and VAEs that read texts."""

import copy

import pytest
import torch

from limner.config.build import build
from limner.errors import UserError
from limner.losses.matching import Matched
from limner.models.adversarial import Inputs
from limner.models.adversarial_checks import validation_losses
from limner.models.conditions import drawn_labels

FACTS = ["data=shapes", "data.captions=true", "data.image_shape=[1,8,8]", "data.num_tokens=9",
         "data.text_length=4", "model.text.code_dim=6", "model.text.width=8",
         "model.text.num_blocks=1"]  # fmt: skip
TINY = {
    "dcgan": ["network.generator.width=8", "network.discriminator.width=8",
              "network.discriminator_norm=none"],
    "mlp": ["network.generator.hidden_dims=[16]", "network.discriminator.hidden_dims=[16]"],
    "resnet": ["network.generator.width=8", "network.generator.max_width=8",
               "network.discriminator.width=8", "network.discriminator.max_width=8"],
}  # fmt: skip
TINY["resnet_large"] = TINY["resnet"]
TINY["stylegan2"] = [*TINY["resnet"], "network.generator.style_dim=16"]


@pytest.fixture
def made(composed):
    """Return a function that makes a small model of texts of 4 tokens, for 8x8 images."""

    def make(*words, model="gan", network="dcgan"):
        condition = "text" if model == "gan" else "text_vae"
        tiny = TINY[network] if model == "gan" else []
        overrides = [f"model={model}", f"network={network}", f"model/condition={condition}"]
        built = build(composed(*overrides, *tiny, *FACTS, *words), "model")
        built.captions.copy_(texts(256))
        return built

    return make


def texts(num=6):
    """Return different texts int64 (num, 4), with padding."""
    numbers = torch.arange(num)
    columns = [2 + numbers % 7, 2 + numbers // 7 % 7, numbers % 2 * 3, 0 * numbers]
    return torch.stack(columns, 1)


def inputs_for(model, num_images=6):
    return Inputs(
        real=torch.rand(num_images, 1, 8, 8) * 2 - 1, labels=texts(num_images),
        z=torch.randn(num_images, model.latent_dim), for_real=torch.rand(num_images, 0),
        for_fake=torch.rand(num_images, 0),
        for_penalty=torch.rand(num_images, model.penalty.num_draws),
    )  # fmt: skip


@pytest.mark.parametrize("network", TINY)
@pytest.mark.parametrize("loss", ["hinge", "relativistic"])
def test_losses_of_a_gan_reach_the_players_that_minimise_them(made, network, loss):
    words = ["model/loss=relativistic", "model/penalty=r1_r2"] if loss != "hinge" else []
    model = made(*words, network=network)
    inputs = inputs_for(model)
    losses = model.objective.discriminator_losses(inputs, 0, update=0).means
    assert {"loss_discriminator", "mismatch_discriminator", "contrastive_discriminator"} <= (
        losses.keys()
    )
    sum(losses.values()).backward()
    for name, weight in model.discriminator.named_parameters():
        assert weight.grad is not None, name
        if (loss, name) != ("relativistic", "network.classify.bias"):  # it moves all logits alike
            assert weight.grad.abs().sum() > 0, name
    assert all(weight.grad is None for weight in model.generator.network.parameters())


def test_the_loss_of_the_generator_does_not_reach_the_encoder_of_texts(made):
    model = made()
    model.discriminator.requires_grad_(True)  # G's step sets false: its path must be cut too
    images = model.generator(torch.randn(6, model.latent_dim), texts())
    images.square().mean().backward()
    assert all(w.grad is None for w in model.generator.encoder.parameters())
    model.discriminator.requires_grad_(False)
    losses = model.objective.generator_losses(inputs_for(model)).means
    assert losses.keys() == {"loss_generator", "contrastive_generator"}
    sum(losses.values()).backward()
    assert all(w.grad is None for w in model.discriminator.parameters())
    assert all(w.grad.abs().sum() > 0 for w in model.generator.network.parameters())


def test_each_weight_belongs_to_one_optimizer_and_the_encoder_to_the_discriminators(made):
    model = made()
    of_g, of_d = (
        {id(w) for group in optimizer.param_groups for w in group["params"]}
        for optimizer in model.configure_optimizers()
    )
    assert not of_g & of_d
    assert of_g | of_d == {id(w) for w in model.parameters() if w.requires_grad}
    assert {id(w) for w in model.discriminator.encoder.parameters()} <= of_d


def test_average_of_the_generator_contains_an_average_of_its_encoder(made):
    model = made("model.ema_half_life=10")
    before = copy.deepcopy(model.ema.network.encoder.embedding.weight)
    with torch.no_grad():
        model.discriminator.encoder.embedding.weight += 1.0
    model.ema.update(model.generator, num_images=10, update=100)
    after = model.ema.network.encoder.embedding.weight
    torch.testing.assert_close(after, before + 0.5)


def test_discriminator_judges_each_image_with_its_text_and_with_the_text_before(made):
    model = made().eval()
    images, labels = torch.rand(6, 1, 8, 8), texts()
    logits, more = model.discriminator(images, labels)
    assert isinstance(more, Matched)
    wrong, _ = model.discriminator(images, labels.roll(1, 0))
    torch.testing.assert_close(more.wrong_logits, wrong)
    torch.testing.assert_close(more.logits, logits)


@pytest.mark.parametrize("kind", [("gan", "dcgan"), ("vae", "conv")])
def test_images_depend_on_the_text_and_not_on_its_padding(made, kind):
    model = made(model=kind[0], network=kind[1])
    with torch.no_grad():
        for weight in model.parameters():
            weight += 0.1 * torch.randn_like(weight)
    z = torch.randn(1, model.latent_dim).expand(2, -1)
    same = model.generate(z, torch.tensor([[2, 3, 0, 0], [2, 3, 0, 0]]))
    torch.testing.assert_close(same[0], same[1])
    short = model.generate(z, torch.tensor([[2, 3], [2, 4]]))
    torch.testing.assert_close(short[0], same[0], atol=1e-5, rtol=1e-5)
    assert (short[1] - short[0]).abs().max() > 1e-4


@pytest.mark.parametrize("kind", [("gan", "mlp"), ("vae", "mlp")])
def test_samples_without_texts_are_those_of_drawn_captions(made, kind):
    model = made(model=kind[0], network=kind[1]).eval()
    one, other = (torch.Generator().manual_seed(3) for _ in range(2))
    z = torch.randn(5, model.latent_dim, generator=other)
    expected = model.generate(z, drawn_labels(model, 5, generator=other))
    torch.testing.assert_close(model.sample(5, generator=one), expected)


@pytest.mark.parametrize("network", ["conv", "mlp", "residual"])
@pytest.mark.parametrize("objective", ["elbo", "iwae"])
def test_the_bound_of_a_vae_trains_its_encoder_of_texts(made, network, objective):
    model = made(f"model/objective={objective}", model="vae", network=network)
    eps = torch.randn(6, model.objective.num_samples, model.latent_dim)
    images = torch.rand(6, 1, 8, 8) * 2 - 1
    losses = model._losses(model.network, images, texts(), eps, kl_weight=1.0)
    losses["loss"].backward()
    for name, weight in model.network.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.abs().sum() > 0, name


def test_validation_losses_of_a_gan_have_the_names_of_training(made):
    model = made(network="mlp").eval()
    found = validation_losses(model, {"image": torch.rand(6, 1, 8, 8), "text": texts()})
    assert found.keys() == {
        "loss_discriminator", "mismatch_discriminator", "contrastive_discriminator",
        "loss_generator", "contrastive_generator",
    }  # fmt: skip


def test_a_discriminator_that_cannot_read_codes_is_refused(made):
    with pytest.raises(UserError, match=r"network\.discriminator_condition=concat"):
        made("network.discriminator_condition=concat")


def test_conditioning_augmentation_draws_codes_from_the_first_numbers_of_z(made):
    model = made("model.auxiliary.augmentation_weight=2.0", network="mlp")
    z, labels = torch.randn(6, model.latent_dim), texts()
    images = model.generator(z, labels)
    other = z.clone()
    other[:, :6] = torch.randn(6, 6)
    assert (model.generator(other, labels) - images).abs().max() > 1e-4
    with torch.no_grad():  # a variance of 0
        model.generator.gaussian.weight[6:], model.generator.gaussian.bias[6:] = 0.0, -60.0
    fixed = model.generator(z, labels)
    torch.testing.assert_close(model.generator(other, labels), fixed)
    losses = model.objective.generator_losses(inputs_for(model)).means
    assert losses["augmentation_generator"] > 0
    losses["augmentation_generator"].backward()
    assert model.generator.gaussian.weight.grad.abs().sum() > 0
    assert all(w.grad is None for w in model.generator.encoder.parameters())
    (of_g, _) = model.configure_optimizers()
    weights = {id(w) for group in of_g.param_groups for w in group["params"]}
    assert id(model.generator.gaussian.weight) in weights


def test_conditioning_augmentation_needs_enough_numbers_in_z(made):
    with pytest.raises(
        UserError, match=r"(?s)model\.latent_dim=6: .*above model\.text\.code_dim=6"
    ):
        made("model.auxiliary.augmentation_weight=2.0", "model.latent_dim=6")
