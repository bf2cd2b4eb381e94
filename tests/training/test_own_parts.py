"""The trial of own networks and losses: what each must return, and that it changes nothing."""

import logging

import pytest
import torch
from torch import nn

from limner.config.build import build
from limner.config.own_code import OwnCallError
from limner.errors import UserError
from limner.losses.penalty import Penalties, Weighted
from limner.training.own_parts import try_own_parts
from limner.training.tried_part import TriedPart

SHAPE = [1, 8, 8]
SMALL = ["network=mlp", "data.image_shape=[1,8,8]", "data.num_classes=10"]


class Returning(nn.Module):
    """A network that returns a given function of its input, and records its inputs."""

    def __init__(self, function):
        super().__init__()
        self.function, self.calls = function, []
        self.layer = nn.Linear(1, 1)
        self.norm = nn.BatchNorm1d(1)

    def forward(self, x, labels=None):
        self.calls.append(x)
        self.norm(torch.rand(4, 1))
        return self.function(x)


class Loss:
    """A loss whose values are a given function of the logits."""

    def __init__(self, function=lambda logits: logits):
        self.function = function

    def generator(self, real_logits, fake_logits):
        return self.function(fake_logits)

    def discriminator(self, real_logits, fake_logits):
        return self.function(real_logits - fake_logits)


@pytest.fixture
def tried(composed):
    """Return a function that tries a model with one part replaced."""

    def call(words, replace):
        config = composed(*SMALL, *words.split())
        model = build(config, "model")
        replace(model)
        try_own_parts(config, model, image_shape=SHAPE)

    return call


def network(role, function):
    """Return a function that replaces a network of a model."""

    def replace(model):
        networks = getattr(model, "network", None)
        if networks is not None and not isinstance(networks, nn.ModuleDict):
            model.network = Returning(function)
        elif networks is not None and role in networks:
            networks[role] = Returning(function)
        else:
            setattr(model, role, Returning(function))

    return replace


def loss(function):
    def replace(model):
        if hasattr(model, "objective"):
            object.__setattr__(model.objective, "loss", Loss(function))
        else:
            model.loss = Loss(function)

    return replace


def images(x):
    return torch.zeros(len(x), *SHAPE)


def codes(*shape):
    return lambda x: (torch.zeros(len(x), *shape), torch.zeros(len(x), *shape))


PAIRS = "model=super_resolution network=span +data.scale=2 +data.input_shape=[1,4,4]"


def double(x):
    return x.repeat_interleave(2, 2).repeat_interleave(2, 3)


def pair_loss(function):
    """Return a function that replaces the loss of an image-to-image model."""

    def replace(model):
        model.losses = {"own": lambda output, target: function(output - target)}

    return replace


CYCLE = (
    "model=cyclegan +data.scale=1 +data.input_shape=[1,8,8] network=johnson "
    "network.restorer.num_blocks=0 network.discriminator.receptive_field=16"
)


def of_cycle(name, role, function):
    """Return a function that replaces a network of a CycleGAN."""

    def replace(model):
        getattr(model, name)[role] = Returning(function)

    return replace


def penalty_of_cycle(function):
    def replace(model):
        own = Weighted(function=function, weight=1.0, every=1)
        model.penalty_b = Penalties({"own": own})

    return replace


class Mean:
    """A penalty that judges the images by D."""

    def __init__(self, dim):
        self.dim = dim

    def __call__(self, d, pairs, *, uniform):
        return d(pairs.real).flatten(1).square().mean(self.dim)


FITTING = [
    (CYCLE, of_cycle("network", "ab", lambda x: x)),
    (CYCLE, of_cycle("discriminators", "b", lambda x: x.mean((1, 2)))),
    (CYCLE, penalty_of_cycle(Mean(1))),
    (PAIRS, network("network", double)),
    (PAIRS, pair_loss(lambda d: d.square().mean((1, 2, 3)))),
    ("model=gan", network("generator", images)),
    ("model=gan", network("discriminator", lambda x: x.mean((1, 2, 3)))),
    ("model=cgan", network("generator", images)),
    (
        "model=gan model/condition=auxiliary",
        network("discriminator", lambda x: x.new_zeros(2, 11)),
    ),
    ("model=vaegan", network("encoder", codes(128))),
    ("model=vae", network("encoder", codes(32))),
    ("model=cvae", network("decoder", images)),
    (
        "model=vae model/likelihood=logistic",
        network("decoder", lambda x: x.new_zeros(2, 15, 8, 8)),
    ),
    ("model=classifier", network("network", lambda x: x.new_zeros(2, 10))),
    ("model=gan", loss(lambda logits: logits)),
    ("model=vaegan", loss(lambda logits: logits)),
]
WRONG = [
    (CYCLE, of_cycle("network", "ab", double), "network.restorer (2, 1, 7, 8) (2, 1, 14, 16)"),
    (CYCLE, of_cycle("discriminators", "b", lambda x: x), "(2, 1, 8, 8) one logit"),
    (CYCLE, penalty_of_cycle(Mean((0, 1))), "penalty.own () (2,): leave out the mean"),
    (PAIRS, network("network", lambda x: x), "network.restorer (2, 1, 6, 8) (2, 1, 3, 4)"),
    (PAIRS, network("network", images), "network.restorer (2, 1, 6, 8) data.scale=2"),
    (PAIRS, pair_loss(torch.mean), "model.losses.own () (2,): leave out the mean"),
    ("model=gan", network("generator", lambda z: z), "(2, 64) images (2, 1, 8, 8)"),
    ("model=gan", network("generator", lambda z: (z, z)), "tuple images (2, 1, 8, 8)"),
    ("model=vaegan", network("generator", lambda z: z), "images (2, 1, 8, 8) data.image_shape"),
    (
        "model=gan",
        network("discriminator", lambda x: x.mean((2, 3))),
        "Returning (2, 1) one logit for each image, (2,): add `.squeeze(1)`",
    ),
    ("model=vaegan", network("discriminator", lambda x: x.mean((2, 3))), ".squeeze(1)"),
    ("model=gan", network("discriminator", lambda x: x), "(2, 1, 8, 8) one logit"),
    (
        "model=gan model/condition=auxiliary",
        network("discriminator", lambda x: x.mean((1, 2, 3))),
        "(2,) (2, 11) model/condition=auxiliary",
    ),
    ("model=vaegan", network("discriminator", lambda x: x.mean((1, 2, 3))), "method features("),
    ("model=vae", network("encoder", lambda x: x.new_zeros(2, 32)), "mean and logvar, (2, 32)"),
    ("model=vae", network("encoder", codes(31)), "(2, 31) model.latent_dim=32"),
    ("model=vaegan", network("encoder", codes(128, 1)), "(2, 128, 1) model.latent_dim=128"),
    ("model=vae", network("decoder", lambda z: z), "network.decoder (2, 32) (2, 1, 8, 8)"),
    ("model=vae model/likelihood=logistic", network("decoder", images), "(2, 15, 8, 8)"),
    ("model=classifier", network("network", lambda x: x.mean((1, 2, 3))), "logits (2, 10)"),
    ("model=gan", loss(torch.mean), "Loss.discriminator () (2,): leave out the mean"),
    ("model=vaegan", loss(torch.mean), "model.loss leave out the mean"),
    ("model=gan", loss(lambda logits: logits[:, None]), "(2, 1) one value for each image"),
]


@pytest.mark.parametrize(("words", "replace"), FITTING)
def test_own_part_that_follows_its_interface_is_accepted(tried, caplog, words, replace):
    tried(words, replace)
    assert not caplog.records


@pytest.mark.parametrize(("words", "replace", "expected"), WRONG)
def test_output_of_the_wrong_shape_is_refused_with_the_required_shape(
    tried, words, replace, expected
):
    with pytest.raises(UserError) as error:
        tried(words, replace)
    message = str(error.value)
    assert all(word in message for word in expected.split()), message
    assert len(message.splitlines()) <= 3


@pytest.mark.parametrize(("largest", "warns"), [(1.0, False), (1.04, False), (50.0, True)])
def test_values_outside_of_the_range_of_images_are_warned_of(tried, caplog, largest, warns):
    caplog.set_level(logging.WARNING)
    tried("model=gan", network("generator", lambda z: images(z) - largest))
    assert (f"up to {largest:.3g}" in caplog.text and "torch.tanh" in caplog.text) == warns


def test_exception_of_an_own_network_keeps_the_traceback_of_own_code(tried):
    def fails(z):
        return z @ z

    with pytest.raises(OwnCallError) as error:
        tried("model=gan", network("generator", fails))
    message = str(error.value)
    first = message.splitlines()[0]
    called = f"network.generator: {__name__}.Returning.forward on inputs (2, 64)"
    assert first.startswith(called)
    assert "test_own_parts.py, line " in first
    assert "return z @ z" in message
    assert "limner/training" not in message
    assert message.index("test_own_parts.py", len(first)) < message.index(
        "return self.function(x)"
    )
    assert isinstance(error.value.__cause__, RuntimeError)


def test_exception_that_may_be_due_to_the_device_is_left_to_training(tried):
    def fails(z):
        raise RuntimeError("Expected all tensors to be on the same device")

    tried("model=gan", network("generator", fails))


def test_trial_changes_neither_random_numbers_nor_the_part(composed):
    config = composed(*SMALL, "model=gan")
    model = build(config, "model")
    model.generator = Returning(lambda z: images(z) + torch.rand(1))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = torch.get_rng_state()
    try_own_parts(config, model, image_shape=SHAPE)
    assert torch.equal(torch.get_rng_state(), state)
    assert model.generator.calls == []
    assert model.generator.training
    after = model.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())


def test_run_with_only_limners_own_parts_tries_nothing(tried, monkeypatch):
    monkeypatch.setattr(TriedPart, "call", lambda *_, **__: pytest.fail("a trial"))
    for words in (
        "model=cgan model/penalty=r1",
        "model=vae",
        "model=vaegan",
        "model=classifier",
        PAIRS,
    ):
        tried(words, lambda model: None)


def test_own_penalty_and_augmentation_and_likelihood_are_tried(tried):
    class Likelihood(nn.Module):
        params_per_value = 1

        def log_prob(self, params, images):
            return -(params - images).square().mean()

    class Penalty:
        def __call__(self, d, pairs, *, uniform):
            (gradient,) = torch.autograd.grad(pairs.real_logits.sum(), pairs.real)
            return gradient.square().mean()

    def likelihood(model):
        model.network["likelihood"] = Likelihood()

    def penalty(model):
        model.penalty["r1"].function = Penalty()

    def augmentation(model):
        model.augmentation = lambda images, *, uniform: images[:, :, 1:]

    cases = {
        "model=vae": (likelihood, "log_prob"),
        "model=gan model/penalty=r1": (penalty, "model.penalty.r1"),
        "model=gan": (augmentation, "(2, 1, 7, 8)"),
    }
    for words, (replace, expected) in cases.items():
        with pytest.raises(UserError) as error:
            tried(words, replace)
        assert expected in str(error.value)
