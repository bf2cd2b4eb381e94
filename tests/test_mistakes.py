"""Each mistake of a user gets one short message, exit code 1 or 2, and no folder."""

import errno
import os
import sys
from pathlib import Path

import pytest
import torch
from omegaconf import open_dict

from limner import cli
from limner.callbacks.signals import SeedPerUpdate
from limner.commands.train import run_in_folder
from limner.config import error_messages
from limner.errors import UserError
from limner.resume.start import Start
from limner.runs.lock import locked
from limner.runs.status import read_status
from limner.training.progress import Progress
from limner.training.train import prepare
from support import fakes
from support.runs import content, pretended

CPU = ["accelerator=cpu"]
QUICK = ["metrics=none", "trainer.max_epochs=1", "logger=csv"]
RGBA = ["data=image_folder", "data.path=photos", "data.image_shape=[4,8,8]"]
MIXING = ["model/penalty=r1", "network.discriminator_norm=batch", "data.image_shape=[1,16,16]"]


def fails(result, code: int, *messages: str, has_begun: bool = False) -> None:
    assert result.code == code, (result.out, result.err)
    for message in messages:
        assert message in result.err
    assert len(result.err.strip().splitlines()) <= 10
    assert "Traceback" not in result.err
    assert ("Optimizer: " in result.out + result.err) == has_begun
    assert not Path("outputs").exists(), "nothing half-written"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["model=vea"], "model=vea: there is no such option; did you mean vae?"),
        (["data=imagnet"], "did you mean imagenet?"),
        (["accelerator=fsdp"], "accelerator=fsdp: there is no such option"),
        (["optimizer=zzz"], "there are: adagrad, adam, adam_gan, adamw, rmsprop, sgd"),
        (["modle=gan"], "modle: there is no such key; did you mean model?"),
        (["sed=1"], "sed: there is no such key; did you mean seed?"),
        (
            ["model.latnt_dim=3"],
            "model.latnt_dim: there is no such key; did you mean model.latent_dim?",
        ),
        (["trainer.max_epoch=3"], "did you mean trainer.max_epochs?"),
        (
            ["data=moving_shapes", "data.source.num_train=9"],
            "there is no such key; did you mean data.source.shapes.num_train=9?",
        ),
        (["trainer.val_check_interval=3"], "is added by a plus: +trainer.val_check_interval="),
        (["seed=one"], "seed: Value 'one' of type 'str' could not be converted to Integer"),
        (["just words"], "just words: not of the form key=value"),
        (["vae"], "vae: not of the form key=value; did you mean model=vae?"),
        (["--model=gan"], "keys have no dashes: model=gan"),
        (["seed=1,2"], "one run for each: add -m"),
        (["optimizer.betas=0.5,0.999"], "a list: 'optimizer.betas=[0.5,0.999]'"),
        (["+trainer.limit_train_batches=9"], "Without the plus: trainer.limit_train_batches=9"),
        (["data=/my/photos"], "data=image_folder data.path=/my/photos"),
        (["lr=3e-4"], "did you mean optimizer.lr=3e-4?"),
        (["seed=1,2", "--multirun", "lr=3e-4"], "did you mean optimizer.lr=3e-4?"),
        (["seed=1", "--multirun", "model=vea,gan"], "model=vea: there is no such option"),
        (
            ["model/augmentation=ada"],
            "model/augmentation=...: the chosen model has no such group",
        ),
        (["trust=mine"], "trust=mine: a list is written in brackets: 'trust=[mine]'"),
        (["model/loss=hinge"], "model/loss=...: the chosen model has no such group"),
    ],
)
def test_train_refuses_a_config_that_cannot_be_composed(run, arguments, message):
    fails(run(*arguments), 2, message)


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ("sede: 3", 2, "mine.yaml, line 2: there is no key sede; did you mean seed?"),
        ("model: {latnt_dim: 3}", 1, "model.latnt_dim is not a parameter of VAE; did you mean"),
        ("optimizer: {lr: fast}", 1, "optimizer.lr=fast: must be a number, not text"),
    ],
)
def test_train_refuses_a_typo_in_an_experiment_file(run, tmp_path, text, code, message):
    (tmp_path / "mine" / "experiment").mkdir(parents=True)
    file = tmp_path / "mine" / "experiment" / "mine.yaml"
    file.write_text(f"# @package _global_\n{text}\n")
    fails(run("--config-dir", str(tmp_path / "mine"), "experiment=mine"), code, message)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["optimizer.lr=abc"], "optimizer.lr=abc: must be a number, not text."),
        (["data=image_folder", "data.path=empty"], "empty is empty"),
        (
            ["data.batch_size=5000"],
            "One update needs 5000 images (data.batch_size=5000 x 1 batches x 1 processes)",
        ),
        (["metrics=classifier", "metrics.num_samples=1"], "metrics.num_samples=1: fid needs 2"),
        (["model=gan", "model/loss=wasserstein", "model/penalty=none"], "model/penalty=gradient"),
        (["network=dcgan"], "needs a network with the part encoder"),
        (["model=code_prior"], "model.first_stage must be given"),
        (["trainer.max_steps=0"], "trainer.max_steps=0: must be 1 or more, or -1"),
        (["accelerator=cpu", "trainer.devices=-5"], "trainer.devices=-5: must be a number, 1 or"),
        (["run_dir=here"], "hydra.run.dir=DIR"),
        (["model=vqvae", "metrics=classifier"], "draws no images to score"),
        (["model=vae", "metrics=pictures"], "VAE does not: choose metrics=auto"),
        (["model=vae", "metrics=pictures", "metrics.colour=lab"], "must be auto or y or rgb"),
        (["model=vae", "metrics=captions"], "scores models that read texts, and VAE does not"),
        (["model=vae", "metrics=domains"], "choose metrics=auto, or metrics=translation"),
        (["model=vae", "metrics=translation"], "VAE does not: choose metrics=auto"),
        (
            [
                "model=vae",
                "metrics=classifier",
                "metrics.kid_subset_size=10000",
                "metrics.scores=[fid,kid]",
                "metrics.max_features=10000",
                "metrics.num_samples=10000",
            ],
            "kid needs 10000 images or more",
        ),
        (["metrics=translation", "metrics.distances.scores=[prdc]"], "choose from fid, kid"),
        (["metrics=pictures", "metrics.baselines=[nearest]"], "nearest: choose from input"),
        (["metrics=pictures", "callbacks.strips.num_images=0"], "must be 1 or more"),
        (["model=classifier", "metrics=classifier"], "Classifier draws no images to score"),
    ],
)
def test_train_refuses_a_config_that_cannot_run(run, tmp_path, arguments, message):
    (tmp_path / "empty").mkdir()
    fails(run(*QUICK, *arguments), 1, message)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["data=image_folder"], "data.path must be given: data.path=..."),
        (["data=image_folder", "data.path=nowhere"], "nowhere does not exist."),
        (["data=image_folder", "data.path=text"], "text has no image; images end in"),
        (["data=image_folder", "data.path=text/a.txt"], "neither a folder nor a .zip file"),
        (["data.image_shape=[2,8,8]"], "1 (grey), 3 (RGB) or 4 (RGBA) channels, not 2"),
        (["data.image_shape=[1,4,4]"], "the shorter side must be 8 pixels or more"),
        (["data.validation_fraction=1"], "data.validation_fraction=1"),
        (["data.num_classes=7"], "data.num_classes=7, but digits has 10"),
        (["model=gan", *MIXING], "model/penalty=r1 is a penalty for each image"),
        (["model=gan", "model/penalty=r1", "model.penalty.r1.weight=-1"], "weight=-1"),
        (["model=gan", "model/penalty=r1", "model.penalty.r1.weight=high"], "weight=high"),
        (
            ["model=gan", "model/penalty=r1", "model.penalty.r1.every=0"],
            "model.penalty.r1.every=0: must be 1 or more",
        ),
        (
            ["model/objective=iwae", "model.objective.num_samples=0"],
            "model.objective.num_samples=0: must be 1 or more",
        ),
        (["model/objective=dreg", "model.kl_weight=4"], "model.kl_weight=4"),
        (["network=ladder"], "must be null, since the layers of a ladder"),
        (["model/condition=concat", "model/prior=vamp"], "another model/prior, such as flow"),
        (["model/condition=auxiliary"], "is for discriminators, and this model has none"),
        (["model/condition=projection"], "model/condition=projection is for discriminators"),
        (["model/condition=text", "data=shapes", "data.captions=true"], "none:\nchoose text_vae"),
        (
            ["model=gan", "model/condition=text_vae", "data=shapes", "data.captions=true"],
            "text_vae is for VAEs, and this model is a GAN:\nchoose text.",
        ),
        (["model/prior=gaussian_mixture"], "model=latent_prior model.first_stage=RUN"),
        (["model=code_prior", "model.first_stage=nowhere"], "neither a run nor an exported model"),
        (["model=pixelcnn", "network=mlp"], "choose one of network=pixelcnn"),
        (["network=pixelcnn"], "needs a network with the part encoder"),
        (["model=pixelcnn", "model/likelihood=gaussian"], "has no levels that a PixelCNN can"),
        (["model=pixelcnn", "model/condition=projection"], "is for discriminators"),
        (["model=pixelcnn", "network.pixelcnn.kernel_size=4"], "must be an odd number, 3 or more"),
        (["model=vqvae", "model.codebook.num_codes=1"], "num_codes=1: must be at least 2"),
        (["data.binarisation=often"], "data.binarisation=often: must be dynamic or static"),
        (["callbacks.codes.num_images=1"], "num_images 2 or more"),
        (["model=gan", "trainer.precision=16-mixed"], "choose bf16-mixed"),
        (["trainer.precision=16-mixed", *CPU], "without a loss scaler; choose bf16-mixed"),
        (["trainer.precision=16", *CPU], "without a loss scaler; choose bf16-mixed"),
        (["trainer.precision=transformer-engine", *CPU], "transformer_engine"),
        (["trainer.precision=15"], "15"),
        (["trainer.max_epochs=0"], "trainer.max_epochs=0: must be 1 or more, or -1"),
        (["trainer.max_epochs=-2"], "trainer.max_epochs=-2: must be 1 or more, or -1"),
        (["trainer.max_epochs=null"], "trainer.max_epochs=null: Lightning would take 1000"),
        (["trainer.limit_train_batches=0"], "limit_train_batches=0: must leave an update"),
        (["trainer.limit_train_batches=0.0"], "limit_train_batches=0.0: must leave an update"),
        (["trainer.limit_train_batches=0.01"], "limit_train_batches=0.01: leaves none of the 22"),
        (["trainer.limit_val_batches=0.1"], "limit_val_batches=0.1: leaves none of the 3 batches"),
        (["+trainer.max_time=00:00:00:00"], "max_time=00:00:00:00: must be above 0"),
        (["+trainer.max_time={hours: 0}"], "must be above 0"),
        (["+trainer.max_time={hour: 1}"], "must be DAYS:HOURS:MINUTES:SECONDS"),
        (["+trainer.max_time=soon"], "max_time=soon: must be DAYS:HOURS:MINUTES:SECONDS"),
        (["+trainer.min_epochs=2"], "min_epochs=2: must be at most trainer.max_epochs=1"),
        (["trainer.max_steps=5", "+trainer.min_steps=6"], "at most trainer.max_steps=5"),
        (["+trainer.min_steps=23"], "min_steps=23: training ends after 22 updates"),
        (
            ["trainer.max_epochs=9", "trainer.max_steps=30", "+trainer.min_epochs=2"],
            "min_epochs=2: training ends after 30 updates",
        ),
        (["+trainer.val_check_interval=23"], "must be at most the 22 updates of an epoch"),
        (["+trainer.val_check_interval=0"], "val_check_interval=0: must be above 0"),
        (["+trainer.val_check_interval=00:00:01:00"], "with an interval in time, two runs"),
        (["+trainer.check_val_every_n_epoch=0"], "check_val_every_n_epoch=0: must be 1 or more"),
        (["model=gan", "trainer.precision=16"], "choose bf16-mixed"),
        (["+trainer.gradient_clip_val=1.0"], "gradients.max_norm=... clips"),
        (["+trainer.accumulate_grad_batches=2"], "gradients.accumulate=N accumulates"),
        (["gradients.max_norm=0"], "gradients.max_norm=0: must be above 0"),
        (
            ["gradients.accumulate=0"],
            "gradients.accumulate=0: must be a whole number of 1 or more",
        ),
        (["gradients.accumulate=3"], "gradients.accumulate=3: must divide data.batch_size=64"),
        (["lr_schedule=linear", "trainer.max_epochs=-1"], "trainer.max_steps=N or trainer.max_ep"),
        (
            ["model=cgan", "data=image_folder", "data.path=photos"],
            "choose\none of data=captioned, cifar10, ",
        ),
        (
            ["model=gan", "model/condition=auxiliary", "data=image_folder", "data.path=photos"],
            "or a model without labels: model/condition=none",
        ),
        (
            ["model=gan", "model/condition=projection", "network=mlp"],
            "this network has no batch norm; choose one of none, concat",
        ),
        (["data=shapes", "data.image_shape=null"], "data.image_shape=null: shapes are rendered"),
        (
            ["data/augmentation=strong", "data.augmentation.parts.blur.max_sigma=3"],
            "data.augmentation.parts.blur.max_sigma=3: must be in [0, 0.25].",
        ),
        (
            ["model=video_prediction", "data=moving_shapes", "model/losses=style"],
            "model.losses.content is a loss of style transfer:\nchoose model/losses=bernoulli, ",
        ),
        (
            [
                "model=restoration",
                "data=restoration",
                "data.path=photos",
                "data.crop_size=8",
                "model/losses=[pixel,bernoulli]",
            ],
            "model.losses.bernoulli reads logits, and the network returns images:\nchoose model/",
        ),
        (["model=gan", "model/augmentation=ada", *RGBA], "with 1 or 3 channels, not 4"),
        (
            ["model=gan", "model.num_standing_batches=0"],
            "num_standing_batches=0: must be 1 or more",
        ),
        (
            ["model=gan", "model.ema_ramp=0"],
            "model.ema_ramp=0: must be above 0 (a share of the images seen",
        ),
        (
            ["model=gan", "model.ema_ramp=0.05", "model.ema_half_life=null"],
            "which bounds model.ema_half_life",
        ),
        (["trainer.limit_train_batches=-1"], "limit_train_batches=-1: must be a share from 0.0"),
        (["trainer.limit_val_batches=1.5"], "limit_val_batches=1.5: must be a share from 0.0"),
        (["data.batch_size=0"], "data.batch_size=0: must be 1 or more"),
        (["seed=-1"], "seed=-1: must be 0 or more"),
        (["seed=99999999999"], "seed=99999999999: must be 0 or more, and at most 4294967295"),
        (["optimizer.lr=-1"], "optimizer.lr=-1: Adam refuses it: Invalid learning rate: -1"),
        (["optimizer.lr=nan"], "optimizer.lr=nan: must be a finite number"),
        (["data.image_shape=[1,8]"], "must be [channels, height, width], each 1 or more"),
        (["data.image_shape=[3,-8,8]"], "must be [channels, height, width], each 1 or more"),
        (["trainer.num_nodes=0"], "trainer.num_nodes=0: must be a whole number, 1 or more"),
        (["+trainer.val_check_interval=100"], "must be at most the 22 updates of an epoch"),
        (
            ["metrics.objective={name: loss, mode: min}"],
            "metrics.objective.name=loss: the names of measured",
        ),
        (["metrics.objective={}"], "must have a name, such as val/fid, and mode: min"),
        (["on_divergence=back"], "on_divergence=back: choose stop or rollback"),
        (["max_rollbacks=0"], "max_rollbacks=0: must be 1 or more"),
        (["callbacks.log.every_num_updates=0"], "callbacks.log.every_num_updates=0: must be 1"),
        (["callbacks.checkpoints.every_num_updates=0"], "must be 1 or more"),
        (["callbacks.pictures.num_images=0"], "must be 1 or more"),
        (["data.store=streamed", "data.on_corrupt=skip"], "which data.store=streamed is not"),
    ],
)
def test_prepare_refuses_a_config_that_cannot_run(
    composed, tmp_path, monkeypatch, arguments, message
):
    """A command prints this message; other tests run whole commands."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "a.txt").write_text("no image")
    if "data.path=photos" in arguments:
        fakes.images(tmp_path / "photos", 10)
    before = content(tmp_path)
    config = composed(*QUICK, *arguments)
    config.run_dir = "run"
    with open_dict(config), pytest.raises(Exception) as error:  # noqa: PT011
        prepare(config)
    explained, code = error_messages.explain(error.value)
    assert code == 1
    assert message in explained
    assert len(explained.splitlines()) <= 10
    assert content(tmp_path) == before, "nothing half-written"


def test_train_names_or_skips_a_corrupt_image(run, tmp_path):
    folder = fakes.images(tmp_path / "photos", 40)
    whole = (folder / "0007.png").read_bytes()
    (folder / "0007.png").write_bytes(whole[: len(whole) // 2])
    command = ["data=image_folder", "data.path=photos", "data.batch_size=8", *QUICK]
    fails(run(*command), 1, "The image 0007.png cannot be read", "data.on_corrupt=skip")
    result = run(*command, "data.on_corrupt=skip")
    assert result.code == 0, result.err
    assert "Skipped 1 corrupt image." in result.out
    assert "31 train, 4 validation, 4 test" in result.out


def test_train_treats_a_broken_zip_entry_as_a_corrupt_image(run, tmp_path):
    archive = fakes.zipped(fakes.images(tmp_path / "photos", 40))
    content = bytearray(archive.read_bytes())
    at = content.find(b"IDAT") + 8
    content[at : at + 20] = bytes(20)
    archive.write_bytes(content)
    command = ["data=image_folder", f"data.path={archive}", "data.batch_size=8", *QUICK]
    fails(run(*command), 1, "cannot be read", "data.on_corrupt=skip")
    for _ in "ab":  # The message is shown at every start, although the images are decoded once.
        result = run(*command, "data.on_corrupt=skip")
        assert result.code == 0, result.err
        assert "Skipped 1 corrupt image." in result.out


def test_train_refuses_splits_with_and_without_labels(run, tmp_path):
    fakes.images(tmp_path / "photos" / "train", 40, classes=2)
    fakes.images(tmp_path / "photos" / "val", 8)
    fakes.images(tmp_path / "photos" / "val" / "class_0", 8)
    result = run("data=image_folder", "data.path=photos", "data.batch_size=8", *QUICK)
    fails(result, 1, "are outside the class folders (class_0, class_1)")


def test_train_converts_mixed_images_and_reports_that_once(run, tmp_path):
    fakes.images(tmp_path / "photos", 20, size=(30, 20))
    fakes.images(tmp_path / "photos" / "more", 20, size=(9, 40), mode="L")
    result = run(
        "data=image_folder", "data.path=photos", "data.image_shape=[3,16,16]", *QUICK,
        "data.batch_size=8",
    )  # fmt: skip
    assert result.code == 0, result.err
    assert result.out.count("40 of 40 images with another mode or size") == 1


@pytest.mark.parametrize(
    ("data", "address"),
    [("cifar10", "cs.toronto.edu"), ("mnist", "amazonaws.com"), ("svhn", "stanford.edu")],
)
def test_train_names_a_data_set_that_cannot_be_downloaded(
    run, tmp_path, monkeypatch, data, address
):
    def offline(*args, **kwargs):
        raise OSError("no network")

    monkeypatch.setattr("urllib.request.urlopen", offline)
    result = run(f"data={data}", f"data.root={tmp_path}/data", *QUICK)
    fails(result, 1, "could not be downloaded", address, "put them into", "data.root=DIR")


def test_train_names_inception_weights_that_cannot_be_downloaded(run, tmp_path, monkeypatch):
    def offline(*args, **kwargs):
        raise OSError("no network")

    monkeypatch.setattr("urllib.request.urlopen", offline)
    monkeypatch.setattr("torch.hub.urlopen", offline)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    result = run("metrics=inception", "trainer.max_epochs=1")
    messages = "weights-inception-2015-12-05", "put it at", "metrics=classifier"
    fails(result, 1, *messages, has_begun=True)  # the download follows the first lines


def test_train_refuses_scores_by_classifier_without_labels(run, tmp_path):
    fakes.images(tmp_path / "photos", 40)
    command = ["data=image_folder", "data.path=photos", "data.batch_size=8"]
    fails(run(*command, "metrics=classifier"), 1, "metrics=classifier needs labels")
    fails(run(*command, "model=classifier"), 1, "model=classifier needs labels")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize("accelerator", ["gpu", "mps", "ddp"])
def test_train_refuses_a_missing_accelerator(run, accelerator):
    fails(run(f"accelerator={accelerator}"), 1, "torch finds no such device")


def test_train_stops_when_the_loss_is_not_a_number(run):
    """The run folder stays, because it holds the last good checkpoint."""
    result = run("optimizer.lr=1e9", "metrics=none", "callbacks.checkpoints.every_num_updates=1")
    assert result.code == 1
    assert "train/loss is nan at update 20." in result.err or "are not finite at" in result.err
    folder = result.only_run()
    for path in (folder / "checkpoints").glob("*.ckpt"):
        state = torch.load(path, weights_only=True)["state_dict"]
        assert all(value.isfinite().all() for value in state.values())


@pytest.mark.parametrize("folder", ["nowhere", "norun"])
def test_resume_refuses_a_folder_that_is_not_a_run(run, tmp_path, folder):
    (tmp_path / "norun").mkdir()
    fails(run(f"resume={folder}"), 1, f"resume={folder}: there is no run in this folder")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["resume=run", "optimizer.lr=0.01"], "optimizer.lr: 0.001 -> 0.01"),
        (["resume=run", "model=gan"], "model._target_: limner.models.VAE -> limner.models.GAN"),
        (["resume=auto", "hydra.run.dir=run", "seed=1"], "seed: 0 -> 1"),
        (["resume=auto", "-m", "seed=1,2"], "resume=auto: one run is resumed at a time"),
        (["resume=run", "--multirun", "seed=1,2"], "leave out -m"),
        (["resume=newer"], "newer was made by limner 99.1; this is limner"),
        (["resume=early"], "the run has no checkpoint to resume from yet"),
        (["resume=run", "hydra.run.dir=elsewhere"], "not in elsewhere"),
        (["resume=auto"], "outputs/vae_digits/b: stopped at update 8"),
    ],
)
def test_resume_refuses_runs_that_cannot_be_resumed(run, tmp_path, arguments, message):
    pretended(tmp_path / "run")
    pretended(tmp_path / "newer", version="99.1")
    pretended(tmp_path / "early", update=0)
    for name in ("a", "b"):
        pretended(tmp_path / "outputs" / "vae_digits" / name, update=8)
    before = content(tmp_path)
    result = run(*arguments)
    assert result.code == 1, (result.out, result.err)
    assert message in result.err
    assert len(result.err.strip().splitlines()) <= 20
    assert "Traceback" not in result.err
    assert content(tmp_path) == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sweep=a"], "sweep=a names a sweep of several runs: add -m."),
        (["-m", "seed=1,2", "sweep=a/b"], "sweep=a/b: a name may have letters, digits"),
        (["-m", "seed=1,2", "sweep=a", "hydra.sweep.dir=b"], "outputs/sweeps/a, not b"),
        (["-m", "model=vea,gan"], "model=vea: there is no such option; did you mean vae?"),
    ],
)
def test_sweep_refuses_words_that_are_not_a_sweep(run, arguments, message):
    fails(run(*arguments), 2 if "vea" in message else 1, message)


@pytest.mark.parametrize("launcher", ["joblib", "ray", "slurm"])
def test_sweep_names_launchers_that_are_not_installed(run, monkeypatch, launcher):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    words = ["-m", "seed=1,2", f"hydra/launcher={launcher}"]
    fails(run(*words), 1, f"needs: pip install limner[{launcher}]")
    fails(run(*words[1:]), 1, f"hydra/launcher={launcher} is for the jobs of a sweep: add -m.")


def test_sweep_refuses_slurm_when_there_is_none(run, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    fails(run("-m", "seed=1,2", "hydra/launcher=slurm"), 1, "there is no sbatch here")


def test_search_names_a_missing_optuna(monkeypatch, capsys):
    for name in [name for name in sys.modules if name.startswith("limner.commands.search")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "optuna", None)
    monkeypatch.setattr(sys, "argv", ["limner", "search", "study=a", "space=vae"])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 1
    assert "pip install limner[search]" in capsys.readouterr().err


def test_resume_in_a_config_file_is_refused(composed, tmp_path):
    config = composed("resume=run")
    config.run_dir = None
    message = "resume=run is set in a config file: give it on the command"
    with pytest.raises(UserError, match=message):
        run_in_folder(config, tmp_path, Start([], []), Progress())


def test_resume_refuses_a_run_that_is_being_trained(run, tmp_path):
    pretended(tmp_path / "run", state="running")
    with locked(tmp_path / "run"):
        for arguments in (["resume=run"], ["resume=auto", "hydra.run.dir=run"]):
            fails(run(*arguments), 1, "run is being trained right now")


def test_train_refuses_outputs_that_cannot_be_written(run, tmp_path):
    (tmp_path / "file").write_text("in the way")
    fails(run("hydra.run.dir=file/run", *QUICK), 1, "cannot be written", "hydra.run.dir=DIR")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EROFS])
def test_explain_names_a_full_or_forbidden_disk(number):
    message, code = error_messages.explain(OSError(number, os.strerror(number), "outputs/run"))
    assert code == 1
    assert "outputs/run" in message


@pytest.mark.parametrize(
    ("error", "messages"),
    [
        (
            torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has"),
            ["Out of memory on the accelerator (20.00 GiB more", "data.batch_size", "accumulate"],
        ),
        (RuntimeError("CUDA error: out of memory\nCUDA kernel errors"), ["on the accelerator."]),
        (RuntimeError("MPS backend out of memory (MPS allocated: 9 GB)"), ["Out of memory"]),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling"), ["Out of memory"]),
        (MemoryError(), ["Out of memory. Choose a smaller batch"]),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), ["Out of memory"]),
        (OSError(errno.EMFILE, "Too many open files", "a.png"), ["ulimit -n"]),
        (RuntimeError("Too many open files. Communication with"), ["ulimit -n"]),
        (RuntimeError("can't start new thread"), ["ulimit -u"]),
        (RuntimeError("unable to allocate shared memory(shm) for file </torch_1>"), ["/dev/shm"]),
        (OSError(errno.EADDRINUSE, "Address already in use"), ["A port that is needed is in use"]),
        (OSError(errno.ESTALE, "Stale file handle", "data/a.zip"), ["data/a.zip cannot be read"]),
        (
            torch.distributed.DistNetworkError(
                "The server socket has failed to listen on any local network address. port: 2950, "
                "useIpv6: false, code: -98, name: EADDRINUSE, message: address already in use"
            ),
            ["MASTER_PORT=2950 is in use by another program"],
        ),
    ],
)
def test_explain_names_what_the_machine_lacks(error, messages):
    message, code = error_messages.explain(error)
    assert code == 1
    for part in messages:
        assert part in message
    assert len(message.splitlines()) == 1


def test_explain_names_the_memory_that_torch_asked_for():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(10**15)
    message, _ = error_messages.explain(caught.value)
    assert message.startswith("Out of memory (3,725,290.30 GiB more were asked for). Choose a")


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("mat1 and mat2 shapes cannot be multiplied: memory"),
        RuntimeError("CUDA error: an illegal memory access was encountered"),
        torch.distributed.DistNetworkError("The client socket has timed out"),
        OSError(errno.ENOENT, "No such file or directory"),
        ValueError("out of memory"),
    ],
)
def test_explain_keeps_the_traceback_of_other_errors(error):
    assert error_messages.explain(error) is None


def test_train_without_memory_reports_that_in_one_line_and_in_its_status(run, monkeypatch):
    original = SeedPerUpdate.on_train_batch_start

    def greedy(self, trainer, *arguments):
        if trainer.global_step == 2:
            torch.empty(10**15)
        return original(self, trainer, *arguments)

    monkeypatch.setattr(SeedPerUpdate, "on_train_batch_start", greedy)
    result = run(*QUICK, "callbacks.checkpoints.every_num_updates=1", "hydra.run.dir=run")
    assert result.code == 1
    assert result.err.startswith("limner: Out of memory (3,725,290.30 GiB more were asked for).")
    assert len(result.err.splitlines()) == 1
    status = read_status(Path("run"))
    assert (status.state, status.error) == ("failed", result.err.strip().removeprefix("limner: "))


@pytest.mark.parametrize("port", ["abc", "0", "70000"])
def test_train_names_an_invalid_port(run, monkeypatch, port):
    monkeypatch.setenv("MASTER_PORT", port)
    fails(run(*QUICK, "accelerator=ddp_cpu"), 1, f"MASTER_PORT={port}: set it to a number from 1")


def test_debug_shows_the_traceback_of_a_mistake(run):
    with pytest.raises(Exception, match="abc"):
        run("optimizer.lr=abc", "debug=true")


def test_traceback_of_a_bug_is_shown():
    assert error_messages.explain(ZeroDivisionError()) is None
