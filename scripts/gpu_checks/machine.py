"""The device and the packages of this machine."""

__all__ = ["machine"]

import importlib.metadata
import os
import platform
from collections.abc import Iterator

import torch

from gpu_checks.context import Context, Finding

PACKAGES = ("torch", "torchvision", "lightning", "torchmetrics", "hydra-core")


def machine(context: Context) -> Iterator[Finding]:
    """Describe the device; its value `device` is "cuda" if there is a GPU and it is not refused.

    The process that starts the checks must not use the GPU, so a check of its own looks for it.
    """
    has_gpu = context.device != "cpu" and torch.cuda.is_available()
    name = f"CPU, {os.cpu_count()} cores"
    if has_gpu:
        torch.ones(1, device="cuda").add_(1).item()  # fails here rather than in every check
        facts = torch.cuda.get_device_properties(0)
        name = f"{facts.name}, {facts.total_memory / 2**30:.0f} GiB"
    yield Finding("device", name, values={"device": "cuda" if has_gpu else "cpu"})
    versions = [f"{package} {importlib.metadata.version(package)}" for package in PACKAGES]
    yield Finding("packages", ", ".join([f"Python {platform.python_version()}", *versions]))
