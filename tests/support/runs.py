"""Runs of a few updates, and fake runs, for tests of the commands for runs."""

import functools
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from limner import cli
from limner.config.schema import CONFIG_DIR, register
from limner.runs.checkpoints import numbered

JUDGE = "metrics.features.num_updates=150"
"""A classifier of the labels that is trained in a second, the same for all tests."""
TINY = ("metrics=none", "logger=none", "trainer.max_steps=2", "accelerator=cpu")


def last_checkpoint(run_dir: Path) -> Path:
    """Return the last checkpoint that the run saved."""
    return numbered(run_dir)[0]


def trained(folder: Path, *overrides: str) -> Path:
    """Train a run by `python train.py` with these overrides in `folder`, and return its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    cli._failures.clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "argv", ["train.py", *TINY, *overrides])
        with pytest.raises(SystemExit) as end:
            cli.main()
    assert not end.value.code
    (run_dir,) = folder.glob("outputs/*/*")
    return run_dir


def pretended(
    folder: Path, *overrides: str, state: str = "stopped", update: int = 5, **status: Any
) -> Path:
    """Write a folder as a run of these overrides leaves it, with an empty file as checkpoint."""
    made = _composed(overrides)
    records = folder / ".hydra"
    records.mkdir(parents=True)
    hydra = {
        "runtime": {"config_sources": [], "choices": dict(made.hydra.runtime.choices)},
        "overrides": {"task": list(overrides)},
    }
    OmegaConf.save(OmegaConf.create({"hydra": hydra}), records / "hydra.yaml")
    OmegaConf.save(OmegaConf.create(list(overrides)), records / "overrides.yaml")
    own = OmegaConf.masked_copy(made, list(made.keys() - {"hydra"}))
    OmegaConf.save(own, records / "config.yaml")
    if update:
        (folder / "checkpoints").mkdir()
        (folder / "checkpoints" / f"update_{update:08d}.ckpt").touch()
    text = json.dumps({"state": state, "update": update, **status})
    (folder / "status.json").write_text(text)
    return folder


def content(folder: Path) -> dict[str, str]:
    """Return every file in a folder with the hash of its content."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@functools.cache
def _composed(overrides: tuple[str, ...]) -> DictConfig:
    register()
    with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        return compose("train", overrides=list(overrides), return_hydra_config=True)
