"""The length of training in updates, which schedules read."""

import shutil
from pathlib import Path

import pytest
import torch
import yaml

from limner.errors import UserError
from limner.runs.status import read_status
from limner.training.length import Length
from support import runs

QUICK = (
    "metrics=none", "logger=none", "accelerator=cpu", "lr_schedule=cosine", "~callbacks.pictures",
    "~callbacks.codes",
)  # fmt: skip
SMALL = ("trainer.limit_train_batches=3", "trainer.limit_val_batches=0")


class Images:
    """A data module of so many training images."""

    def __init__(self, number: int) -> None:
        self.number = number

    def split(self, name: str) -> tuple[None, torch.Tensor]:
        return None, torch.arange(self.number)


def filled(config, *, images=1000, num_processes=1, batches_per_update=None, saved=None):
    length = Length(config, Images(images), num_processes=num_processes, saved=saved or {})
    length.fill(batches_per_update)
    return config.num_updates


@pytest.mark.parametrize(
    ("words", "updates"),
    [
        (["trainer.max_epochs=2"], 44),  # 1,437 images in batches of 64
        (["trainer.max_epochs=2", "trainer.limit_train_batches=7"], 14),
        (["trainer.max_epochs=2", "trainer.limit_train_batches=0.3"], 12),
        (["trainer.max_epochs=2", "trainer.max_steps=5"], 5),
        (["trainer.max_epochs=-1", "trainer.max_steps=5"], 5),
        (["trainer.max_epochs=2", "data.batch_size=128", "gradients.accumulate=4"], 22),
        (["model=gan", "model.num_discriminator_steps=5", "trainer.max_epochs=2"], 8),
        (["model=vaegan", "trainer.max_epochs=1", *SMALL], 3),
        (["model=classifier", "trainer.max_epochs=2", *SMALL], 6),
    ],
)
def test_length_is_the_last_update_of_the_limits_of_training(composed, words, updates):
    assert filled(composed("lr_schedule=cosine", *words), images=1437) == updates


@pytest.mark.parametrize(
    ("words", "updates"),
    [
        (["network=mlp", "trainer.max_epochs=2", *SMALL], 6),
        (["network=mlp", "trainer.max_epochs=2", *SMALL, "trainer.max_steps=5"], 5),
        (["network=mlp", "trainer.max_epochs=1", "data.batch_size=400"], 3),
        (["network=mlp", "trainer.max_epochs=1", "trainer.limit_train_batches=0.15"], 3),
        (["model=gan", "network=mlp", "model.num_discriminator_steps=5", "trainer.max_epochs=1",
          "data.batch_size=128"], 2),
        (["model=vaegan", "trainer.max_epochs=1", *SMALL], 3),
        (["model=classifier", "trainer.max_epochs=2", *SMALL, "gradients.accumulate=4"], 6),
    ],
)  # fmt: skip
def test_schedules_end_at_the_last_update_of_training(run, words, updates):
    result = run(*QUICK, "hydra.run.dir=run", *words)
    assert result.code == 0, result.err
    written = yaml.safe_load(Path("run/config.yaml").read_text())
    assert written["num_updates"] == written["lr_schedule"]["last"] == updates
    assert read_status(Path("run")).update == updates


def test_length_counts_the_images_of_all_processes(composed):
    config = composed("trainer.max_epochs=3", "data.batch_size=10")
    assert filled(config, num_processes=4) == 3 * 25


def test_length_is_corrected_by_the_model_that_was_built(composed):
    config = composed("trainer.max_epochs=3", "data.batch_size=10")
    length = Length(config, Images(1000), num_processes=1, saved={})
    assert length.fill()
    assert config.num_updates == 300
    assert length.fill(4)
    assert config.num_updates == 75
    assert not length.fill(4)


@pytest.mark.parametrize("reads", ["${num_updates}", "${trainer.max_steps}"])
def test_kl_schedule_reads_the_length_of_training_too(composed, reads):
    words = ["model/kl_schedule=linear", f"model.kl_schedule.num_updates={reads}"]
    config = composed(*words, "trainer.max_epochs=2", "data.batch_size=10")
    assert filled(config) == 200
    assert config.model.kl_schedule.num_updates == 200
    assert config.trainer.max_steps == -1


def test_values_computed_from_the_length_are_unknown_before_the_length_is_known(composed):
    config = composed("+model.part='${limner.times:2,${num_updates}}'", "trainer.max_epochs=1")
    assert config.model.part is None
    filled(config, images=640)
    assert config.model.part == 20


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([*QUICK, "trainer.max_epochs=-1", "+trainer.max_time=00:00:01:00"],
         "lr_schedule.last follows the length of training, which has no limit in updates."),
        (["trainer.max_epochs=-1", "+trainer.max_time=00:00:01:00", "model/kl_schedule=linear",
          "model.kl_schedule.num_updates=${trainer.max_steps}"], "trainer.max_epochs=N, or model"),
        (["num_updates=5"], "num_updates=5: it is filled in"),
        ([*QUICK, "lr_schedule.first=44", "trainer.max_epochs=2"], "first=44 to last=44"),
    ],
)  # fmt: skip
def test_run_refuses_a_schedule_without_a_length(run, words, message):
    result = run(*words)
    assert result.code == 1
    assert message in result.err
    assert not Path("outputs").exists()


WORDS = (*QUICK, *SMALL, "network=mlp")


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """Train a run of 6 updates with a schedule over its length."""
    folder = tmp_path_factory.mktemp("trained")
    return runs.trained(folder, *WORDS, "trainer.max_epochs=2", "trainer.max_steps=-1")


@pytest.fixture
def trained(original, tmp_path):
    """Return a copy of the original run, in the folder `run`."""
    shutil.copytree(original, tmp_path / "run")


@pytest.mark.parametrize("again", [["resume=run"], [*WORDS, "resume=auto", "hydra.run.dir=run"]])
def test_longer_run_keeps_its_schedule_or_is_refused(run, trained, again):
    refused = run(*again, "trainer.max_epochs=3")
    assert refused.code != 0
    assert "lr_schedule.last: 6 -> the new length of training" in refused.err
    assert "which ends there: lr_schedule.last=6" in refused.err
    kept = run(*again, "trainer.max_epochs=3", "lr_schedule.last=6")
    assert kept.code == 0, kept.err
    written = yaml.safe_load(Path("run/config.yaml").read_text())
    assert (written["num_updates"], written["lr_schedule"]["last"]) == (9, 6)


def test_run_that_ends_at_the_same_update_may_have_other_limits(run, trained):
    result = run("resume=run", "trainer.max_epochs=50", "trainer.max_steps=6")
    assert result.code == 0, result.err
    assert "Nothing to do" in result.out


def test_length_of_a_checkpoint_of_an_earlier_version_is_max_steps(composed):
    words = ["lr_schedule=linear", "trainer.max_steps=500", "trainer.max_epochs=2"]
    assert filled(composed(*words), images=640) == 20
    assert filled(composed(*words), images=640, saved={"limner": {"version": "0.1"}}) == 500
    assert filled(composed(*words), images=640, saved={"limner": {"num_updates": 500}}) == 500


def test_length_of_a_checkpoint_must_equal_the_length_of_the_resumed_run(composed):
    config = composed("lr_schedule=linear", "trainer.max_epochs=2")
    with pytest.raises(UserError, match=r"was 40 updates and is now 20.*lr_schedule.last=40"):
        filled(config, images=640, saved={"limner": {"num_updates": 40}})
