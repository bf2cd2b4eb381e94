"""The records config.yaml and environment.txt of a run, which are enough to repeat the run."""

__all__ = ["write_records"]

import importlib.metadata
import os
import platform
import shlex
import subprocess
import sys
from pathlib import Path

from limner.files.atomic import write_atomically
from limner.version import __version__

PACKAGES = ("torch", "torchvision", "lightning", "hydra-core", "torchmetrics", "numpy")


def write_records(run_dir: Path, *, config: str, device: str) -> None:
    """Write config.yaml, and append this start to environment.txt.

    Args:
        run_dir: Run folder.
        config: Composed config, as YAML.
        device: Name of the device that trains the run.
    """
    write_atomically(run_dir / "config.yaml", config)
    lines = [
        f"command: {shlex.join(sys.argv)}",
        f"commit: {_commit() or 'not from a git clone'}",
        f"python: {platform.python_version()} on {platform.platform()}",
        f"device: {device}, {os.cpu_count()} cores",
        f"limner: {__version__}",  # a checkout may be used without being installed
        *(f"{name}: {importlib.metadata.version(name)}" for name in PACKAGES),
    ]
    with open(run_dir / "environment.txt", "a") as file:
        file.write("\n".join(lines) + "\n\n")


def _commit() -> str:
    """Return the commit of the git clone that contains this file; "" without a clone."""
    clone = Path(__file__).parents[3]
    if not (clone / ".git").exists():
        return ""
    command = ["git", "-C", str(clone), "describe", "--always", "--dirty"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    except OSError:  # no git
        return ""
