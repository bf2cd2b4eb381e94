"""The processes of a run: which one this is, how many there are, and what stops them."""

__all__ = ["STOP_SIGNALS", "is_first_process", "mean_over_processes", "world_size"]

import os
import signal

from torch import Tensor, distributed

STOP_SIGNALS = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGUSR1") if hasattr(signal, name)
]
"""The signals that stop a run in order; Windows has no SIGUSR1."""


def is_first_process() -> bool:
    """Return whether this is the process of a run that prints: rank 0, or the only one."""
    ranks = ("RANK", "LOCAL_RANK", "NODE_RANK", "GROUP_RANK", "SLURM_PROCID")
    return all(os.environ.get(name, "0") == "0" for name in ranks)


def world_size() -> int:
    """Return the number of processes that train together."""
    grouped = distributed.is_available() and distributed.is_initialized()
    return distributed.get_world_size() if grouped else 1


def mean_over_processes(value: Tensor) -> Tensor:
    """Return the mean of a tensor over all processes; the tensor itself where there is one."""
    if world_size() == 1:
        return value
    value = value.clone()
    distributed.all_reduce(value)
    return value / world_size()
