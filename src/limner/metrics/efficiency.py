"""Cost of a model: parameters, arithmetic, speed and memory."""

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
    """Number of operations of matrix products, convolutions and attention; others are ignored."""

    flops: int
    """Floating-point operations; a multiplication and an addition count as two."""
    macs: int
    """Multiply-adds, half of `flops`. Papers that report FLOPs often mean multiply-adds."""


class Speed(NamedTuple):
    """Sampling speed for batches of one size."""

    images_per_second: float
    """Images per second in the median batch."""
    slowest: float
    """Images per second in the slowest batch."""
    fastest: float
    """Images per second in the fastest batch."""


def num_parameters(module: nn.Module) -> int:
    """Return the number of values in all parameters, frozen parameters included.

    A shared parameter counts once.
    """
    return sum(parameter.numel() for parameter in module.parameters())


def count_flops(run: Callable[[], object]) -> Flops:
    """Count the operations of one call, e.g. of `lambda: model.sample(1, generator=None)`.

    torch's own counter counts them during the call, so the same network has the same count on any
    device. The operations in a loop, as in diffusion, count in each iteration.
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
    """Measure the images per second of `draw(batch_size)`.

    Args:
        draw: Function that draws the given number of images.
        batch_size: Number of images per batch.
        num_batches: Number of timed batches; each is timed until the device has finished.
        num_warm_up: Number of batches before the timed batches. During these first batches, torch
            chooses kernels and allocates memory.
        device: Device on which `draw` runs.
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
    """Return the peak memory in bytes, or None if the system does not report it.

    On a GPU, this is the peak memory of this process's tensors since its start, or since
    `torch.cuda.reset_peak_memory_stats`. Elsewhere, it is the peak resident memory of the whole
    process since its start, libraries included.
    """
    if torch.device(device).type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    status = Path("/proc/self/status")
    if status.exists():
        found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text())
        # getrusage would include the parent's memory when it started this process
        # (test_memory_peak_grows_with_allocations_and_stays).
        if found:
            return 1024 * int(found[1])
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def _wait(device: torch.device) -> None:
    """Wait until the device has finished its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
