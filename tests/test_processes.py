"""Processes of a run: their messages about each other, and the signals that stop them."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import distributed

import limner
from limner.processes import (
    STOP_SIGNALS,
    from_all_processes,
    is_first_process,
    mean_over_processes,
    rank,
    world_size,
)
from support.two_processes import on_two

RANKS = ("RANK", "LOCAL_RANK", "NODE_RANK", "GROUP_RANK", "SLURM_PROCID")


@pytest.mark.parametrize("name", [None, *RANKS])
def test_is_first_process_asks_every_launcher(monkeypatch, name):
    for other in RANKS:
        monkeypatch.delenv(other, raising=False)
    if name is not None:
        monkeypatch.setenv(name, "1")
    assert is_first_process() is (name is None)


def test_world_size_and_rank_follow_the_process_group(monkeypatch):
    assert (rank(), world_size()) == (0, 1)
    monkeypatch.setattr(distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(distributed, "get_world_size", lambda: 3)
    monkeypatch.setattr(distributed, "get_rank", lambda: 2)
    assert (rank(), world_size()) == (2, 3)


def test_mean_over_processes_is_the_value_itself_in_one_process():
    value = torch.tensor(3.0)
    assert mean_over_processes(value) is value


def rows(rank):
    value = torch.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True) * 10**rank
    return from_all_processes(value.t())


def test_from_all_processes_returns_all_rows_in_the_order_of_the_ranks(tmp_path):
    for found in on_two(rows, tmp_path):
        assert found.tolist() == [[1, 3], [2, 4], [10, 30], [20, 40]]
        assert not found.requires_grad


def test_from_all_processes_is_the_value_itself_in_one_process():
    value = torch.ones(2, 3)
    assert from_all_processes(value) is value


def test_stop_signals_are_listed_once():
    assert {signal.SIGINT, signal.SIGTERM} <= set(STOP_SIGNALS)
    source = Path(limner.__file__).parent
    lists = [path.name for path in source.rglob("*.py") if '"SIGUSR1"' in path.read_text()]
    assert lists == ["processes.py"]


def test_processes_does_not_import_torch():
    code = "import sys, limner.processes, limner.console; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
