"""What a model costs: parameters, arithmetic, speed and memory."""

__all__ = ["Flops", "Speed", "count_flops", "num_parameters", "peak_memory", "sampling_speed"]

import re
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode


class Flops(NamedTuple):
    """Arithmetic of matrix products, convolutions and attention; all else is left out."""

    flops: int
    """Floating-point operations: a multiplication and an addition are two."""
    macs: int
    """Multiply-adds: half as many. Papers that say FLOPs often mean these."""


class Speed(NamedTuple):
    """Of batches of one size."""

    images_per_second: float
    """By the median batch."""
    slowest: float
    """Images per second in the slowest batch,"""
    fastest: float
    """and in the fastest."""


def num_parameters(module: nn.Module) -> int:
    """Numbers in all parameters, frozen ones too; one that is shared counts once."""
    return sum(parameter.numel() for parameter in module.parameters())


def count_flops(run: Callable[[], object]) -> Flops:
    """Arithmetic of one call, e.g. of `lambda: model.sample(1, generator=None)`.

    Counted by torch's own counter while it runs, so that the same network costs the same on any
    device. A loop, as in diffusion, counts as often as it runs.
    """
    with FlopCounterMode(display=False) as counter:
        run()
    flops = counter.get_total_flops()
    return Flops(flops, flops // 2)


def sampling_speed(
    draw: Callable[[int], object],
    *,
    batch_size: int,
    num_batches: int,
    num_warm_up: int,
    device: torch.device | str,
) -> Speed:
    """Images per second of `draw(batch_size)`.

    Args:
        draw: Draws as many images as it is told.
        batch_size: Images at a time.
        num_batches: Timed one by one, each waiting for the device.
        num_warm_up: Batches before those, in which kernels are chosen and memory is taken.
        device: Where it draws.
    """
    for _ in range(num_warm_up):
        draw(batch_size)
    seconds = []
    for _ in range(num_batches):
        _wait(torch.device(device))
        start = time.perf_counter()
        draw(batch_size)
        _wait(torch.device(device))
        seconds.append(time.perf_counter() - start)
    times = statistics.median(seconds), max(seconds), min(seconds)
    return Speed(*(batch_size / time for time in times))


def peak_memory(device: torch.device | str) -> int | None:
    """Bytes at the highest so far, or None where the system does not tell.

    On a GPU: what this process's tensors took since its start, or since
    `torch.cuda.reset_peak_memory_stats`. Elsewhere: the resident memory of the whole process
    since its start, libraries included.
    """
    if torch.device(device).type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    status = Path("/proc/self/status")
    if status.exists():
        found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text())
        if found:  # getrusage would count what the parent held when it started this process
            return 1024 * int(found[1])
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def _wait(device: torch.device) -> None:
    """For what was sent to the device."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
