"""The check of `_target_` arguments, and objects from it."""

import pytest
from omegaconf import OmegaConf

from limner.config.build import build, check
from limner.config.schema import CONFIG_DIR, RunConfig
from limner.errors import UserError


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("optimizer.lr=abc", "optimizer.lr=abc: must be a number, not text"),
        ("model.latent_dim=2.5", "model.latent_dim=2.5: must be a whole number"),
        ("model.latent_dim=true", "must be a whole number or null, not true"),
        ("data.image_shape=8", "data.image_shape=8: must be a list of whole numbers or null"),
        ("data.image_shape=[1,8,x]", "must be a list of whole numbers"),
        ("network.encoder.width=wide", "network.encoder.width=wide: must be a whole number"),
        ("data.store=disk", "data.store=disk: must be auto or memory or mapped or streamed"),
        ("trainer.max_epochs=many", "trainer.max_epochs=many: must be a whole number or null"),
        ("data.augmentation=3", "data.augmentation=3: must be a mapping with _target_ or null"),
        ("+model.latnt_dim=3", "model.latnt_dim is not a parameter of VAE; did you mean latent_d"),
        ("+trainer.max_epoch=3", "trainer.max_epoch is not a parameter of Trainer; did you mean"),
        ("+optimizer.learning_rate=3", "optimizer.learning_rate is not a parameter of Adam"),
        ("optimizer._target_=torch.optim.Adamm", "_target_=torch.optim.Adamm cannot be imported"),
        ("~model.kl_weight", "model lacks kl_weight, which VAE needs"),
        ("network=dcgan", "needs a network with the part encoder; choose one of network="),
        ("data=image_folder", "data.path must be given: data.path=..."),
        ("+model.extra=${nowhere.to_be_found}", "nowhere"),
    ],
)
def test_a_wrong_argument_is_named(composed, override, message):
    with pytest.raises(UserError) as error:
        check(composed(override))
    assert message in str(error.value)


@pytest.mark.parametrize(
    "override",
    [
        "optimizer.lr=1",
        "trainer.devices=[0]",
        "trainer.precision=bf16-mixed",
        "+trainer.gradient_clip_val=1.0",
        "+trainer.limit_test_batches=2",
        "+optimizer.amsgrad=true",
        "model.ema_half_life=100",
        "data.augmentation=null",
    ],
)
def test_a_right_argument_passes(composed, override):
    check(composed(override))


def test_a_constructors_refusal_is_a_message(composed):
    with pytest.raises(UserError, match=r"model\.kl_weight=-1\.0"):
        build(composed("model.kl_weight=-1.0"), "model")


def test_keys_that_others_read_need_no_parameter(composed):
    made = composed("data=mnist", "data.root=/somewhere")
    check(made)
    assert str(build(made, "data").source.root) == "/somewhere"


def test_no_key_is_lost_between_schema_and_file():
    written = OmegaConf.load(CONFIG_DIR / "train.yaml")
    keys = set(written) - {"defaults", "hydra"}
    groups = {"model", "network", "data", "optimizer", "lr_schedule", "metrics", "logger"}
    groups.add("callbacks")
    assert keys | groups == set(RunConfig.__dataclass_fields__)
