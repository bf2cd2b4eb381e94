"""TensorBoard shows values, pictures and the config, and a resumed run continues in them."""

import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.summary.writer import event_file_writer

from limner.loggers import TensorBoardLogger, ToleratedLogger
from limner.loggers.tensorboard import HPARAMS_FILE
from support.disks import full_disk
from support.tensorboard_files import captions, hparams, pictures

VAE = {"seed": 0, "model": {"latent_dim": 32, "kl_schedule": None}, "run_dir": "a"}
GAN = {"seed": 1, "model": {"loss": {"margin": 1.0}}, "trainer": {"fast": True}}


@pytest.fixture(autouse=True)
def _first_writer(monkeypatch):
    """Number writers from 0: files of one second are read by name, and "10" sorts before "9"."""
    monkeypatch.setattr(event_file_writer, "_global_uid", event_file_writer.AtomicCounter(0))


def ended_run(folder, config, *, loss, first=1, status="success"):
    """Log two updates of a run; with `first` above 1, resume it."""
    logger = TensorBoardLogger(folder=str(folder))
    logger.log_hyperparams(config)
    if first > 1:
        logger.go_on_from(first - 1)
    logger.log_metrics({"val/loss": 9.0}, step=first)
    logger.log_metrics({"val/loss": loss}, step=first + 1)
    logger.finalize(status)


def test_tensorboard_logs_values_and_pictures(tmp_path):
    logger = TensorBoardLogger(folder=str(tmp_path))
    logger.log_metrics({"train/loss": 1.5}, step=7)
    picture = Image.new("L", (9, 5), 255)
    logger.log_image(key="samples", images=[picture], step=7, caption=["All white."])
    logger.finalize("success")
    logger.log_image(key="samples", images=[picture], step=8)
    logger.finalize("success")
    events = EventAccumulator(str(tmp_path)).Reload()
    (scalar,) = events.Scalars("train/loss")
    assert (scalar.step, scalar.value) == (7, 1.5)
    first, second = pictures(tmp_path)
    assert (first.key, first.step, second.step) == ("samples", 7, 8)
    assert first.pixels.shape == (5, 9, 3)
    assert captions(tmp_path) == {"samples": "All white."}


def test_tensorboard_hides_updates_that_a_resume_repeats(tmp_path):
    first = TensorBoardLogger(folder=str(tmp_path))
    for step in (10, 20, 30):
        first.log_metrics({"train/loss": step}, step=step)
    first.finalize("failed")
    second = TensorBoardLogger(folder=str(tmp_path))
    second.go_on_from(20)
    second.log_metrics({"train/loss": 25}, step=25)
    second.finalize("success")
    events = EventAccumulator(str(tmp_path)).Reload()
    assert [event.step for event in events.Scalars("train/loss")] == [10, 20, 25]


def test_tensorboard_writes_again_when_the_disk_has_room(tmp_path, capfd):
    logger = TensorBoardLogger(folder=str(tmp_path))
    tolerated = ToleratedLogger(logger, "tensorboard")
    tolerated.log_metrics({"a": 1.0}, step=1)
    tolerated.save()
    with full_disk(150):
        tolerated.log_metrics({"a": 2.0}, step=2)
        tolerated.save()
    tolerated.log_metrics({"a": 3.0}, step=3)
    tolerated.finalize("success")
    events = EventAccumulator(str(tmp_path)).Reload()
    assert [event.step for event in events.Scalars("a")] == [1, 3]
    assert "Traceback" not in capfd.readouterr().err


def test_hparams_tab_compares_runs_of_different_models_by_their_names(tmp_path):
    outputs = tmp_path / "outputs"
    ended_run(outputs / "vae" / "a", VAE, loss=2.0)
    ended_run(outputs / "gan" / "b", GAN, loss=3.0, status="failed")
    gan, vae = hparams(outputs)
    assert (vae.name, vae.run) == ("vae/a", "vae/a")
    assert vae.hparams == {"seed": 0, "model.latent_dim": 32}
    assert vae.metrics == {"val/loss": 2.0}
    assert vae.status == "STATUS_SUCCESS"
    assert (gan.name, gan.run) == ("gan/b", "gan/b")
    assert gan.hparams == {"seed": 1, "model.loss.margin": 1.0, "trainer.fast": True}
    assert gan.metrics == {"val/loss": 3.0}
    assert gan.status == "STATUS_FAILURE"
    (alone,) = hparams(outputs / "vae" / "a")
    assert alone.name == "vae/a", "TensorBoard itself would name the run '.'"


def test_hparams_tab_shows_a_resumed_run_once_with_its_newest_config(tmp_path):
    folder = tmp_path / "outputs" / "vae" / "a"
    ended_run(folder, VAE, loss=5.0, status="failed")
    ended_run(folder, VAE | {"trainer": {"max_steps": 4}}, loss=1.0, first=3)
    (trial,) = hparams(tmp_path / "outputs")
    assert trial.hparams["trainer.max_steps"] == 4
    assert trial.metrics == {"val/loss": 1.0}
    assert trial.status == "STATUS_SUCCESS"
    assert len(list(folder.glob(HPARAMS_FILE))) == 1


@pytest.mark.slow
def test_hparams_tab_has_the_config_and_the_objective_of_a_resumed_run(run):
    common = ["network=mlp", "accelerator=cpu", "logger=[csv,tensorboard]", "metrics=loss"]
    made = run(*common, "trainer.max_steps=2")
    assert made.code == 0, made.err
    folder = made.only_run()
    resumed = run(f"resume={folder}", "trainer.max_steps=4")
    assert resumed.code == 0, resumed.err
    (trial,) = hparams(folder.parents[1])
    assert trial.name == trial.run == f"vae_digits/{folder.name}"
    assert trial.hparams["trainer.max_steps"] == 4
    assert trial.hparams["data.name"] == "digits"
    assert trial.hparams["metrics.objective.name"] == "val/loss"
    assert {"run_dir", "logger.csv.folder"}.isdisjoint(trial.hparams)
    lines = (folder / "metrics.csv").read_text().splitlines()
    last = dict(zip(lines[0].split(","), lines[-1].split(","), strict=True))
    assert trial.metrics["val/loss"] == pytest.approx(float(last["val/loss"]))
