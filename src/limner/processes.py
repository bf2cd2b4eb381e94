"""The processes of a run: rank, number of processes, and the signals that stop them."""

__all__ = [
    "STOP_SIGNALS",
    "from_all_processes",
    "is_first_process",
    "mean_over_processes",
    "rank",
    "world_size",
]

import os
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # importing torch takes seconds, and the command line does not need it
    from torch import Tensor

STOP_SIGNALS = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGUSR1") if hasattr(signal, name)
]
"""Signals that stop a run after it has saved a checkpoint; Windows has no SIGUSR1."""


def is_first_process() -> bool:
    """Return whether this is the first process of a run (rank 0), which prints messages."""
    ranks = ("RANK", "LOCAL_RANK", "NODE_RANK", "GROUP_RANK", "SLURM_PROCID")
    return all(os.environ.get(name, "0") == "0" for name in ranks)


def world_size() -> int:
    """Return the number of processes that train together."""
    from torch import distributed

    return distributed.get_world_size() if _is_group() else 1


def rank() -> int:
    """Return the rank of this process among the processes that train together, from 0."""
    from torch import distributed

    return distributed.get_rank() if _is_group() else 0


def mean_over_processes(value: "Tensor") -> "Tensor":
    """Return the mean of a tensor over all processes; with one process, the tensor itself."""
    from torch import distributed

    if world_size() == 1:
        return value
    value = value.clone()
    distributed.all_reduce(value)
    return value / world_size()


def from_all_processes(value: "Tensor") -> "Tensor":
    """Return the rows of a tensor (B, ...) of every process, as (processes * B, ...).

    The tensors of all processes have the same shape. Gradients do not pass.
    """
    import torch
    from torch import distributed

    if world_size() == 1:
        return value
    parts = [torch.empty_like(value) for _ in range(world_size())]
    distributed.all_gather(parts, value.detach().contiguous())
    return torch.cat(parts)


def _is_group() -> bool:
    from torch import distributed

    return distributed.is_available() and distributed.is_initialized()
