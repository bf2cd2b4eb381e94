"""Values that fit a type and that limner or this machine cannot use."""

import re
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch.strategies import DDPStrategy, ModelParallelStrategy, StrategyRegistry
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


CLASSES = [
    "lightning.pytorch.strategies.FSDPStrategy",
    "lightning.pytorch.strategies.ModelParallelStrategy",
    "lightning.pytorch.strategies.deepspeed.DeepSpeedStrategy",
]
SHARDING = [
    name
    for name in StrategyRegistry.available_strategies()
    if issubclass(StrategyRegistry[name]["strategy"], validation.SHARDING)
]
WHOLE = [name for name in StrategyRegistry.available_strategies() if name.startswith("ddp")]


@pytest.mark.parametrize("accelerator", ["cpu", "ddp_cpu"])
@pytest.mark.parametrize("name", [*SHARDING, *CLASSES])
def test_refuse_values_names_ddp_for_each_strategy_that_splits_the_weights(
    composed, name, accelerator
):
    config = composed(f"accelerator={accelerator}")
    config.trainer.strategy = {"_target_": name} if "." in name else name
    with pytest.raises(UserError, match=re.escape(f"trainer.strategy={name}: ")) as caught:
        validation.refuse_values(config)
    assert "accelerator=ddp" in str(caught.value)
    assert len(str(caught.value).splitlines()) <= 3


@pytest.mark.parametrize("name", ["auto", *WHOLE])
def test_refuse_values_accepts_strategies_that_keep_the_weights_whole(composed, name):
    validation.refuse_values(composed("accelerator=cpu", f"trainer.strategy={name}"))


def test_refuse_sharding_finds_a_strategy_by_its_class():
    class Mine(ModelParallelStrategy):
        pass

    with pytest.raises(UserError, match=r"strategy=Mine: splits the model"):
        validation.refuse_sharding(SimpleNamespace(strategy=Mine()))
    validation.refuse_sharding(SimpleNamespace(strategy=DDPStrategy()))


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
