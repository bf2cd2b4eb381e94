"""The changes of a config that make another run."""

import pytest

from limner.errors import UserError
from limner.resume.allowed_changes import MAY_CHANGE, differences, refuse_changes, same_length

ANOTHER_RUN = [
    ("optimizer.lr=0.01", {"optimizer.lr": ("0.001", "0.01")}),
    ("seed=1", {"seed": ("0", "1")}),
    ("data.batch_size=32", {"data.batch_size": ("64", "32")}),
    ("trainer.precision=bf16-mixed", {"trainer.precision": ("32-true", "bf16-mixed")}),
    ("trainer.limit_train_batches=3", {"trainer.limit_train_batches": ("1.0", "3")}),
    ("optimizer.betas=[0.5,0.9]", {"optimizer.betas": ("[0.9, 0.999]", "[0.5, 0.9]")}),
    ("+optimizer.weight_decay=0.1", {"optimizer.weight_decay": ("absent", "0.1")}),
    ("~optimizer.betas", {"optimizer.betas": ("[0.9, 0.999]", "absent")}),
    ("model.ema_half_life=500", {"model.ema_half_life": ("null", "500")}),
    ("+trainer.sync_batchnorm=true", {"trainer.sync_batchnorm": ("absent", "true")}),
]
SAME_RUN = [
    "trainer.max_epochs=7", "trainer.max_steps=50", "+trainer.max_time=00:01:00:00",
    "logger=none", "logger=[csv,wandb]", "logger.csv.folder=elsewhere", "~callbacks.pictures",
    "callbacks.checkpoints.every_num_updates=3", "metrics=none", "metrics.num_samples=7",
    "debug=true", "data.store=mapped", "data.memory_limit_gib=1.0", "accelerator=ddp_cpu",
    "trainer.num_nodes=2", "trainer.limit_val_batches=2", "+trainer.check_val_every_n_epoch=3",
    "trainer.deterministic=true", "resume=elsewhere", "run_dir=elsewhere",
    "on_divergence=rollback",
    "optimizer.lr=1e-3",  # the present value
    "data.seed=0",  # the value of ${seed}
]  # fmt: skip


@pytest.mark.parametrize(("override", "difference"), ANOTHER_RUN)
def test_differences_lists_values_that_define_a_run(composed, override, difference):
    assert differences(composed(), composed(override)) == difference


@pytest.mark.parametrize("override", SAME_RUN)
def test_differences_ignores_values_that_may_change(composed, override):
    config = composed()
    config.run_dir = None
    assert differences(config, composed(override)) == {}


def test_differences_ignores_another_place_of_the_data(composed):
    places = [composed("data=mnist", f"data.root={root}") for root in ("here", "there")]
    assert places[0].data.source.root != places[1].data.source.root
    assert differences(*places) == {}
    words = [["data.root=here"], ["data.root=there", "data.test_file=x.npy"]]
    assert differences(*(composed("data=moving_mnist", *each) for each in words)) == {}


def test_schedule_over_the_length_differs_in_a_longer_run(composed):
    def scheduled(*overrides):
        return composed("+optimizer.num_updates=${trainer.max_steps}", *overrides)

    longer = differences(scheduled("trainer.max_steps=10"), scheduled("trainer.max_steps=20"))
    assert longer == {"optimizer.num_updates": ("10", "20")}


def test_another_model_is_reported_in_few_lines(composed):
    before, after = composed(), composed("model=gan", "optimizer.lr=0.1")
    with pytest.raises(UserError) as error:
        refuse_changes(before, after, "resume=run", "Begin a new one.")
    lines = str(error.value).splitlines()
    assert lines[0] == "resume=run: these changes would make another run:"
    assert "  model._target_: limner.models.VAE -> limner.models.GAN" in lines
    assert "  model.encoder: ${network.encoder} -> absent" in lines
    assert "  optimizer.lr: 0.001 -> 0.1" in lines
    assert len(lines) <= 20
    advice = lines.index("Begin a new one.")
    allowed = lines[advice + 1 :]
    assert all(kind.name in " ".join(allowed) for kind in MAY_CHANGE)
    assert max(map(len, allowed)) <= 80


def test_same_length_compares_the_limits_of_training(composed):
    assert same_length(composed(), composed("seed=3"))
    assert not same_length(composed(), composed("trainer.max_epochs=3"))
    assert not same_length(composed(), composed("+trainer.max_time=00:00:01:00"))


def test_everything_that_may_change_states_its_reason():
    assert all(kind.reason and kind.keys for kind in MAY_CHANGE)
