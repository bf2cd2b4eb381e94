"""Whole runs: the files they leave, and how they end, stop, resume and use several processes."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml
from PIL import Image

import limner
from limner.commands.evaluate.command import run as evaluate
from limner.runs.checkpoints import update_path
from limner.runs.status import read_status
from limner.version import FORMAT
from support import fakes
from support.runs import last_checkpoint

ROOT = Path(__file__).parents[1]
QUICK = ["metrics.num_samples=100", "metrics.batch_size=50", "metrics.features.num_updates=50"]
NO_PICTURES = ["~callbacks.pictures", "~callbacks.codes"]
ON_TWO = ["accelerator=ddp_cpu", "data.batch_size=128", "~callbacks.codes", *QUICK]


def command(*arguments: str) -> list[str]:
    return [sys.executable, str(ROOT / "train.py"), *arguments]


def execute(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess:
    """Run a command in a separate process, since it starts others or handles signals."""
    return subprocess.run(
        command(*arguments), cwd=tmp_path, capture_output=True, text=True, timeout=600, check=False
    )


def rows(folder: Path) -> list[dict[str, str]]:
    with open(folder / "metrics.csv", newline="") as file:
        return list(csv.DictReader(file))


def checkpoint(folder: Path) -> dict:
    return torch.load(last_checkpoint(folder), weights_only=True)


def same(a, b) -> bool:
    """Return whether two states of a model or an optimizer are equal bit for bit."""
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return a == b


def losses(folder: Path) -> list[dict[str, str]]:
    """Return metrics.csv without the columns that measure time."""
    timed = "time/"
    return [{k: v for k, v in row.items() if not k.startswith(timed)} for row in rows(folder)]


def trained(folder: Path) -> list[dict[str, str]]:
    """Return the train values of metrics.csv, since a run that stopped early has other scores."""
    rows = losses(folder)
    return [{k: v for k, v in r.items() if k.startswith(("update", "train/"))} for r in rows]


def slow(*values) -> object:
    """Return the values of one case of a test, which is marked slow."""
    return pytest.param(*values, marks=pytest.mark.slow)


def test_run_leaves_the_files_that_the_readme_lists(run):
    length = ["trainer.max_epochs=2", "trainer.limit_train_batches=3"]
    result = run(*length, "callbacks.pictures.every_num_updates=4", *QUICK)
    assert result.code == 0, result.err
    folder = result.only_run()
    assert folder.parts[:2] == ("outputs", "vae_digits")
    for name in (
        ".hydra/config.yaml", "config.yaml", "metrics.csv", "checkpoints/update_00000006.ckpt",
        "checkpoints/best.ckpt", "samples/update_00000004.png", "final.png", "scores.json",
        "environment.txt", "train.log",
    ):  # fmt: skip
        assert (folder / name).is_file(), name
    config = yaml.safe_load((folder / "config.yaml").read_text())
    assert "${" not in (folder / "config.yaml").read_text()
    assert config["model"]["encoder"]["image_shape"] == [1, 8, 8]
    environment = (folder / "environment.txt").read_text()
    assert all(word in environment for word in ("torch:", "commit:", "command:", "device:"))
    assert "final.png" in result.out
    assert "val/fid_classifier" in result.out
    assert "Warning" not in result.err


def test_two_runs_of_one_seed_are_equal(run):
    folders = []
    for seed in (1, 1, 2):
        before = set(Path("outputs").glob("*/*"))
        words = ["model=gan", f"seed={seed}", "trainer.max_steps=4", *NO_PICTURES, *QUICK]
        assert run(*words).code == 0
        folders += set(Path("outputs").glob("*/*")) - before
    states = [checkpoint(folder)["state_dict"] for folder in folders]
    assert same(states[0], states[1])
    assert not same(states[0], states[2])
    assert losses(folders[0]) == losses(folders[1]) != losses(folders[2])


RESUMED = {
    "vae": [
        "model=vae", "model.ema_half_life=500", "data/augmentation=flip",
        "metrics.every_num_epochs=1", *QUICK,
    ],
    "gan": [
        "model=gan", "model.num_discriminator_steps=2", "metrics.every_num_epochs=1", *QUICK,
    ],
    "penalties": [
        "model=gan", "model/loss=wasserstein", "network=mlp", "data/augmentation=flip",
        "model/penalty=[gradient,r2,lecam]", "model.penalty.gradient.every=3", "metrics=none",
        "model.penalty.r2.function.approximate=0.1",
    ],
    "ada": [
        "model=gan", "model/condition=projection", "model/augmentation=ada",
        "model.augmentation.images_per_unit=2000", "model.ema_ramp=0.05", "lr_schedule=cosine",
        "lr_schedule.last=20", "gradients.accumulate=2", "metrics=none",
    ],
    "r3gan": [
        "experiment=r3gan_cifar10", "data=digits", "network.width=8", "network.max_width=8",
        "network.num_blocks=1", "lr_schedule.last=12", "trainer.precision=32-true", "logger=csv",
        "metrics=none",
    ],
    "stylegan2": [
        "model=gan", "network=stylegan2", "model/penalty=[r1,path_length]",
        "model.penalty.r1.every=3", "model/condition=concat", "gradients.accumulate=2",
        "network.generator.width=8", "network.generator.max_width=8",
        "network.discriminator.width=8", "network.discriminator.max_width=8",
        "network.generator.style_dim=16", "metrics=none",
    ],
    "schedule": [
        "model=classifier", "lr_schedule=linear", "lr_schedule.last=30", "gradients.accumulate=4",
    ],
    "classifier": ["model=classifier"],
    "shapes": [
        "model=vae", "network=mlp", "data=shapes", "data/augmentation=strong", "metrics=none",
        "data.image_shape=[3,16,16]", "data.source.num_train=100", "data.source.num_validation=40",
        "data.captions=true", "data.held_out=[red circle]",
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "stops"),
    [
        ("vae", (4, 5)), ("gan", (2, 4)), slow("penalties", (5,)), slow("ada", (3,)),
        ("r3gan", (3,)), slow("stylegan2", (4,)),
        slow("schedule", (2,)), slow("classifier", (4,)), ("shapes", (4,)),
    ],
)  # fmt: skip
def test_resumed_run_equals_the_uninterrupted_run(run, tmp_path, name, stops):
    """Stops in the middle of an epoch, at its end, and in a later epoch give equal bits."""
    common = [
        *RESUMED[name], *NO_PICTURES, "data.batch_size=16", "trainer.limit_train_batches=4",
        "trainer.limit_val_batches=2", "callbacks.log.every_num_updates=1",
    ]  # fmt: skip
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    updates = 9
    assert run(*common, f"trainer.max_steps={updates}", f"hydra.run.dir={whole}").code == 0
    command = [*common, f"hydra.run.dir={parts}"]
    for stop in (*stops, updates):
        result = run(*command, f"trainer.max_steps={stop}")
        assert result.code == 0, result.err
        assert checkpoint(parts)["global_step"] == stop
        command = [f"resume={parts}"]
    a, b = checkpoint(whole), checkpoint(parts)
    assert a["global_step"] == b["global_step"] == updates
    assert a["epoch"] == b["epoch"]
    assert same(a["state_dict"], b["state_dict"])
    assert same(a["optimizer_states"], b["optimizer_states"])
    assert trained(whole) == trained(parts)


@pytest.mark.parametrize("model", ["vae", slow("gan")])
def test_checkpoint_of_the_end_of_an_epoch_resumes_with_the_next_epoch(run, tmp_path, model):
    """This holds even if max_steps is set and nothing is validated."""
    whole, part = tmp_path / "whole", tmp_path / "part"
    common = [
        f"model={model}", "network=mlp", "metrics=none", "logger=csv", *NO_PICTURES,
        "callbacks.log.every_num_updates=1", "callbacks.checkpoints.every_num_updates=3",
        "callbacks.checkpoints.keep_last=9", "trainer.limit_train_batches=3",
        "trainer.max_steps=7",
    ]  # fmt: skip
    assert run(*common, f"hydra.run.dir={whole}").code == 0
    shutil.copytree(whole, part)
    for update in (6, 7):
        update_path(part, update).unlink()
    assert run(f"resume={part}").code == 0
    assert losses(whole) == losses(part)


def test_resume_keeps_model_and_config_and_accepts_new_overrides(run, tmp_path):
    folder = tmp_path / "a run"
    assert run("model=gan", "data.batch_size=32", "optimizer.lr=3e-4", "trainer.max_epochs=1",
               "trainer.limit_train_batches=3", *NO_PICTURES, f"hydra.run.dir='{folder}'",
               "logger=csv", *QUICK).code == 0  # fmt: skip
    before = rows(folder)
    result = run(f"resume={folder}", "trainer.max_epochs=2", "logger=[csv,tensorboard]")
    assert result.code == 0, result.err
    config = yaml.safe_load((folder / "config.yaml").read_text())
    assert config["model"]["_target_"] == "limner.models.GAN"
    assert config["optimizer"]["lr"] == 3e-4
    assert config["trainer"]["max_epochs"] == 2
    assert set(config["logger"]) == {"csv", "tensorboard"}
    assert checkpoint(folder)["global_step"] == 6
    after = rows(folder)
    assert [row["update"] for row in after[: len(before)]] == [row["update"] for row in before]
    assert int(after[-1]["update"]) == 6


@pytest.mark.slow  # test_merge_config.py tests this without training
def test_second_resume_has_the_overrides_of_the_first(run, tmp_path):
    """An override that removes a logger is kept like one that adds a logger."""
    folder = tmp_path / "run"
    start = ["metrics=none", "trainer.max_epochs=1", "trainer.limit_train_batches=2"]
    assert run(*start, "network=mlp", *NO_PICTURES, f"hydra.run.dir={folder}").code == 0
    assert run(f"resume={folder}", "trainer.max_epochs=2", "logger=csv").code == 0
    again = run(f"resume={folder}")
    assert again.code == 0, again.err
    assert "Nothing to do: the run is at update 4." in again.out
    assert set(yaml.safe_load((folder / "config.yaml").read_text())["logger"]) == {"csv"}
    less = run(f"resume={folder}", "trainer.max_epochs=1")
    assert less.code == 1
    assert "trainer.max_epochs=1: the run is in epoch 2." in less.err
    assert run(f"resume={folder}").code == 0, "the refused override was saved"


@pytest.mark.slow
def test_run_with_user_config_files_is_resumed_when_they_are_named_again(run, tmp_path):
    (tmp_path / "mine" / "experiment").mkdir(parents=True)
    file = tmp_path / "mine" / "experiment" / "mine.yaml"
    file.write_text("# @package _global_\ntrainer: {limit_train_batches: 3}\n")
    start = ["--config-dir", "mine", "experiment=mine", "metrics=none", "hydra.run.dir=first"]
    assert run(*start, "network=mlp", *NO_PICTURES, "trainer.max_epochs=1").code == 0
    forgotten = run("resume=first", "trainer.max_epochs=2")
    assert forgotten.code == 1
    assert "experiment=mine: there is no such option" in forgotten.err
    assert "--config-dir DIR" in forgotten.err
    result = run("resume=first", "trainer.max_epochs=2", "--config-dir", "mine")
    assert result.code == 0, result.err
    assert checkpoint(Path("first"))["global_step"] == 6


def test_folder_in_use_is_refused_and_left_alone(run, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("three years")
    for arguments in (["metrics=none"], ["data.batch_size=5000"]):
        result = run("hydra.run.dir=mine", *arguments)
        assert result.code == 1
        assert "hydra.run.dir=mine is not empty" in result.err
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "three years"


def test_crash_in_training_leaves_the_run(run, monkeypatch):
    from limner.models import VAE

    def crash(self, *arguments):
        if self.global_step == 7:
            raise RuntimeError("out of memory")
        return original(self, *arguments)

    original = VAE.training_step
    monkeypatch.setattr(VAE, "training_step", crash)
    with pytest.raises(RuntimeError, match="out of memory"):
        run("metrics=none", "network=mlp", "callbacks.checkpoints.every_num_updates=5",
            "hydra.run.dir=crashed")  # fmt: skip
    assert checkpoint(Path("crashed"))["global_step"] == 5


def test_validation_is_logged_in_every_epoch_even_if_unchanged(run):
    still = ["model=classifier", "network=mlp", "optimizer.lr=0.0"]
    result = run(*still, "trainer.max_epochs=4", "trainer.limit_train_batches=2", "logger=csv")
    assert result.code == 0, result.err
    found = [row["val/accuracy"] for row in rows(result.only_run()) if row["val/accuracy"]]
    assert len(found) == 4
    assert len(set(found)) == 1


def test_scores_are_logged_when_they_are_computed(run):
    length = ["trainer.max_epochs=4", "trainer.limit_train_batches=2"]
    words = ["network=mlp", *NO_PICTURES, "metrics.every_num_epochs=2", "logger=csv", *QUICK]
    result = run(*length, *words)
    assert result.code == 0, result.err
    found = rows(result.only_run())
    assert [row["update"] for row in found if row["val/fid_classifier"]] == ["4", "8"]
    assert [row["update"] for row in found if row["val/loss"]] == ["2", "4", "6", "8"]


@pytest.mark.parametrize(
    ("model", "number"),
    [
        ("vae", signal.SIGINT),
        slow("gan", signal.SIGTERM),
        slow("vae", signal.SIGUSR1),
    ],
)
@pytest.mark.usefixtures("forking")
def test_signal_stops_after_the_batch_and_resume_continues(tmp_path, run, model, number):
    process = subprocess.Popen(
        command(f"model={model}", "trainer.max_epochs=-1", "metrics=none", "logger=csv",
                "network=mlp", *NO_PICTURES, "callbacks.log.every_num_updates=1",
                "hydra.run.dir=stopped"),
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    file = tmp_path / "stopped" / "metrics.csv"
    deadline = time.monotonic() + 600
    while not (file.exists() and len(file.read_text().splitlines()) > 5):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert "stopped is being trained right now" in run("resume=stopped").err
    process.send_signal(number)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 1
    assert "To resume: python train.py resume=stopped" in err
    assert "Traceback" not in err
    folder = tmp_path / "stopped"
    stopped = checkpoint(folder)["global_step"]
    assert f"Stopped after update {stopped}." in err
    assert int(rows(folder)[-1]["update"]) == stopped
    status = read_status(folder)
    assert (status.state, status.update, status.pid) == ("stopped", stopped, process.pid)
    result = run("resume=stopped", f"trainer.max_steps={stopped + 5}")
    assert result.code == 0, result.err
    updates = [int(row["update"]) for row in rows(folder)]
    assert updates == list(range(1, stopped + 6))


@pytest.mark.slow  # test_two_processes_train_like_one_and_one_process_resumes_their_run is quick
@pytest.mark.parametrize(("model", "steps"), [("vae", 1), ("gan", 2)])
@pytest.mark.usefixtures("forking")
def test_two_processes_share_one_run(tmp_path, model, steps):
    """Every image once per epoch, one folder, and updates = images / (2 x batch x D steps)."""
    extra = [f"model.num_discriminator_steps={steps}", "model/penalty=lecam"]
    extra = extra if model == "gan" else []
    result = execute(
        tmp_path, f"model={model}", *extra, *ON_TWO, "trainer.max_epochs=2", "logger=csv",
        "callbacks.log.every_num_updates=1",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    (folder,) = (tmp_path / "outputs").glob("*/*")
    updates = 1437 // (2 * 128 * steps)
    assert checkpoint(folder)["global_step"] == 2 * updates
    found = rows(folder)
    assert [int(row["update"]) for row in found] == list(range(1, 2 * updates + 1))
    assert int(found[-1]["train/images_seen"].split(".")[0]) == 2 * updates * 2 * 128 * steps
    assert result.stdout.count("Samples:") == 1
    # Scores are computed in one process from the content of the checkpoint.
    evaluate([f"run={folder}"])
    scores, again = (
        json.loads((folder / f"{name}.json").read_text()) for name in ("scores", "evaluation")
    )
    for name, entry in again.items():
        assert entry["value"] == pytest.approx(scores[f"val/{name}"]["value"], rel=1e-4), name


@pytest.mark.slow
@pytest.mark.usefixtures("forking")
def test_devices_setting_alone_starts_several_processes(tmp_path):
    """This includes a GAN whose scores come in a number of chunks that does not divide evenly."""
    result = execute(
        tmp_path, "model=gan", "trainer.devices=2", "accelerator=cpu", "trainer.max_steps=3",
        "metrics.num_samples=120", "metrics.batch_size=50", "metrics.features.num_updates=50",
        "logger=csv", "hydra.run.dir=two",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert checkpoint(tmp_path / "two")["global_step"] == 3
    scores = json.loads((tmp_path / "two" / "scores.json").read_text())
    assert scores["val/fid_classifier"]["value"] > 0
    assert result.stdout.count("digits: 1,437 train") == 1


ON_BOTH = [
    "network=mlp", "data/augmentation=flip", "logger=none", "metrics=none",
    "trainer.limit_val_batches=0", *NO_PICTURES,
]  # fmt: skip
PLAYERS = ["model=gan", "model/loss=wasserstein", "model.num_discriminator_steps=2"]


def difference(a: str, b: str, update: int) -> float:
    """Return the largest difference between the weights of two runs at an update."""
    one, two = (torch.load(update_path(Path(run), update), weights_only=True) for run in (a, b))
    pairs = [(one["state_dict"][name], two["state_dict"][name]) for name in one["state_dict"]]
    return max((x - y).abs().max().item() for x, y in pairs)


@pytest.mark.usefixtures("forking")
def test_two_processes_train_like_one_and_one_process_resumes_their_run(tmp_path, run):
    """They use the same images in the same order, and the same random numbers."""
    common = ["model=vae", "model.ema_half_life=500", *ON_BOTH]
    result = execute(
        tmp_path, *common, "accelerator=ddp_cpu", "data.batch_size=16", "trainer.max_steps=5",
        "hydra.run.dir=two",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    one = [*common, "accelerator=cpu", "data.batch_size=32", "trainer.max_steps=8"]
    for folder, extra in {"one": [], "seed": ["seed=1"]}.items():
        every = "callbacks.checkpoints.every_num_updates=5"
        assert run(*one, *extra, every, f"hydra.run.dir={folder}").code == 0
    assert difference("two", "one", 5) < 1e-5
    assert difference("two", "seed", 5) > 1e-3, "the seed has no effect"
    resumed = run("resume=two", "accelerator=cpu", "trainer.max_steps=8")
    assert resumed.code == 0, resumed.err
    assert "data.batch_size=32 instead of 16" in resumed.out
    assert "The run resumes on 1 process instead of 2 processes." in resumed.out
    assert difference("two", "one", 8) < 1e-5
    again = run("resume=two", "trainer.max_steps=9")
    assert "data.batch_size=32 instead of 16" in again.out
    assert "From" not in again.out
    assert checkpoint(Path("two"))["limner"] == {
        "version": limner.__version__, "format": FORMAT, "batch_size": 32, "world_size": 1,
        "num_updates": 9,
    }  # fmt: skip


@pytest.mark.slow  # the test above resumes with another number of processes, too
@pytest.mark.usefixtures("forking")
def test_two_processes_resume_the_run_of_one(tmp_path, run):
    """The run is a GAN with two steps of D and a penalty that draws random numbers."""
    whole = [*PLAYERS, *ON_BOTH, "accelerator=cpu", "data.batch_size=32", "trainer.max_steps=8"]
    every = "callbacks.checkpoints.every_num_updates=5"
    assert run(*whole, every, "hydra.run.dir=whole").code == 0
    shutil.copytree("whole", "start")
    update_path(Path("start"), 8).unlink()
    result = execute(tmp_path, "resume=start", "accelerator=ddp_cpu")
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("data.batch_size=16 instead of 32") == 1
    assert difference("start", "whole", 8) < 1e-5
    refused = run("resume=start", "trainer.devices=5", "trainer.max_steps=9")
    assert refused.code == 1
    assert "takes 32 images, which 5 processes cannot share evenly" in refused.err


def test_resume_refuses_other_images_and_accepts_moved_ones(run, tmp_path):
    photos = fakes.images(tmp_path / "photos", 24, size=(8, 8))
    common = ["data=image_folder", "data.batch_size=4", "network=mlp", "metrics=none"]
    common += NO_PICTURES
    first = run(*common, f"data.path={photos}", "trainer.max_steps=3", "hydra.run.dir=run")
    assert first.code == 0, first.err
    copy = photos.rename(tmp_path / "elsewhere")
    shutil.copytree(copy, photos, copy_function=shutil.copyfile)
    Image.new("RGB", (8, 8)).save(photos / "0007.png")
    before = {path: path.read_bytes() for path in Path("run").rglob("*") if path.is_file()}
    refused = run("resume=run", "trainer.max_steps=6")
    assert refused.code == 1
    assert "The training images of image_folder differ from those" in refused.err
    assert "Traceback" not in refused.err
    after = {path: path.read_bytes() for path in Path("run").rglob("*") if path.is_file()}
    for path in (Path("run/train.log"), *Path("run/.hydra").iterdir()):
        del before[path], after[path]
    assert after == before
    moved = run("resume=run", f"data.path={copy}", "trainer.max_steps=6")
    assert moved.code == 0, moved.err
    assert checkpoint(Path("run"))["global_step"] == 6


@pytest.mark.usefixtures("forking")
def test_sweep_jobs_have_separate_folders(run):
    """Folders are named by overrides; the `/` of a group makes no nested folder."""
    quick = ["trainer.max_steps=1", "metrics=none", "logger=none", *NO_PICTURES]
    result = run(
        "-m", "model=gan", "model/loss=hinge,minimax", "network=mlp", *quick, "sweep=losses"
    )
    assert result.code == 0, result.err
    folders = sorted(path.parent for path in Path("outputs/sweeps/losses").glob("*/status.json"))
    assert ["loss=hinge" in folders[0].name, "loss=minimax" in folders[1].name] == [True, True]
    assert all((folder / "checkpoints" / "update_00000001.ckpt").exists() for folder in folders)
    assert all((folder / ".hydra" / "config.yaml").exists() for folder in folders)


@pytest.mark.slow
@pytest.mark.usefixtures("forking")
@pytest.mark.parametrize("devices", ["1,2", "2,1"])
def test_sweep_over_numbers_of_processes_trains_every_job(tmp_path, monkeypatch, devices):
    """Each job uses every image once per epoch, and its processes have the same values."""
    monkeypatch.setenv("PYTHONPATH", f"{Path(__file__).parent}:{os.environ.get('PYTHONPATH', '')}")
    spy = "+callbacks.spy._target_=support.spies.Seen"
    result = execute(
        tmp_path, "-m", f"trainer.devices={devices}", "accelerator=ddp_cpu", "optimizer.lr=1e-3",
        "data.batch_size=256", "trainer.max_epochs=1", "metrics=none", "logger=none", spy,
        "network=mlp", *NO_PICTURES, "sweep=devices",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    for number in (1, 2):
        (folder,) = (tmp_path / "outputs/sweeps/devices").glob(f"*trainer.devices={number}*")
        seen = [json.loads(path.read_text()) for path in folder.glob("seen_*.json")]
        images = [image for process in seen for image in process["images"]]
        assert len(seen) == number
        assert len(images) == len(set(images)) == 1437 // (256 * number) * 256 * number
        assert {tuple(process["lr"]) for process in seen} == {(1e-3,)}
        assert checkpoint(folder)["global_step"] == 1437 // (256 * number)
    assert not list((tmp_path / "outputs").glob("vae_*"))


@pytest.mark.slow
def test_help_and_config_are_shown_without_a_run_folder(run):
    shown = run("--help")
    assert shown.code == 0
    assert "model: cgan, classifier, code_prior, cvae, cyclegan, draw, gan" in shown.out
    assert "\nsearch: gan, vae" in shown.out
    shown = run("--cfg", "job", "model=gan")
    assert shown.code == 0
    assert yaml.safe_load(shown.out)["model"]["latent_dim"] == 64
    assert not Path("outputs").exists()


@pytest.mark.slow  # it starts two real processes
def test_console_script_starts_ddp_processes_with_the_same_words(tmp_path):
    """This includes the user's config files."""
    (tmp_path / "mine" / "experiment").mkdir(parents=True)
    file = tmp_path / "mine" / "experiment" / "mine.yaml"
    file.write_text("# @package _global_\nseed: 4\n")
    script = Path(sys.executable).with_name("limner")
    if not script.exists():
        pytest.skip("limner is not installed")
    own = ["--config-dir", "mine", "experiment=mine"]
    result = subprocess.run(
        [str(script), "train", *own, *ON_TWO[:3], "trainer.max_steps=3", "metrics=none"],
        cwd=tmp_path, capture_output=True, text=True, timeout=600, check=False,
        env={k: v for k, v in os.environ.items() if k != "LOCAL_RANK"},
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
