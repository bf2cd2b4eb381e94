"""What makes the same training faster, each measured: docs/explanation/speed.md."""

__all__ = [
    "COMPILE_MODES",
    "Unprofiled",
    "compile_networks",
    "keep_freed_memory",
    "layout_for",
    "skip_gpu_checks",
]

import ctypes
import os
import sys
from contextlib import AbstractContextManager, nullcontext

import torch
from lightning.pytorch.profilers import PassThroughProfiler
from torch import nn

COMPILE_MODES = ("default", "reduce-overhead", "max-autotune")
"""Of torch.compile."""
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of malloc.h
_NOTHING = nullcontext()


class Unprofiled(PassThroughProfiler):
    """Enters nothing, where Lightning's own enters a generator a hundred times an update."""

    def profile(self, action_name: str) -> AbstractContextManager[None]:
        return _NOTHING


def layout_for(
    channels_last: bool | str, *, device: torch.device, precision: str
) -> torch.memory_format:
    """How weights of convolutions and images are to lie in memory.

    Args:
        channels_last: Whether the channels of a pixel lie side by side; "auto" for where that is
            faster: on a CPU, and on a GPU in half precision.
        device: Of the training.
        precision: The trainer's, such as "bf16-mixed".
    """
    if channels_last == "auto":
        half = str(precision).startswith(("16", "bf16"))
        channels_last = device.type == "cpu" or (device.type == "cuda" and half)
    return torch.channels_last if channels_last else torch.contiguous_format


def compile_networks(model: nn.Module, mode: str | None) -> None:
    """Has the networks that a model trains compiled when they are first called, in place.

    Args:
        model: The names of its weights stay as they are.
        mode: One of `COMPILE_MODES`, or None for not at all.
    """
    for part in model.children() if mode is not None else ():
        if any(parameter.requires_grad for parameter in part.parameters()):
            for network in part.children() if isinstance(part, nn.ModuleDict) else [part]:
                network.compile(mode=mode)


def keep_freed_memory() -> None:
    """Has the C library keep the memory of freed tensors for the next ones, as it is.

    By default glibc gives large pieces back to the system and asks for them again, thousands of
    pages in each update, which the system fills with zeros. Other C libraries are left alone.
    """
    c_library = ctypes.CDLL(None) if sys.platform == "linux" else None
    if hasattr(c_library, "gnu_get_libc_version"):
        c_library.mallopt(M_MMAP_THRESHOLD, 2**30)
        c_library.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


def skip_gpu_checks() -> None:
    """Keeps Adam from asking NVIDIA's library in every step whether there is a GPU, if none is.

    Lightning asks for that when it is imported, so that a process may look for GPUs and still be
    forked. To be called when that is over.
    """
    if not torch.cuda.is_available():
        os.environ.pop("PYTORCH_NVML_BASED_CUDA_CHECK", None)
