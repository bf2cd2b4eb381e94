"""Runs of a few updates, and fake runs, for tests of the commands for runs."""

import functools
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

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
    records = folder / ".hydra"
    records.mkdir(parents=True)
    for name, text in _records(overrides).items():
        (records / name).write_text(text)
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
def _records(overrides: tuple[str, ...]) -> dict[str, str]:
    """Return the files that Hydra writes for these overrides, with the text of each."""
    register()
    with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        made = compose("train", overrides=list(overrides), return_hydra_config=True)
    hydra = {
        "runtime": {"config_sources": [], "choices": dict(made.hydra.runtime.choices)},
        "overrides": {"task": list(overrides)},
    }
    own = OmegaConf.masked_copy(made, list(made.keys() - {"hydra"}))
    return {
        "hydra.yaml": OmegaConf.to_yaml(OmegaConf.create({"hydra": hydra})),
        "overrides.yaml": OmegaConf.to_yaml(OmegaConf.create(list(overrides))),
        "config.yaml": OmegaConf.to_yaml(own),
    }
