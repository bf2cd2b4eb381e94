"""Words that are not overrides, and unknown keys, are answered with the intended word."""

import shlex

import pytest
from hydra import compose, initialize_config_dir
from hydra.errors import ConfigCompositionException, MissingConfigException

from limner.config.schema import CONFIG_DIR, register
from limner.errors import UsageError
from limner.resume.mistyped import clarified, refuse_mistyped


@pytest.fixture(scope="module", autouse=True)
def _registered():
    register()


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def refused(*words: str) -> str:
    with pytest.raises(UsageError) as error:
        refuse_mistyped(words)
    assert len(str(error.value).splitlines()) <= 3
    return str(error.value)


def unknown(*words: str) -> str:
    with (
        initialize_config_dir(str(CONFIG_DIR), version_base="1.3"),
        pytest.raises(ConfigCompositionException) as error,
    ):
        compose("train", overrides=list(words))
    return str(clarified(error.value, words))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("model gan", "did you mean model=gan?"),
        ("model:gan", "did you mean model=gan?"),
        ("'model gan'", "did you mean model=gan?"),
        ("model", "did you mean model=...?"),
        ("model seed=1", "did you mean model=...?"),
        ("vae", "did you mean model=vae?"),
        ("mnist", "did you mean data=mnist?"),
        ("adamw", "did you mean optimizer=adamw?"),
        ("nothing", "nothing: not of the form key=value."),
        ("--model gan", "keys have no dashes: model=gan"),
        ("--model=gan", "keys have no dashes: model=gan"),
        ("--modle=gan", "keys have no dashes: model=gan"),
        ("--optimizer.lr 3e-4", "keys have no dashes: optimizer.lr=3e-4"),
        ("--on-divergence=stop", "keys have no dashes: on_divergence=stop"),
        ("seed=1 --multirunn", "did you mean --multirun?"),
        ("-x", "-x: there is no such flag; see --help"),
        ("lr = 3", "lr=3: write it without spaces around the ="),
        ("optimizer.lr= 3", "optimizer.lr=3: write it without spaces around the ="),
        ("optimizer.lr =3", "optimizer.lr=3: write it without spaces"),
        ("'my key=3'", "my key=3: not of the form key=value."),
        ("data=/my/photos", "data=image_folder data.path=/my/photos"),
        ("data=photos.zip", "data=image_folder data.path=photos.zip"),
        ("data=~/photos", "data=image_folder data.path=~/photos"),
        ("data=photos", "data=image_folder data.path=photos"),
        ("./photos", "data=image_folder data.path=./photos"),
        ("'data=/my (1)'", "data=image_folder 'data.path=\"/my (1)\"'"),
        ("experiment=a/mine.yaml", "--config-dir DIR experiment=mine"),
        ("model=vae,gan", "add -m"),
        ("logger=csv,wandb", "'logger=[csv,wandb]'"),
        ("-m seed=1,2 --cfg job", "-m and --cfg do not go together"),
        ("seed=1 --resolve", "add --cfg job"),
        ("runs/a", "did you mean resume=runs/a?"),
        ("model=gan=x", "model=gan=x: not of the form GROUP=OPTION"),
        ("=3", "=3: not of the form key=value"),
        ("model=3", "model=3: there is no such option\nOptions of model: cgan,"),
        ("data=null", "data=null: there is no such option\nOptions of data: captioned, celeba,"),
        ("'model={a: 1}'", "there is no such option"),
    ],
)
def test_refuse_mistyped_names_the_intended_word(line, message, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "runs" / "a" / ".hydra").mkdir(parents=True)
    assert message in refused(*shlex.split(line))


@pytest.mark.parametrize(
    "line",
    [
        "", "model=gan data=mnist", "-m model=gan,vae", "model=gan,vae --multirun", "--cfg job",
        "model=gan -c job --resolve", "--info defaults", "-i", "-sc install=bash", "~optimizer.lr",
        "--config-dir mine experiment=a", "+model.x=1", "logger=[csv,wandb]",
        "model/penalty=[r1,lecam]", "data.path=a=b", "--help", "model=gan -h", "data=unknown",
        "hydra/launcher=joblib -m", "--package model -c job", "data.path=", "seed=${x}",
    ],
)  # fmt: skip
def test_refuse_mistyped_accepts_what_hydra_reads(line):
    refuse_mistyped(shlex.split(line))


def test_refuse_mistyped_knows_the_options_of_user_folders(tmp_path):
    (tmp_path / "mine" / "data").mkdir(parents=True)
    (tmp_path / "mine" / "data" / "cats.yaml").touch()
    (tmp_path / "cats").mkdir()
    refuse_mistyped(["--config-dir", "mine", "data=cats"])
    assert "did you mean data=cats?" in refused("--config-dir", "mine", "cats")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("lr=3e-4", "lr: there is no such key; did you mean optimizer.lr=3e-4?"),
        ("epochs=3", "\n  trainer.max_epochs=3"),
        ("max_epochs=3", "did you mean trainer.max_epochs=3?"),
        ("learning_rate=3", "did you mean optimizer.lr=3?"),
        ("epoch=3", "did you mean trainer.max_epochs=3?"),
        ("lerning_rate=3", "did you mean optimizer.lr=3?"),
        ("image_size=32", "did you mean data.image_shape=32?"),
        ("device=cuda", "did you mean trainer.accelerator=cuda?"),
        ("bach_size=3", "did you mean data.batch_size=3?"),
        ("batch_size=8", "\n  data.batch_size=8"),
        ("trainer.batch_size=8", "\n  data.batch_size=8"),
        ("latent_dim=8 model=gan", "did you mean model.latent_dim=8?"),
        ("+trainer.limit_train_batches=100", "plus: trainer.limit_train_batches=100"),
        ("+seed=1", "Without the plus: seed=1"),
        ("+model=gan", "Without the plus: model=gan"),
    ],
)
def test_clarified_names_the_intended_key(line, message):
    assert message in unknown(*line.split())


@pytest.mark.parametrize("line", ["sed=1", "model.latnt_dim=3", "nothing_of_ours=1"])
def test_clarified_keeps_the_message_of_other_mistakes(line):
    assert "did you mean" not in unknown(line)


@pytest.mark.parametrize(
    ("inside", "advice"),
    [
        ("experiment/a.yml", "experiment/a.yml: Hydra reads only .yaml files; rename it."),
        ("mine/experiment/a.yaml", "a.yaml is there: --config-dir mine"),
    ],
)
def test_clarified_finds_the_file_of_an_option_under_another_name_or_place(
    tmp_path, monkeypatch, inside, advice
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / inside).parent.mkdir(parents=True)
    (tmp_path / inside).write_text("# @package _global_\n")
    error = MissingConfigException("no such option", "experiment/a", ["b"])
    assert str(clarified(error, ["--config-dir", ".", "experiment=a"])).endswith(advice)


def test_clarified_keeps_the_message_of_an_option_that_does_not_exist(tmp_path):
    error = MissingConfigException("no such option", "experiment/a", ["b"])
    assert clarified(error, ["--config-dir", str(tmp_path), "experiment=a"]) is error
