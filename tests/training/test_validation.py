"""Precisions that a model cannot be trained in."""

from functools import partial

import pytest
import torch
from omegaconf import open_dict

from limner.config.build import build
from limner.errors import UserError
from limner.training import validation
from support.plain import Autoencoder


@pytest.mark.parametrize("precision", ["16", "16-mixed"])
@pytest.mark.parametrize("model", ["vae", "gan", "vaegan", "vqvae", "classifier"])
def test_half_precision_is_refused_for_every_model_that_steps_its_optimizers(
    composed, model, precision
):
    config = composed(f"model={model}", f"trainer.precision={precision}")
    config.data.image_shape, config.data.num_classes = [1, 8, 8], 10
    with pytest.raises(UserError, match="choose bf16-mixed"):
        validation._refuse_half_precision(config, build(config, "model"))


def test_half_precision_is_left_to_lightning_for_a_module_with_automatic_optimization(composed):
    plain = Autoencoder(optimizer=partial(torch.optim.SGD, lr=0.1), noise=0.0)
    validation._refuse_half_precision(composed("trainer.precision=16-mixed"), plain)


@pytest.mark.parametrize(
    ("words", "node", "advice"),
    [
        (["network=dcgan", "network.discriminator_norm=batch"], {}, "network.discriminator_norm="),
        (["network=dcgan"], {"norm": "batch"}, "network.discriminator.norm=layer"),
        (["network=mlp"], {"_target_": "my_nets.Mixing"}, "my_nets.Mixing must use another norm"),
        (
            ["network=dcgan"],
            {"_target_": "my_nets.Mixing", "norm": "${network.discriminator_norm}"},
            "my_nets.Mixing must use another norm",
        ),
    ],
)
def test_advice_on_batch_norm_names_only_a_key_that_the_discriminator_reads(
    composed, words, node, advice
):
    config = composed("model=gan", "model/penalty=r1", *words)
    with open_dict(config):
        if "_target_" in node:
            config.network.discriminator = {}
        config.network.discriminator.update(node)
    assert validation.advice_on_norm(config).startswith(advice)
