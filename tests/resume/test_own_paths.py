"""A run that was started with relative paths is resumed and scored from any folder."""

import os
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from limner.commands.evaluate.of_runs import of_run
from limner.config.schema import CONFIG_DIR, register
from limner.resume.allowed_changes import differences
from limner.resume.own_paths import PATHS, absolute, absolute_words, make_absolute
from support import fakes

COMMAND = (
    "model=vae", "network=mlp", "data=image_folder", "data.path=photos", "data.batch_size=4",
    "metrics=none", "trainer.max_steps=1", "trainer.accelerator=cpu", "logger=csv",
    "~callbacks.pictures", "~callbacks.codes",
    "hydra.run.dir=run",
)  # fmt: skip


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LIMNER_CACHE", str(tmp_path / "cache"))


@pytest.mark.slow
def test_run_with_a_relative_path_is_resumed_and_evaluated_from_elsewhere(
    run, own_cache, tmp_path, monkeypatch, composed
):
    fakes.images(tmp_path / "photos", 20)
    result = run(*COMMAND)
    assert result.code == 0, result.err
    for record in (".hydra/config.yaml", "config.yaml"):
        assert OmegaConf.load(tmp_path / "run" / record).data.path == str(tmp_path / "photos")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    result = run("resume=../run", "trainer.max_steps=2")
    assert result.code == 0, result.err
    result = run("resume=../run", "trainer.max_steps=3", "data.path=../photos")
    assert result.code == 0, result.err
    assert OmegaConf.load(tmp_path / "run" / "config.yaml").data.path == str(tmp_path / "photos")
    register()
    found = of_run(tmp_path / "run", composed(), [], has_metrics=True, trust=[])
    assert found.data.source.path == str(tmp_path / "photos")


@pytest.mark.slow
def test_relative_path_of_a_resumed_run_means_the_new_working_folder(
    run, own_cache, tmp_path, monkeypatch
):
    """This holds even if the new word equals the word that the run was started with."""
    fakes.images(tmp_path / "photos", 20)
    assert run(*COMMAND).code == 0
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    result = run("resume=../run", "trainer.max_steps=2", "data.path=photos")
    assert result.code != 0
    assert f"data.path={tmp_path}/elsewhere/photos does not exist" in result.err


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("data.path", "photos", "HERE/photos"), ("data.root", "../sets", "ABOVE/sets"),
        ("data.path", "/photos", "/photos"), ("data.path", "~/photos", "~/photos"),
        ("data.root", "${oc.env:X}", "${oc.env:X}"), ("data.path", None, None),
        ("data.name", "photos", "photos"), ("model.first_stage", "there", "HERE/there"),
        ("model.first_stage", "hf://user/name", "hf://user/name"), ("data.path", "???", "???"),
    ],
)  # fmt: skip
def test_absolute_changes_only_relative_paths(tmp_path, monkeypatch, key, value, expected):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").mkdir()
    if expected:
        expected = expected.replace("HERE", str(tmp_path)).replace("ABOVE", str(tmp_path.parent))
    assert absolute(key, value) == expected


@pytest.mark.parametrize(
    ("data", "path", "kept"),
    [
        ("huggingface", "owner/name", True), ("huggingface", "hf://owner/name", True),
        ("huggingface", "there/name", False), ("huggingface", "name", False),
        ("huggingface_pairs", "owner/name", True), ("image_folder", "owner/name", False),
    ],
)  # fmt: skip
def test_repository_of_the_hub_is_no_path(tmp_path, monkeypatch, composed, data, path, kept):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there" / "name").mkdir(parents=True)
    config = composed(f"data={data}", f"data.path={path}")
    make_absolute(config)
    assert config.data.path == (path if kept else str(tmp_path / path))
    assert differences(config, config) == {}


def test_make_absolute_keeps_values_that_are_read_from_the_environment(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LIMNER_DATA", "sets")
    config = OmegaConf.create(
        {"data": {"root": "${oc.env:LIMNER_DATA}", "source": {"root": "${data.root}"}}}
    )
    make_absolute(config)
    assert OmegaConf.to_container(config)["data"]["root"] == "${oc.env:LIMNER_DATA}"
    make_absolute(config, resolve=True)
    assert config.data.source.root == str(tmp_path / "sets")


def test_absolute_words_has_the_paths_of_the_config():
    config = OmegaConf.create({"data": {"path": "/a/b c", "root": None}, "model": {}})
    words = ["model=vae", "+data.path='b c'", "data.root=null", "data.batch_size=4"]
    expected = ["model=vae", "+data.path='/a/b c'", "data.root=null", "data.batch_size=4"]
    assert absolute_words(words, config) == expected


def test_style_pictures_become_absolute_in_the_config_and_in_its_words(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = OmegaConf.create({"model": {"styles": ["a b.png", "/c.png"]}})
    make_absolute(config)
    assert config.model.styles == [f"{tmp_path}/a b.png", "/c.png"]
    words = absolute_words(["model.styles=['a b.png',/c.png]", "seed=1"], config)
    assert words == [f"model.styles=['{tmp_path}/a b.png','/c.png']", "seed=1"]
    single = OmegaConf.create({"model": {"styles": "a.png"}})
    make_absolute(single)
    assert single.model.styles == f"{tmp_path}/a.png"
    assert not differences(single, OmegaConf.create({"model": {"styles": "a.png"}}))
    assert not differences(config, OmegaConf.create({"model": {"styles": ["a b.png", "/c.png"]}}))
    assert differences(config, OmegaConf.create({"model": {"styles": ["b.png", "/c.png"]}}))


def test_same_first_stage_with_a_relative_path_is_no_difference(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("first", "other"):
        Path(name).mkdir()

    def config(path):
        return OmegaConf.create({"model": {"first_stage": path}})

    assert not differences(config(os.path.abspath("first")), config("first"))  # noqa: PTH100
    assert differences(config(os.path.abspath("first")), config("other"))  # noqa: PTH100


def test_every_path_of_a_data_set_is_kept_absolute():
    """A new key of this kind joins `PATHS`, or a run cannot be resumed from another folder."""
    for file in (CONFIG_DIR / "data").glob("*.yaml"):
        names = ("root", "test_file")
        keys = [key for key in OmegaConf.load(file) if key in names or key.startswith("path")]
        assert {f"data.{key}" for key in keys} <= set(PATHS), file
    assert absolute("data.path_b", "photos") == str(Path.cwd() / "photos")
