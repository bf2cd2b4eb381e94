"""limner from Python: the commands as functions that leave the process unchanged."""

import logging
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import hydra
import pytest
import torch
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

import limner
from limner.callbacks.signals import SeedPerUpdate
from limner.processes import STOP_SIGNALS
from support.runs import JUDGE, last_checkpoint

TINY = [
    "model=vae", "network=mlp", "network.encoder.hidden_dims=[8]", "metrics=loss", "logger=csv",
    "network.decoder.hidden_dims=[8]", "accelerator=cpu", "trainer.max_steps=3",
    "~callbacks.pictures", "~callbacks.codes",
]  # fmt: skip


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """Change to an empty working folder."""
    monkeypatch.chdir(tmp_path)


def state():
    """Return the state of the process that a call must not change."""
    loggers = [logging.getLogger(), logging.getLogger("limner")]
    return (
        [signal.getsignal(number) for number in STOP_SIGNALS], Path.cwd(), list(sys.argv),
        GlobalHydra.instance().hydra, HydraConfig.instance().cfg,
        [(each.handlers[:], each.level) for each in loggers],
        {name: os.environ.get(name) for name in ("HYDRA_FULL_ERROR", "PL_GLOBAL_SEED")},
    )  # fmt: skip


def weights(folder):
    return torch.load(last_checkpoint(Path(folder)), weights_only=True)["state_dict"]


def strike(monkeypatch, update):
    """Send SIGINT, as a notebook's stop button does, when an update begins."""
    original, left = SeedPerUpdate.on_train_batch_start, [1]

    def struck(self, trainer, *arguments):
        if trainer.global_step == update and left:
            left.pop()
            os.kill(os.getpid(), signal.SIGINT)
        return original(self, trainer, *arguments)

    monkeypatch.setattr(SeedPerUpdate, "on_train_batch_start", struck)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Train a run; return it, and the state of the process before and after."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("finished"))
        before = state()
        trained = limner.train(*TINY)
        return trained, before, state()


def test_train_returns_the_folder_model_scores_and_status(finished):
    trained, before, after = finished
    assert after == before
    assert trained.folder.parent == before[1] / "outputs" / "vae_digits"
    assert trained.status.state == "finished"
    assert trained.status.update == 3
    assert trained.model.sample(2).shape == (2, 8, 8, 1)
    assert trained.objective == trained.scores["val/loss"].value
    assert trained.scores["val/loss"].protocol["update"] == 3
    assert trained.config["trainer"]["max_steps"] == 3


def test_train_makes_the_run_of_the_command_line(run, finished):
    result = run(*TINY)
    assert result.code == 0, result.err
    folders = result.only_run(), finished[0].folder
    names = [
        {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
        for folder in folders
    ]
    assert names[0] == names[1]
    torch.testing.assert_close(weights(folders[1]), weights(folders[0]), rtol=0, atol=0)
    configs = [OmegaConf.load(folder / ".hydra" / "config.yaml") for folder in folders]
    assert configs[0] == configs[1]
    assert "limner" in (folders[1] / "train.log").read_text()


def test_train_interrupted_raises_and_resumes_to_the_same_weights(monkeypatch, finished):
    strike(monkeypatch, update=1)
    before = state()
    with pytest.raises(limner.Interrupted, match=r"limner\.train\(\"resume=parts\"\)"):
        limner.train(*TINY, "hydra.run.dir=parts")
    assert state() == before
    resumed = limner.train("resume=parts")
    assert resumed.status.starts == 2
    torch.testing.assert_close(weights("parts"), weights(finished[0].folder), rtol=0, atol=0)


@pytest.mark.slow
def test_train_resumes_an_unfinished_run_or_returns_a_finished_run_of_the_config(monkeypatch):
    strike(monkeypatch, update=1)
    with pytest.raises(limner.Interrupted):
        limner.train(*TINY)
    resumed = limner.train(*TINY, "resume=auto")
    assert resumed.status.state == "finished"
    assert resumed.status.starts == 2
    again = limner.train(*TINY, "resume=auto", f"hydra.run.dir={resumed.folder}")
    assert again.folder == resumed.folder
    assert again.status.starts == 2
    assert again.scores == resumed.scores


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["model=gna"], "did you mean gan"),
        (["seeed=1"], "seed"),
        (["trainer.max_steps=0"], "must be 1 or more"),
        (["optimizer.lr=abc"], "optimizer.lr=abc: must be a number"),
        (["data=image_folder", "data.path=nowhere"], "nowhere"),
        (["-m", "seed=1,2"], "needs the command line"),
        (["--help"], "need the command line"),
        (["accelerator=ddp_cpu", "trainer.devices=2"], "limner.train has one"),
        ([3], "each override is a text"),
    ],
)
def test_train_raises_a_mistake_and_leaves_no_folder(words, message, capfd):
    before = state()
    with pytest.raises(limner.UserError, match=message):
        limner.train(*TINY, *words)
    assert state() == before
    assert list(Path().iterdir()) == []
    assert capfd.readouterr() == ("", ""), "only the exception reports the error"


def test_train_works_in_a_thread():
    done = []
    thread = threading.Thread(target=lambda: done.append(limner.train(*TINY)))
    thread.start()
    thread.join()
    assert done[0].status.state == "finished"


def test_train_refuses_a_second_call_at_the_same_time(monkeypatch):
    found = []
    original = SeedPerUpdate.on_train_batch_start

    def nested(self, *arguments):
        try:
            limner.train(*TINY)
        except limner.UserError as error:
            found.append(str(error))
        return original(self, *arguments)

    monkeypatch.setattr(SeedPerUpdate, "on_train_batch_start", nested)
    limner.train(*TINY)
    assert "another call of limner runs in this process" in found[0]


def test_train_works_while_a_hydra_app_runs(monkeypatch, tmp_path):
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "app.yaml").write_text("x: 1\n")
    seen = []

    @hydra.main(config_path=str(tmp_path / "app"), config_name="app", version_base="1.3")
    def app(config):
        own = HydraConfig.get().job.config_name
        trained = limner.train(*TINY, "hydra.run.dir=inner")
        seen.append((trained.status.state, HydraConfig.get().job.config_name == own))

    monkeypatch.setattr(sys, "argv", ["app.py", "hydra.run.dir=outer"])
    app()
    assert seen == [("finished", True)]


def test_compose_returns_the_checked_config_and_writes_nothing():
    before = state()
    config = limner.compose("model=gan", "data=digits", "optimizer.lr=1e-3")
    assert state() == before
    assert config.model["_target_"] == "limner.models.GAN"
    assert config.optimizer.lr == 1e-3
    with pytest.raises(limner.UserError, match="typo"):
        limner.compose("+model.typo=1")
    assert list(Path().iterdir()) == []


def test_evaluate_scores_a_trained_run_with_protocols(finished):
    trained, *_ = finished
    before = state()
    scores = limner.evaluate(
        trained, "measures=[reconstruction]", "num_measured=20", "metrics=classifier",
        "metrics.num_samples=100", JUDGE, "to=scores",
    )  # fmt: skip
    assert state() == before
    assert all(score.protocol and score.value == score.value for score in scores.values())
    assert scores.keys() & {"fid_classifier", "val/fid_classifier"}
    with pytest.raises(limner.UserError, match="no run in this folder"):
        limner.evaluate("nowhere")


def test_build_and_open_data_give_parts_for_another_trainer():
    model, data = limner.build(*TINY, "data.batch_size=32")
    assert data.batch_size == 32
    assert model.sample(2).shape == (2, 1, 8, 8)
    opened = limner.open_data("digits", batch_size=16, store="memory", augmentation=None)
    assert opened.batch_size == 16
    assert opened.num_classes == 10
    with pytest.raises(limner.UserError, match="batch_size"):
        limner.open_data("digits", batchsize=16)
    with pytest.raises(limner.UserError, match="did you mean digits"):
        limner.open_data("digit")


def test_build_replaces_what_follows_from_the_data():
    words = ["model/penalty=r1", "model.penalty.r1.weight=auto", "data.batch_size=32"]
    model, _ = limner.build("model=gan", "network=mlp", *words)
    assert model.penalty["r1"].weight == pytest.approx(2e-4 * 64 / 32)


def test_names_of_the_package_are_listed_and_import_torch_only_when_used():
    assert set(limner.__all__) <= set(dir(limner))
    assert all(getattr(limner, name) is not None for name in limner.__all__)
    with pytest.raises(AttributeError, match="no attribute 'tarin'"):
        limner.tarin  # noqa: B018
    code = "import sys, limner; dir(limner); limner.UserError; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
    assert (Path(limner.__file__).parent / "py.typed").exists()
