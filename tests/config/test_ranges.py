"""Values of the right type but outside their range are refused before anything is built."""

import itertools
import random
from functools import cache

import pytest
import torch
from omegaconf import DictConfig, OmegaConf, open_dict

from limner.config.build import build, check
from limner.config.error_messages import explain
from limner.config.groups import check_groups
from limner.config.ranges import check_finite, check_optimizer, check_range
from limner.errors import UserError
from limner.training.validation import refuse_values

NAN, INF = float("nan"), float("inf")
ODD = (-1, 0, NAN, INF, 1e30, "", "abc", [], {}, None, True, 99999999999)
FAMILIES = (
    "model=vae",
    "model=gan model/penalty=r1 model/augmentation=ada",
    "model=vqvae",
    "model=pixelcnn",
)
SAMPLES = 30
"""Pairs of a key and a value for each family; all of them take minutes."""


@pytest.mark.parametrize(
    ("key", "value", "rule"),
    [("data.split_seed", -1, "0 or more, and at most 4294967295"),
     ("seed", 2**32, "at most 4294967295"),
     ("network.encoder.width", 0, "must be 1 or more"),
     ("network.encoder.hidden_dims", [8, 0], "must be 1 or more"),
     ("data.num_inputs", -1, "must be 1 or more"),
     ("data.num_views", 0, "must be 1 or more"),
     ("metrics.num_samples", -1, "must be 1 or more"),
     ("network.pixelcnn.dropout", -1, "must be 0 or more, and below 1"),
     ("network.pixelcnn.num_layers", 0, "must be 1 or more"),
     ("network.prior.dropout", 1.0, "must be 0 or more, and below 1"),
     ("model.num_classes", -1, "must be 0 or more"),
     ("data.memory_limit_gib", -1.0, "must be 0 or more"),
     ("model.pool_size", -1, "must be 0 or more"),
     ("callbacks.game.first_update", -1, "must be 0 or more"),
     ("model.discriminator_lr", -0.1, "must be 0 or more"),
     ("network.predictor.patch", 0, "must be 1 or more"),
     ("data.num_views", -1, "must be 1 or more"),
     ("network.pixelcnn.dropout", -1.0, "must be 0 or more, and below 1"),
     ("network.code_prior.dropout", 1.0, "must be 0 or more, and below 1"),
     ("data.image_shape", [1, 8], "[channels, height, width], each 1 or more"),
     ("data.image_shape", [3, -8, 8], "[channels, height, width], each 1 or more"),
     ("metrics.features.learning_rate", -1, "must be 0 or more")],
)  # fmt: skip
def test_check_range_applies_the_rule_of_the_kind_of_a_parameter(key, value, rule):
    with pytest.raises(UserError) as error:
        check_range(key, value)
    assert str(error.value).startswith(f"{key}={value}: must be ")
    assert rule in str(error.value)


@pytest.mark.parametrize(
    ("key", "value"),
    [("data.split_seed", 0), ("seed", 2**32 - 1), ("network.width", 1), ("lr", 0),
     ("lr_schedule.last", -1), ("model.latent_dim", None), ("data.image_shape", [1, 8, 8]),
     ("network.num_halvings", 0), ("model.pool_size", 0), ("network.pixelcnn.dropout", 0),
     ("network.decoder.num_layers", [2, 0])],
)  # fmt: skip
def test_check_range_accepts_the_ends_of_a_range(key, value):
    check_range(key, value)


def test_check_finite_looks_into_lists_and_mappings():
    for value in (NAN, [0.9, NAN], {"a": {"b": [NAN]}}, -INF):
        with pytest.raises(UserError, match="must be a finite number"):
            check_finite("key", value)
    check_finite("key", INF, allows_infinity=True)
    check_finite("key", {"_target_": "checked.by.itself", "value": NAN})


@pytest.mark.parametrize(
    "optimizer",
    ["adam", "sgd", *(pytest.param(name, marks=pytest.mark.slow)
                      for name in ("adam_gan", "adamw", "adagrad", "rmsprop"))],
)  # fmt: skip
def test_every_optimizer_refuses_the_rates_that_torch_refuses(composed, optimizer):
    made = composed(f"optimizer={optimizer}")
    keys = ("lr", "weight_decay", "momentum", "eps")
    for key, value in itertools.product(keys, (-1.0, NAN, INF)):
        config = made.copy()
        with open_dict(config):
            config.optimizer[key] = value
        with pytest.raises(UserError, match=rf"^optimizer\.{key}(=| is not a parameter)"):
            check(config, only=["optimizer"])


def test_check_optimizer_names_the_argument_that_is_refused():
    given = {"lr": 0.1, "betas": [0.9, 1.5], "weight_decay": 0.0}
    with pytest.raises(UserError, match=r"^optimizer\.betas=\[0\.9, 1\.5\]: Adam refuses it: "):
        check_optimizer("optimizer", torch.optim.Adam, given)
    check_optimizer("optimizer", torch.optim.Adam, given | {"betas": [0.9, 0.99]})


def test_betas_may_be_whole_numbers(composed):
    config = composed("optimizer=adam", "optimizer.betas=[0,0.99]")
    check(config, only=["optimizer"])
    optimizer = build(config, "optimizer")([torch.nn.Parameter(torch.zeros(1))])
    assert optimizer.defaults["betas"] == (0.0, 0.99)


@pytest.mark.parametrize(
    "override",
    ["trainer.num_nodes=0", "trainer.num_nodes=1.5", "trainer.devices=0", "trainer.devices=abc",
     "trainer.devices=[]", "trainer.devices=''", "metrics.objective={}"],
)  # fmt: skip
def test_process_numbers_and_objectives_are_refused_when_invalid(composed, override):
    key, value = override.split("=")
    config = composed("accelerator=cpu", "metrics=classifier")
    with open_dict(config):
        OmegaConf.update(config, key, OmegaConf.create(f"x: {value}").x, merge=False)
    with pytest.raises(UserError, match=rf"^{key}="):
        refuse_values(config)


@cache
def family(words: str) -> DictConfig:
    from hydra import compose, initialize_config_dir

    from limner.config.schema import CONFIG_DIR, register

    register()
    with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        config = compose("train", overrides=[*words.split(), "accelerator=cpu", "logger=csv"])
    config.run_dir = "unused"
    config.data.image_shape, config.data.num_classes = [1, 8, 8], 10
    for node in config.network.values():
        if OmegaConf.is_dict(node) and "width" in node:
            node.width = 8  # a small network is built sooner
    return config


def keys_of(node: object, path: str = "") -> list[str]:
    """Return the dotted keys of a config, including the keys of its groups."""
    if not isinstance(node, dict):
        return [path]
    below = [f"{path}.{key}" if path else str(key) for key in node]
    found = [
        key for name, key in zip(node, below, strict=True) for key in keys_of(node[name], key)
    ]
    return [*([path] if path else []), *found]


@pytest.mark.parametrize("words", FAMILIES)
def test_odd_value_of_any_key_is_refused_by_a_message_or_builds(words):
    """An odd value ends in a message or in a model with its optimizers, never in a traceback."""
    base = family(words)
    keys = [
        key
        for key in keys_of(OmegaConf.to_container(base))
        if key.split(".")[0] in ("trainer", "model", "network", "data", "optimizer", "gradients")
    ]
    pairs = list(itertools.product(keys, ODD))
    failed = []
    for key, value in random.Random(words).sample(pairs, SAMPLES):
        config = OmegaConf.create(OmegaConf.to_container(base))
        try:
            OmegaConf.update(config, key, value, merge=False)
            check_groups(config)
            refuse_values(config)
            check(config)
            build(config, "gradients")
            build(config, "model").configure_optimizers()
        except Exception as error:
            if explain(error) is None:
                failed.append(f"{key}={value!r}: {type(error).__name__}: {error}")
    assert not failed, "\n".join(failed)
