"""Processes that torchrun or srun starts share one run folder, and resume in it.

No test lets torchrun restart a killed process: the restarted processes of its node may meet an old
process of another node, and Gloo then fails or waits for the old process.
"""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from limner.errors import UserError
from limner.resume.shared_folder import agree_on_run_folder
from support.runs import last_checkpoint

ROOT = Path(__file__).parents[2]
STEP = {
    "SLURM_JOB_ID": "12", "SLURM_STEP_ID": "0", "SLURM_NTASKS": "4", "SLURM_JOB_NAME": "train",
    "SLURM_PROCID": "1",
}  # fmt: skip
COMMON = [
    "model=vae", "network=mlp", "metrics=none", "callbacks.log.every_num_updates=1",
    "trainer.limit_val_batches=0", "accelerator=cpu", "logger=csv", "~callbacks.pictures",
    "~callbacks.codes",
]  # fmt: skip


@pytest.mark.parametrize(
    ("environ", "words", "expected"),
    [
        ({}, ["seed=1"], ["seed=1"]),
        ({"SLURM_NTASKS": "1"}, ["seed=1"], ["seed=1"]),
        (STEP, ["seed=1"], ["seed=1", "hydra.run.dir='outputs/slurm_12.0'"]),
        (STEP, ["hydra.run.dir=a"], ["hydra.run.dir='a'"]),
        (STEP, ["resume=b"], ["resume=b"]),
        (STEP, ["resume=auto"], ["resume=auto"]),  # The value of this variable is refused.
        (STEP, ["--cfg", "job"], ["--cfg", "job"]),
        (STEP, ["-m", "seed=1,2"], ["-m", "seed=1,2"]),
        (
            STEP | {"SLURM_RESTART_COUNT": "2"},
            ["seed=1"],
            ["seed=1", "resume=auto", "hydra.run.dir='outputs/slurm_12.0'"],
        ),
        (
            STEP | {"SLURM_RESTART_COUNT": "1"},
            ["hydra.run.dir=a"],
            ["resume=auto", "hydra.run.dir='a'"],
        ),
    ],
)
def test_run_folder_of_srun_is_the_folder_of_its_job(monkeypatch, environ, words, expected):
    for name in [name for name in os.environ if name.startswith(("SLURM_", "TORCHELASTIC_"))]:
        monkeypatch.delenv(name)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert agree_on_run_folder(words, lambda words: Path("outputs/by_time")) == expected


def test_torchrun_without_a_store_is_refused(monkeypatch):
    for name, value in {"RUN_ID": "a", "USE_AGENT_STORE": "False"}.items():
        monkeypatch.setenv(f"TORCHELASTIC_{name}", value)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UserError, match="--rdzv-backend=c10d"):
        agree_on_run_folder(["seed=1"], lambda words: Path("outputs/by_time"))


def torchrun(tmp_path: Path, node: int, port: int, *words: str) -> subprocess.Popen:
    """Return the command for one of two nodes with one process each."""
    program = [sys.executable, "-m", "torch.distributed.run", "--nnodes=2", "--nproc-per-node=1"]
    where = [f"--node-rank={node}", "--rdzv-backend=c10d", f"--rdzv-endpoint=localhost:{port}"]
    return subprocess.Popen(
        [*program, *where, str(ROOT / "train.py"), *COMMON, *words],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def on_two_nodes(tmp_path: Path, *words: str) -> list[subprocess.Popen]:
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    words = ("trainer.num_nodes=2", "trainer.devices=1", "data.batch_size=16", *words)
    return [torchrun(tmp_path, node, port, *words) for node in (0, 1)]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return torch.load(last_checkpoint(folder), weights_only=True)["state_dict"]


def alike(one: Path, other: Path, tolerance: float) -> bool:
    pairs = zip(weights(one).values(), weights(other).values(), strict=True)
    return all((a - b).abs().max().item() <= tolerance for a, b in pairs)


@pytest.mark.slow
@pytest.mark.usefixtures("forking")
def test_two_nodes_of_torchrun_train_as_one_process(tmp_path, run):
    """They share one folder and train with the whole batch, without batch norm."""
    nodes = on_two_nodes(tmp_path, "trainer.max_steps=5")
    for steps, name in ((5, "one"), (4, "shorter")):
        words = ["data.batch_size=32", f"trainer.max_steps={steps}", f"hydra.run.dir={name}"]
        assert run(*COMMON, *words).code == 0
    for node in nodes:
        out, _ = node.communicate(timeout=600)
        assert node.returncode == 0, out
    (folder,) = tmp_path.glob("outputs/*/*")
    assert alike(folder, tmp_path / "one", 1e-5)
    assert not alike(folder, tmp_path / "shorter", 1e-5)
