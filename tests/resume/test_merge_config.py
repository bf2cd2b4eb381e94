"""The config that a resumed run uses, and the records that are kept of it."""

import copy
import logging
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from limner.config.schema import CONFIG_DIR
from limner.errors import UserError
from limner.resume.merge_config import merged, save, with_saved_overrides
from limner.resume.saved_config import read_overrides
from support.runs import content, pretended


def going_on(folder: Path, *words: str, then: Callable = lambda config, hydra: None) -> DictConfig:
    """Return the config with which a command of these words resumes, composed as Hydra does."""
    with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        saved = read_overrides(folder).kept
        arguments = [*with_saved_overrides(words, saved), f"resume={folder}"]
        composed = compose("train", overrides=arguments, return_hydra_config=True)
        config = OmegaConf.masked_copy(composed, list(composed.keys() - {"hydra"}))
        result = merged(config, folder, words)
    then(result, composed.hydra)
    return result


def edit(folder: Path, change: Callable[[DictConfig], None]) -> None:
    """Change the saved config, as if the config files or limner had changed since the start."""
    path = folder / ".hydra" / "config.yaml"
    config = OmegaConf.load(path)
    change(config)
    OmegaConf.save(config, path)


def test_run_keeps_its_values_when_config_files_change(tmp_path):
    folder = pretended(tmp_path / "run", "model=gan")
    edit(folder, lambda config: OmegaConf.update(config, "optimizer.lr", 0.5))
    config = going_on(folder, "trainer.max_epochs=7", "logger=none")
    assert config.optimizer.lr == 0.5
    assert config.model._target_ == "limner.models.GAN"
    assert config.trainer.max_epochs == 7
    assert config.logger == {}
    assert config.resume == str(folder)


def test_change_of_the_run_is_refused_with_its_present_value(tmp_path):
    folder = pretended(tmp_path / "run")
    edit(folder, lambda config: OmegaConf.update(config, "optimizer.lr", 0.5))
    before = content(folder)
    with pytest.raises(UserError, match=r"optimizer\.lr: 0\.5 -> 0\.25"):
        going_on(folder, "optimizer.lr=0.25", "trainer.max_epochs=7")
    assert content(folder) == before


def test_keys_that_limner_did_not_have_yet_are_filled_in(tmp_path):
    folder = pretended(tmp_path / "run")
    edit(folder, lambda config: config.pop("debug"))
    assert going_on(folder).debug is False


@pytest.mark.parametrize("version", ["0.0.1", ""])
def test_keys_that_limner_no_longer_has_are_refused(tmp_path, version):
    folder = pretended(tmp_path / "run", version=version)
    edit(folder, lambda config: OmegaConf.update(config, "model.old", 1, force_add=True))
    with pytest.raises(UserError, match=r"model\.old is not a parameter of VAE") as error:
        going_on(folder)
    assert ("The run was made by limner 0.0.1; this is" in str(error.value)) == bool(version)


def test_settings_of_an_option_that_was_replaced_are_left_out(tmp_path):
    """Otherwise Hydra would look for logger.wandb in another logger and find no such key."""
    folder = pretended(tmp_path / "run", "logger=wandb", "logger.wandb.project=mine")
    assert set(going_on(folder, "logger=csv").logger) == {"csv"}
    assert going_on(folder).logger.wandb.project == "mine"


def test_records_state_the_config_with_which_the_run_resumes(tmp_path):
    folder = pretended(tmp_path / "run", "seed=3", "logger=wandb")
    going_on(folder, "logger=csv", "trainer.max_epochs=7", then=lambda c, h: save(c, folder, h))
    records = {
        name: yaml.safe_load((folder / ".hydra" / f"{name}.yaml").read_text())
        for name in ("config", "overrides", "hydra")
    }
    assert records["overrides"] == ["seed=3", "logger=csv", "trainer.max_epochs=7"]
    assert records["hydra"]["hydra"]["overrides"]["task"] == records["overrides"]
    assert records["hydra"]["hydra"]["runtime"]["choices"]["logger"] == "csv"
    assert records["config"]["trainer"]["max_epochs"] == 7
    assert records["config"]["resume"] is None
    again = going_on(folder)
    assert (again.seed, again.trainer.max_epochs, set(again.logger)) == (3, 7, {"csv"})


def test_garbage_in_the_record_of_hydra_is_replaced(tmp_path, caplog):
    folder = pretended(tmp_path / "run", "seed=3")
    path = folder / ".hydra" / "hydra.yaml"

    def replace_garbage(config: DictConfig, hydra: DictConfig) -> None:
        for text in ("", "[", "- a", "hydra: 5", "hydra: {overrides: []}", None):
            path.unlink()
            if text is not None:
                path.write_text(text)
            caplog.clear()
            with caplog.at_level(logging.WARNING):
                save(copy.deepcopy(config), folder, copy.deepcopy(hydra))
            assert "is written again" in caplog.text, text
            record = yaml.safe_load(path.read_text())["hydra"]
            assert record["overrides"]["task"] == ["seed=3", "logger=none"], text
            assert record["runtime"]["choices"]["logger"] == "none", text
            assert read_overrides(folder).kept == ["seed=3", "logger=none"], text

    path.write_text("[")
    going_on(folder, "logger=none", then=replace_garbage)
