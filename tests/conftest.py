"""Shared fixtures: a common cache, and the command line in this process."""

# ruff: noqa: E402
import gc

gc.disable()  # off while tests are collected, which then takes a quarter less time

import functools
import logging
import os
import pickle
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra._internal.hydra import Hydra
from omegaconf import DictConfig
from torch import distributed

from limner import cli
from limner.config.schema import CONFIG_DIR, register
from limner.console import ConsoleHandler

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(Path(__file__).parent))  # so that tests can use `import fakes`


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order files by their likely time, longest first, so that all workers end together."""
    weights = Counter[Path]()
    for item in items:
        marks = {mark.name for mark in item.iter_markers()}
        weights[item.path] += 1000 if "slurm" in marks else 10 if "slow" in marks else 1
    items.sort(key=lambda item: -weights[item.path])


def pytest_collection_finish() -> None:
    """Let the garbage collector ignore what the imports and the collection have made."""
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)  # Python's own collect so often that tests take 7 % longer
    gc.enable()


def pytest_unconfigure() -> None:
    """Let the collector see everything again, since nanobind complains of what is left over."""
    gc.unfreeze()


@dataclass
class Result:
    """The result of a command."""

    code: int
    out: str
    err: str

    def only_run(self) -> Path:
        """Return the folder of the only run that was made."""
        (folder,) = Path("outputs").glob("*/*")
        return folder


@pytest.fixture(scope="session", autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Set a cache that all tests share, so that each classifier is trained once."""
    root = tmp_path_factory.getbasetemp()
    shared = root.parent if "PYTEST_XDIST_WORKER" in os.environ else root
    os.environ["LIMNER_CACHE"] = str(shared / "cache")
    os.environ |= {"HF_HOME": str(shared / "hub"), "HF_HUB_OFFLINE": "1"}  # never the network
    # Two processes with two threads each are ten times slower on two cores, since waiting threads
    # of OpenMP spin.
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def _quick_composition() -> Iterator[None]:
    """Merge the files of conf/ once, and skip a composition that only reads `hydra.mode`."""
    from support.composition import keep_merged_files

    with pytest.MonkeyPatch.context() as patch:
        keep_merged_files(patch)
        patch.setattr(Hydra, "get_mode", lambda *args, **options: None)
        yield


@pytest.fixture(autouse=True)
def _seed() -> None:
    """Seed the random numbers of each test, whatever ran before."""
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def _no_process_group() -> Iterator[None]:
    """Fail a test that leaves a process group, in which the forks of later tests would wait."""
    yield
    if distributed.is_initialized():
        distributed.destroy_process_group()
        pytest.fail("the test leaves a process group: train in a process of its own (`forking`)")


@pytest.fixture
def run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> Iterator[Callable[..., Result]]:
    """Return a function that runs `python train.py ARGUMENTS` here, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def command(*arguments: str) -> Result:
        monkeypatch.setattr(sys, "argv", [str(ROOT / "train.py"), *arguments])
        capfd.readouterr()
        with pytest.raises(SystemExit) as end:
            cli.main()
        captured = capfd.readouterr()
        return Result(int(end.value.code or 0), captured.out, captured.err)

    yield command
    # Hydra's log handlers cannot write once the run folder is removed
    for handler in logging.getLogger().handlers[:]:
        if isinstance(handler, logging.FileHandler | ConsoleHandler):
            logging.getLogger().removeHandler(handler)


@pytest.fixture
def forking(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start training processes as forks of this process, which saves each process the imports."""
    from support import forking

    monkeypatch.setattr(subprocess, "Popen", forking.Popen)


@pytest.fixture
def small_disk() -> Iterator[Callable[[Path, int], None]]:
    """Return a function that mounts a file system of a given size, or resizes it."""
    mounted: list[Path] = []

    def mount(folder: Path, num_bytes: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        again = ["-o", "remount"] if folder in mounted else []
        options = [*again, "-o", f"size={num_bytes}"]
        done = subprocess.run(
            ["mount", "-t", "tmpfs", *options, "tmpfs", str(folder)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
        if not again:
            mounted.append(folder)

    if not shutil.which("mount"):
        pytest.skip("there is no mount here")
    yield mount
    for folder in mounted:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def composed() -> Callable[..., DictConfig]:
    """Return a function that composes the real config with overrides."""
    return lambda *overrides: pickle.loads(_composed(overrides))


@functools.cache
def _composed(overrides: tuple[str, ...]) -> bytes:
    """Return a pickled config, since unpickling is faster than copying."""
    register()
    with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        made = compose("train", overrides=list(overrides))
    made.run_dir = "unused"
    return pickle.dumps(made)
