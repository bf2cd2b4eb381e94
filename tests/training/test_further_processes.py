"""The other processes of a run when one process is killed."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from limner.callbacks.signals import SeedPerUpdate
from limner.commands.sweep.records import jobs_in, write_record
from limner.errors import UserError
from limner.runs.lock import is_locked
from limner.runs.status import read_status
from limner.training import further_processes

TRAIN = Path(__file__).parents[2] / "train.py"
TWO = [
    "model=classifier", "network=mlp", "metrics=none", "logger=none",
    "~callbacks.pictures", "~callbacks.codes", "accelerator=ddp_cpu",
    "data.batch_size=32", "trainer.max_steps=9",
    "callbacks.checkpoints.every_num_updates=2", "hydra.run.dir=sweep/run",
]  # fmt: skip


def trained(folder: Path, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, TRAIN, *TWO], cwd=folder, capture_output=True, text=True, timeout=600,
        check=False, env=os.environ | environment,
    )  # fmt: skip


def die_at(monkeypatch: pytest.MonkeyPatch, update: int, *, rank: int, waits: bool = False):
    """Kill the process of a rank before an update; the other process may then wait forever."""
    original = SeedPerUpdate.on_train_batch_start

    def struck(self, trainer, *arguments):
        if trainer.global_step == update:
            if trainer.global_rank == rank:
                os.kill(os.getpid(), signal.SIGKILL)
            while waits:
                time.sleep(1)
        return original(self, trainer, *arguments)

    monkeypatch.setattr(SeedPerUpdate, "on_train_batch_start", struck)


@pytest.mark.slow
@pytest.mark.usefixtures("forking")
@pytest.mark.parametrize("waits", [False, True])
def test_train_names_a_killed_process(tmp_path, monkeypatch, waits):
    """The first process notices a broken connection, or waits in a computation."""
    die_at(monkeypatch, 5, rank=1, waits=waits)
    monkeypatch.setattr(further_processes, "PATIENCE", 1.0 if waits else 10.0)
    result = trained(tmp_path)
    assert result.returncode == 1
    (line, *more) = result.stderr.splitlines()
    assert line.startswith("limner: Process 2 of 2 of this run (")
    assert "was killed by SIGKILL" in line
    assert more == ([] if waits else ["To resume from the last checkpoint: resume=sweep/run"])
    run = tmp_path / "sweep" / "run"
    status = json.loads((run / "status.json").read_text())
    assert (status["state"], status["error"]) == ("failed", line.removeprefix("limner: "))
    assert not is_locked(run)


@pytest.mark.usefixtures("forking")
def test_train_ends_when_its_first_process_was_killed(tmp_path, monkeypatch):
    """Nobody can write its status any more; the status is read as killed."""
    die_at(monkeypatch, 5, rank=0)
    result = trained(tmp_path)
    assert result.returncode == -signal.SIGKILL
    run = tmp_path / "sweep" / "run"
    deadline = time.monotonic() + 600
    with contextlib.suppress(ProcessLookupError):
        while time.monotonic() < deadline:
            time.sleep(0.1)
            os.kill(read_status(run).pid, 0)
    said, advice = result.stderr.splitlines()
    assert said.startswith(f"limner: The first process of this run ({read_status(run).pid}) was")
    assert advice == "To resume from the last checkpoint: resume=sweep/run"
    assert read_status(run).state == "running"
    assert not is_locked(run)
    write_record(run, ["seed=0"], 0, None)
    (job,) = jobs_in(tmp_path / "sweep")
    assert job.state == "killed"


@pytest.mark.slow
@pytest.mark.usefixtures("forking")
def test_train_names_a_port_in_use(tmp_path):
    with socket.socket() as taken:
        taken.bind(("", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        result = trained(tmp_path, MASTER_PORT=port)
    assert result.returncode == 1
    assert result.stderr.strip() == (
        f"limner: MASTER_PORT={port} is in use by another program: set it to another port, or "
        "unset it."
    )
    assert not (tmp_path / "sweep" / "run" / "config.yaml").exists()


@pytest.mark.parametrize(
    ("codes", "message"),
    [
        ((None, None), None),
        ((0, 0), None),
        ((None, -9), r"Process 3 of 3 of this run \(11\) was killed by SIGKILL"),
        ((1, -15), r"Process 3 of 3 of this run \(11\) was killed by SIGTERM"),
        ((3, 0), r"Process 2 of 3 of this run \(10\) ended with exit code 3: see its message"),
    ],
)
def test_others_told_names_the_process_that_ended_first(tmp_path, monkeypatch, codes, message):
    processes = [
        SimpleNamespace(pid=10 + i, poll=lambda code=code: code) for i, code in enumerate(codes)
    ]
    monkeypatch.setattr(further_processes, "_others", processes)
    monkeypatch.setattr(further_processes, "PATIENCE", 0.2)
    gloo = RuntimeError("[/pytorch/third_party/gloo/gloo/transport/tcp/pair.cc:1] Read error")
    expected = message or "connection to another process"
    with pytest.raises(UserError, match=expected), further_processes.others_told(tmp_path):
        raise gloo


@pytest.mark.parametrize("error", [RuntimeError("shapes differ"), ValueError("/gloo/")])
def test_others_told_does_not_change_other_errors(tmp_path, error):
    with pytest.raises(type(error)) as caught, further_processes.others_told(tmp_path):
        raise error
    assert caught.value is error


def test_others_told_recognises_the_messages_of_nccl(tmp_path):
    error = torch.distributed.DistBackendError("NCCL error in: x.cpp:1, remote process exited")
    with pytest.raises(UserError, match="remote process"), further_processes.others_told(tmp_path):
        raise error
