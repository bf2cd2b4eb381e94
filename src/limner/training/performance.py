"""Optimisations that make the same training faster; docs/explanation/speed.md measures each."""

__all__ = [
    "Unprofiled",
    "keep_freed_memory",
    "layout_for",
    "skip_gpu_checks",
    "slow_bfloat16",
]

import ctypes
import os
import sys
from contextlib import AbstractContextManager, nullcontext

import torch
from lightning.pytorch.profilers import PassThroughProfiler

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # constants of malloc.h
_NOTHING = nullcontext()


class Unprofiled(PassThroughProfiler):
    """Profiler that does nothing; Lightning's default enters a generator 100 times an update."""

    def profile(self, action_name: str) -> AbstractContextManager[None]:
        """Return a context that does nothing."""
        return _NOTHING


def layout_for(
    channels_last: bool | str, *, device: torch.device, precision: str
) -> torch.memory_format:
    """Return the memory format for images and for the weights of convolutions.

    Args:
        channels_last: Whether the channels of a pixel are adjacent in memory. "auto" chooses this
            if it is faster: on a CPU, and on a GPU in half precision.
        device: Device of the training.
        precision: Precision of the trainer, such as "bf16-mixed".
    """
    if channels_last == "auto":
        half = str(precision).startswith(("16", "bf16"))
        channels_last = device.type == "cpu" or (device.type == "cuda" and half)
    return torch.channels_last if channels_last else torch.contiguous_format


def keep_freed_memory() -> None:
    """Make the C library keep the memory of freed tensors for later tensors.

    By default glibc returns large blocks to the system and requests them again, thousands of pages
    in each update, and the system fills these pages with zeros. This function changes only glibc.
    Raising M_TRIM_THRESHOLD alone is slower than the default: glibc then no longer adapts the
    threshold of mmap (test_keep_freed_memory_keeps_the_memory_of_large_tensors).
    """
    c_library = ctypes.CDLL(None) if sys.platform == "linux" else None
    if hasattr(c_library, "gnu_get_libc_version"):
        c_library.mallopt(M_MMAP_THRESHOLD, 2**30)
        c_library.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


def skip_gpu_checks() -> None:
    """Stop Adam from querying NVIDIA's library in every step if there is no GPU.

    Lightning turns this query on at import, so that a process can look for GPUs and still be
    forked. Call this function after the last fork
    (test_python_level_optimisations_do_not_change_losses).
    """
    if not torch.cuda.is_available():
        os.environ.pop("PYTORCH_NVML_BASED_CUDA_CHECK", None)


def slow_bfloat16(precision: str, *, device: torch.device) -> str | None:
    """Return a warning if the processor only imitates bfloat16; None otherwise.

    A convolution in bfloat16 took 25 times as long as in float32 on a processor with AVX2, which
    has no instructions for it.

    Args:
        precision: Precision of the trainer, such as "bf16-mixed".
        device: Device of the training.
    """
    if device.type != "cpu" or not str(precision).startswith("bf16"):
        return None
    if torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return None
    return (
        f"trainer.precision={precision}: this processor has no instructions for bfloat16, and may "
        "take\n20 times as long as in float32. In a new run, trainer.precision=32-true is faster."
    )
