"""The tests that are marked gpu."""

__all__ = ["marked_tests"]

import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from gpu_checks.context import Context, Finding

ROOT = Path(__file__).parents[2]
MARK = "mark.gpu"


def marked_tests(context: Context) -> Iterator[Finding]:
    """Run the tests, if pytest is installed."""
    if importlib.util.find_spec("pytest") is None:
        yield Finding("pytest -m gpu", "pytest is not installed", passed=None)
        return
    files = [path for path in sorted((ROOT / "tests").rglob("test_*.py")) if MARK in _text(path)]
    done = subprocess.run(
        [
            sys.executable, "-m", "pytest", "-m", "gpu", "-q", "-p", "no:cacheprovider",
            "-o", "addopts=--import-mode=importlib", *map(str, files),
        ],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    print(done.stdout, flush=True)
    last = (done.stdout.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
    passed = done.returncode == 0 and "skipped" not in last
    yield Finding("pytest -m gpu", last.strip("= "), passed)


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")
