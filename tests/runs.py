"""Runs of a few updates, for tests of what can be done with a run afterwards."""

import sys
from pathlib import Path

import pytest

from limner import cli
from limner.checkpoint_files import numbered

TINY = ("metrics=none", "logger=none", "trainer.max_steps=2", "accelerator=cpu")


def last_checkpoint(run_dir: Path) -> Path:
    """The file of the last update that the run saved."""
    return numbered(run_dir)[0]


def trained(folder: Path, *overrides: str) -> Path:
    """The folder of a run made by `python train.py` with these overrides, in `folder`."""
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
