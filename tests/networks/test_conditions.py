"""Every network accepts the class in each way that fits, and depends on the class."""

import copy

import pytest
import torch
from torch import nn
from torch.nn.functional import one_hot

from limner.networks.conditions import ClassCode, ClassMap, ConditionalBatchNorm2d, batch_norm
from limner.networks.learned_constant import Start
from support.tiny_networks import (
    CLASSES,
    DIM,
    autoencoder,
    discriminator,
    generator,
    gradient_reaches_all,
    shaken,
)

SHAPES = [(1, 8, 8), (1, 28, 28), (3, 32, 32)]
LABELS = torch.tensor([0, 1, 2, 1])
GENERATORS = [(name, "concat") for name in ("dcgan", "mlp", "resnet", "stylegan2")]
GENERATORS += [(name, "batch_norm") for name in ("dcgan", "resnet")]
DISCRIMINATORS = [
    (name, condition)
    for name in ("dcgan", "mlp", "resnet")
    for condition in ("concat", "projection", "auxiliary")
]
"""tests/networks/test_stylegan2.py has the laws of a discriminator that reads its batch."""


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("name", "condition"), GENERATORS)
def test_conditional_generator_draws_each_class_differently(name, condition, shape):
    network = shaken(generator(name, shape, condition)).eval()
    z = torch.randn(1, DIM + getattr(network, "num_draws", 0)).expand(len(LABELS), -1)
    images = network(z, LABELS)
    assert images.shape == (len(LABELS), *shape)
    assert torch.allclose(images[1], images[3], atol=1e-5), "the same z and class"
    assert not torch.allclose(images[0], images[1], atol=1e-3)
    gradient_reaches_all(network, images)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("spectral_norm", [False, True])
@pytest.mark.parametrize(("name", "condition"), DISCRIMINATORS)
def test_conditional_discriminator_depends_on_the_class(name, condition, spectral_norm, shape):
    network = discriminator(name, shape, condition, spectral_norm=spectral_norm)
    images = torch.randn(1, *shape).expand(len(LABELS), *shape)
    logits = network(images, LABELS)
    if condition == "auxiliary":
        assert logits.shape == (len(LABELS), 1 + CLASSES)
        assert torch.equal(network.eval()(images), network(images, LABELS)), "it reads labels"
    else:
        assert logits.shape == (len(LABELS),)
        assert torch.allclose(logits[1], logits[3], atol=1e-5)
        assert not torch.allclose(logits[0], logits[1], atol=1e-6)
    gradient_reaches_all(network, logits)


@pytest.mark.parametrize(("name", "condition"), DISCRIMINATORS)
def test_logits_of_an_image_do_not_depend_on_other_images(name, condition):
    network = discriminator(name, (1, 8, 8), condition)
    images, order = torch.randn(4, 1, 8, 8), torch.tensor([2, 0, 3, 1])
    logits = network(images, LABELS)
    assert torch.allclose(network(images[order], LABELS[order]), logits[order], atol=1e-6)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", ["conv", "mlp"])
def test_conditional_autoencoder_depends_on_the_class(name, shape):
    encoder, decoder = autoencoder(name, shape, num_classes=CLASSES)
    mean, logvar = encoder(torch.randn(1, *shape).expand(4, *shape), LABELS)
    assert torch.allclose(mean[1], mean[3], atol=1e-5)
    assert not torch.allclose(mean[0], mean[1], atol=1e-5)
    gradient_reaches_all(encoder, mean, logvar)
    images = decoder(torch.randn(1, DIM).expand(4, DIM), LABELS)
    assert torch.allclose(images[1], images[3], atol=1e-5)
    assert not torch.allclose(images[0], images[1], atol=1e-5)
    gradient_reaches_all(decoder, images)


def test_conditional_batch_norm_of_equal_classes_is_batch_norm():
    conditional, plain = batch_norm(4, CLASSES), batch_norm(4, None)
    scale, shift = torch.randn(4), torch.randn(4)
    for layer, values in ((conditional.scale, scale), (conditional.shift, shift)):
        layer.weight.data.copy_(values.expand(CLASSES, 4))
    plain.weight.data.copy_(scale)
    plain.bias.data.copy_(shift)
    x = torch.randn(4, 4, 3, 3) * 3 + 1
    for mode in (True, False):
        conditional.train(mode), plain.train(mode)
        assert torch.allclose(conditional(x, LABELS), plain(x), atol=1e-5)


def test_conditional_batch_norm_starts_as_batch_norm_and_scales_by_class():
    layer = ConditionalBatchNorm2d(2, CLASSES)
    x = torch.randn(4, 2, 3, 3)
    normed = nn.BatchNorm2d(2)(x)
    assert torch.allclose(layer(x, LABELS), normed, atol=1e-6)
    layer.scale.weight.data[1], layer.shift.weight.data[1] = 2.0, 5.0
    changed = layer(x, LABELS)
    assert torch.allclose(changed[[1, 3]], 2 * normed[[1, 3]] + 5, atol=1e-5)
    assert torch.allclose(changed[[0, 2]], normed[[0, 2]], atol=1e-6)


def test_synchronised_batch_norm_replaces_the_inner_batch_norm():
    converted = nn.SyncBatchNorm.convert_sync_batchnorm(
        generator("dcgan", (1, 8, 8), "batch_norm")
    )
    found = [m for m in converted.modules() if isinstance(m, ConditionalBatchNorm2d)]
    assert all(isinstance(layer.norm, nn.SyncBatchNorm) for layer in found)
    assert found


def test_condition_is_joined_to_a_code_and_to_a_map():
    z, images = torch.randn(4, DIM), torch.randn(4, 2, 3, 5)
    code, map_ = ClassCode(DIM, CLASSES), ClassMap((2, 3, 5), CLASSES)
    joined = code(z, LABELS)
    assert torch.equal(joined[:, :DIM], z)
    assert torch.equal(joined[2, DIM:], code.embedding.weight[2])
    joined = map_(images, LABELS)
    assert torch.equal(joined[:, :2], images)
    assert torch.equal(joined[2, 2].flatten(), map_.embedding.weight[2])


def unconditional_twin(name, network):
    """Return an unconditional discriminator with the same weights."""
    twin = discriminator(name, (1, 8, 8))
    own = twin.state_dict()
    twin.load_state_dict({key: network.state_dict()[key] for key in own})
    return twin


@pytest.mark.parametrize("name", ["dcgan", "mlp", "resnet"])
def test_projection_adds_the_inner_product_of_class_and_features(name):
    network, images = discriminator(name, (1, 8, 8), "projection"), torch.randn(4, 1, 8, 8)
    added = (network.features(images) * network.classify.classes.weight[LABELS]).sum(1)
    plain = unconditional_twin(name, network)(images)
    assert torch.allclose(network(images, LABELS), plain + added, atol=1e-5)
    nn.init.zeros_(network.classify.classes.weight)
    assert torch.equal(network(images, LABELS), plain)


@pytest.mark.parametrize("name", ["dcgan", "mlp", "resnet"])
def test_auxiliary_classifier_keeps_the_first_logit(name):
    network, images = discriminator(name, (1, 8, 8), "auxiliary"), torch.randn(4, 1, 8, 8)
    assert torch.equal(network(images)[:, 0], unconditional_twin(name, network)(images))
    assert torch.equal(network(images)[:, 1:], network.classify.classes(network.features(images)))


@pytest.mark.parametrize("name", ["dcgan", "mlp", "resnet"])
def test_labels_are_ignored_when_the_network_has_no_classes(name):
    z, images = torch.randn(4, DIM), torch.randn(4, 1, 8, 8)
    for network, entry in (
        (generator(name, (1, 8, 8)), z),
        (discriminator(name, (1, 8, 8)), images),
    ):
        assert torch.equal(network.eval()(entry, LABELS), network(entry))
    for network, entry in zip(autoencoder("conv", (1, 8, 8)), (images, z), strict=True):
        assert torch.equal(network(entry, LABELS)[0], network(entry)[0])


def test_classes_change_nothing_when_no_part_of_the_network_uses_them():
    """This allows a conditional generator with an unconditional discriminator."""
    told, plain = (
        discriminator("dcgan", (1, 8, 8), num_classes=4),
        discriminator("dcgan", (1, 8, 8)),
    )
    assert told.state_dict().keys() == plain.state_dict().keys()


def test_missing_labels_are_refused():
    cases = [
        (generator(*case[:1], (1, 8, 8), case[1]), torch.randn(2, DIM)) for case in GENERATORS
    ]
    cases += [
        (discriminator(name, (1, 8, 8), condition), torch.randn(2, 1, 8, 8))
        for name, condition in DISCRIMINATORS
        if condition != "auxiliary"
    ]
    pair = autoencoder("conv", (1, 8, 8), num_classes=2)
    cases += zip(pair, (torch.randn(2, 1, 8, 8), torch.randn(2, DIM)), strict=True)
    for network, entry in cases:
        with pytest.raises(
            ValueError, match=r"needs labels, but got none.*network\.num_classes=null"
        ):
            network(entry)


@pytest.mark.parametrize(
    ("make", "name", "wrong", "message"),
    [
        (generator, "mlp", {"condition": "batch_norm"},
         "network.generator_condition=batch_norm: this network has no batch norm; choose one of"),
        (generator, "resnet", {"condition": "projection"},
         "network.generator_condition=projection: choose one of none, concat, batch_norm."),
        (discriminator, "mlp", {"condition": "projecton"},
         "network.discriminator_condition=projecton: choose one of none, concat, projection"),
        (discriminator, "dcgan", {"condition": "auxiliary", "num_classes": None},
         "network.discriminator_condition=auxiliary needs the number of classes"),
        (generator, "dcgan", {"condition": "concat", "num_classes": 0},
         "network.num_classes=0: a conditional network needs data with labels"),
        (discriminator, "resnet", {"condition": "projection", "num_classes": 0}, "with labels"),
        (autoencoder, "conv", {"num_classes": -1}, "network.num_classes=-1"),
        (autoencoder, "mlp", {"num_classes": 0}, "network.num_classes=0"),
        (discriminator, "resnet", {"norm": "batsh"}, "network.discriminator_norm=batsh: choose"),
        (discriminator, "dcgan", {"norm": "batsh"}, "network.discriminator_norm=batsh: choose"),
        (discriminator, "resnet", {"smallest": 0}, "discriminator.smallest=0: must be 1 or more"),
        (discriminator, "resnet", {"num_flat_blocks": -1}, "num_flat_blocks=-1: must be 0"),
    ],
)  # fmt: skip
def test_conditions_that_do_not_fit_are_refused_in_one_line(make, name, wrong, message):
    with pytest.raises(ValueError) as error:  # noqa: PT011
        make(name, (1, 8, 8), **wrong)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("name", "condition"), GENERATORS)
def test_copied_generator_is_independent(name, condition):
    """The average of weights is such a copy, and is read from a checkpoint."""
    network = shaken(generator(name, (1, 8, 8), condition)).eval()
    twin, z = copy.deepcopy(network), torch.randn(4, DIM)
    images = network(z, LABELS)
    shaken(network)
    assert torch.equal(twin(z, LABELS), images)
    network.load_state_dict(twin.state_dict())
    assert torch.equal(network(z, LABELS), images)


@pytest.mark.parametrize(("name", "condition"), GENERATORS)
def test_a_code_that_is_one_for_a_class_draws_the_class(name, condition):
    network = shaken(generator(name, SHAPES[0], condition)).eval()
    z, codes = torch.randn(4, DIM), one_hot(LABELS, CLASSES).float()
    torch.testing.assert_close(network(z, codes), network(z, LABELS))
    mixed = network(z, (codes + codes.roll(1, 0)) / 2)
    assert not torch.allclose(mixed, network(z, LABELS), atol=1e-3)


@pytest.mark.parametrize(("name", "condition"), DISCRIMINATORS)
def test_a_code_that_is_one_for_a_class_is_judged_as_the_class(name, condition):
    network = discriminator(name, SHAPES[0], condition, spectral_norm=False).eval()
    images, codes = torch.randn(4, *SHAPES[0]), one_hot(LABELS, CLASSES).float()
    torch.testing.assert_close(network(images, codes), network(images, LABELS))


def test_a_code_that_is_one_for_a_class_starts_as_the_class():
    start = Start((3, 2), num_classes=CLASSES, std=1.0)
    codes = one_hot(LABELS, CLASSES).float()
    torch.testing.assert_close(start(4, codes), start(4, LABELS))
