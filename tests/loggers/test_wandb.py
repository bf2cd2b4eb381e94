"""W&B gets the name, the flat config and the pictures of a run, without an account."""

from types import SimpleNamespace

import pytest
import wandb
from PIL import Image

from limner.loggers import WandbLogger


@pytest.fixture(autouse=True)
def _no_open_run():
    """Finish the W&B run of an earlier test, into which Lightning's logger would write."""
    wandb.finish()


@pytest.fixture
def offline(tmp_path, monkeypatch):
    """Return a function that makes a logger without an account."""
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    return lambda name="run": WandbLogger(folder=str(tmp_path / name), project="test")


def test_wandb_tries_to_reach_the_network_rarely(tmp_path, monkeypatch):
    """Every attempt takes W&B 1.5 minutes, during which training waits."""
    attempts = []

    def fail(**options):
        attempts.append(options)
        raise wandb.errors.CommError("no network")

    monkeypatch.setattr(wandb, "init", fail)
    logger = WandbLogger(folder=str(tmp_path), project="test")
    for _ in range(5):
        with pytest.raises(wandb.errors.CommError):
            logger.log_metrics({"a": 1.0}, step=1)
    assert len(attempts) == 1
    logger._next_attempt = 0.0
    with pytest.raises(wandb.errors.CommError):
        logger.log_metrics({"a": 1.0}, step=1)
    assert len(attempts) == 2


def test_wandb_works_without_an_account(offline, monkeypatch):
    logger, again = offline(), offline()
    assert logger._offline
    assert logger._wandb_init["id"] == again._wandb_init["id"], "a folder is one W&B run"
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    assert not offline()._offline


def test_wandb_names_a_run_by_its_folder(offline):
    assert offline("outputs/vae_digits/a")._wandb_init["name"] == "vae_digits/a"


def test_wandb_config_has_flat_keys_without_dots(offline):
    """A filter of W&B takes a dot in a key for a level of nesting, and finds nothing."""
    logger, config = offline(), {}
    logger._experiment = SimpleNamespace(
        config=SimpleNamespace(update=lambda values, **options: config.update(values))
    )
    logger.log_hyperparams({"model": {"latent_dim": 32, "ema": None}, "run_dir": "a"})
    assert config == {"model/latent_dim": 32, "model/ema": None}


def test_wandb_pictures_have_captions(offline):
    logger, logged = offline(), []
    logger._experiment = SimpleNamespace(log=logged.append)
    logger.log_image(key="samples", images=[Image.new("RGB", (9, 9))], step=7, caption=["Seven."])
    (picture,) = logged[0]["samples"]
    assert picture._caption == "Seven."
    assert logged[0]["trainer/global_step"] == 7


@pytest.mark.slow
def test_wandb_opens_a_run_for_each_folder_in_one_process(offline):
    first, second = offline("first"), offline("second")
    names = [logger.experiment.name for logger in (first, second, offline("second"))]
    ids = [logger._experiment.id for logger in (first, second)]
    assert [name.rpartition("/")[2] for name in names] == ["first", "second", "second"]
    assert ids[0] != ids[1]
    assert wandb.run.id == ids[1]


def test_wandb_writes_into_a_run_that_a_user_has_opened(offline, tmp_path):
    with wandb.init(mode="offline", dir=tmp_path, project="mine") as mine:
        assert offline().experiment is mine


@pytest.mark.slow
def test_offline_run_with_all_loggers_warns_of_nothing(run, monkeypatch, tmp_path):
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    result = run(
        "logger=[csv,tensorboard,wandb]", "trainer.max_steps=20", "metrics=none", "network=mlp",
        "callbacks.pictures.every_num_updates=10",
    )  # fmt: skip
    assert result.code == 0, result.err
    assert "WARNING" not in result.err
    assert "anonymous" not in result.err
    folder = result.only_run()
    assert (folder / "metrics.csv").read_text().count("\n") == 2  # heading and one row
    assert list(folder.glob("events.out.tfevents.*"))
    assert list((folder / "wandb").glob("offline-run-*"))
