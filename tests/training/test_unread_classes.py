"""A conditional model with a network that ignores the classes is refused."""

import sys
import types

import pytest
from omegaconf import OmegaConf, open_dict
from torch import nn

from limner.config.build import build
from limner.errors import UserError
from limner.training.unread_classes import refuse_unread_classes

SMALL = ["data.image_shape=[1,8,8]", "data.num_classes=10"]


class Unlabelled(nn.Module):
    """A network that knows no classes."""

    def forward(self, z):
        return z


class Labelled(nn.Module):
    """A network that reads the classes."""

    def forward(self, z, labels):
        return z


class Counting(Labelled):
    """A network that needs the number of classes."""

    def __init__(self, num_classes=None):
        super().__init__()
        self.num_classes = num_classes


@pytest.fixture
def refused(composed, monkeypatch):
    """Return a function that checks a model, with one network from a YAML of the user."""
    module = types.ModuleType("my_nets")
    for kind in (Unlabelled, Labelled, Counting):
        setattr(module, kind.__name__, kind)
    monkeypatch.setitem(sys.modules, "my_nets", module)

    def call(*words, role=None, node=None):
        config = composed(*SMALL, *words)
        if role is not None:
            with open_dict(config):
                config.network[role] = OmegaConf.create(node)
        refuse_unread_classes(config, build(config, "model"))

    return call


@pytest.mark.parametrize("role", ["generator", "discriminator", "encoder", "decoder"])
def test_own_network_must_take_the_labels_of_a_conditional_model(refused, role):
    model = "gan" if role in ("generator", "discriminator") else "vae"
    node = {"_target_": "my_nets.Unlabelled"}
    refused(f"model={model}", "network=mlp", role=role, node=node)
    with pytest.raises(UserError) as error:
        refused(f"model=c{model}", "network=mlp", role=role, node=node)
    words = f"network.{role}: Unlabelled.forward `labels` labels): model/condition=none"
    assert all(word in str(error.value) for word in words.split())
    refused(f"model=c{model}", "network=mlp", role=role, node={"_target_": "my_nets.Labelled"})


@pytest.mark.parametrize("given", [{}, {"num_classes": None}, {"num_classes": 9}])
def test_own_network_must_get_the_number_of_classes(refused, given):
    node = {"_target_": "my_nets.Counting"}
    with pytest.raises(UserError) as error:
        refused("model=cgan", "network=mlp", role="generator", node=node | given)
    assert "\nnum_classes: ${network.num_classes}" in str(error.value)
    fits = node | {"num_classes": "${network.num_classes}"}
    refused("model=cgan", "network=mlp", role="generator", node=fits)


def test_network_of_limner_in_a_yaml_of_the_user_must_read_the_classes(refused, composed):
    node = OmegaConf.to_container(composed(*SMALL, "model=cgan", "network=mlp").network)
    hard_coded = node["discriminator"] | {"num_classes": None, "condition": "none"}
    with pytest.raises(UserError, match=r"num_classes: \$\{network.num_classes\}"):
        refused("model=cgan", "network=mlp", role="discriminator", node=hard_coded)
    ignoring = node["discriminator"] | {"condition": "none"}
    with pytest.raises(UserError, match=r"condition: \$\{network.discriminator_condition\}"):
        refused("model=cgan", "network=mlp", role="discriminator", node=ignoring)


@pytest.mark.parametrize("network", ["dcgan", "mlp", "resnet"])
@pytest.mark.parametrize("condition", ["none", "concat", "projection", "auxiliary"])
def test_each_network_of_limner_reads_the_classes_of_a_conditional_gan(
    refused, network, condition
):
    more = []
    if (network, condition) == ("mlp", "projection"):
        more = ["network.generator_condition=concat"]
    refused("model=gan", f"network={network}", f"model/condition={condition}", *more)


@pytest.mark.parametrize("network", ["conv", "mlp", "residual"])
def test_each_network_of_limner_reads_the_classes_of_a_conditional_vae(refused, network):
    refused("model=cvae", f"network={network}")


def test_own_network_must_take_the_codes_of_texts(refused):
    texts = [
        "data=shapes", "data.captions=true", "data.num_tokens=9", "data.text_length=4",
        "network=mlp", "model.text.num_blocks=0",
    ]  # fmt: skip
    gan, vae = [*texts, "model/condition=text"], [*texts, "model/condition=text_vae"]
    for role, words in (("generator", ["model=gan", *gan]), ("decoder", ["model=vae", *vae])):
        with pytest.raises(UserError, match=r"does not take `labels`(?s:.*)model\.text\.code_dim"):
            refused(*words, role=role, node={"_target_": "my_nets.Unlabelled"})
        refused(*words, role=role, node={"_target_": "my_nets.Labelled"})
        counting = {"_target_": "my_nets.Counting", "num_classes": 5}
        with pytest.raises(UserError, match="num_classes=5"):
            refused(*words, role=role, node=counting)
