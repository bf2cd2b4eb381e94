"""A function called in two processes that can send each other tensors."""

__all__ = ["on_two"]

import multiprocessing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import distributed


def on_two(function: Callable[[int], Any], folder: Path) -> list[Any]:
    """Call a function of the rank in two processes with gloo, and return both results."""
    context = multiprocessing.get_context("fork")  # a spawned process imports torch for seconds
    processes = [context.Process(target=_work, args=(function, i, folder)) for i in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    return [torch.load(folder / f"{i}.pt", weights_only=False) for i in range(2)]


def _work(function: Callable[[int], Any], rank: int, folder: Path) -> None:
    torch.set_num_threads(1)
    store = f"file://{folder}/store"
    distributed.init_process_group("gloo", init_method=store, rank=rank, world_size=2)
    torch.save(function(rank), folder / f"{rank}.pt")
    distributed.destroy_process_group()
