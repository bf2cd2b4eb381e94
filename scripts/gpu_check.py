"""Check limner on a GPU within a given time, and write what was found.

    python scripts/gpu_check.py --out DIR                   9 minutes
    python scripts/gpu_check.py --out DIR --only families speed
    python scripts/gpu_check.py --out DIR --device cpu      without a GPU

Each check runs in a process of its own with a time limit. A check that fails,
crashes or hangs stops no other check. After each check, the results so far are
in DIR/gpu_check.json and, as Markdown tables, in DIR/gpu_check.md, and the
output of the checks in DIR/gpu_check.log. The tables are printed last. The
exit code is 1 if a check failed, and 2 if none could run.

scripts/README.md tells how to run this script without a network.
"""

import argparse
import importlib
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "scripts")]

from gpu_checks.checks import CHECKS, MACHINE  # noqa: E402
from gpu_checks.context import Check, Context  # noqa: E402
from gpu_checks.records import NEEDS_GPU, NO_TIME, Record, markdown, write  # noqa: E402
from gpu_checks.runner import run_check  # noqa: E402

RESERVE = 3.0
"""Seconds that are left for ending a check and writing the results."""
MODULES = ("families", "machine", "marked_tests", "resuming", "scoring", "speed", "waiting")


def main(words: Sequence[str] | None = None) -> int:
    """Run the command line; return 1 if a check failed."""
    start = time.monotonic()
    options = _parse(words)
    chosen = [check for check in CHECKS if not options.only or check.name in options.only]
    try:
        for name in MODULES:  # imported once, before the process of each check is forked
            importlib.import_module(f"gpu_checks.{name}")
    except ImportError as error:
        print(f"{error}: see scripts/README.md for the packages to bring along.", file=sys.stderr)
        return 2
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="limner-gpu-check-") as folder:
        calls = Calls(options, start=start, folder=Path(folder))
        found = calls.run(MACHINE, device=options.device, allowed=MACHINE.seconds)
        if found.is_failure:  # a fork cannot use a GPU if an import has touched it
            calls.method = "spawn"
            found = calls.run(MACHINE, device=options.device, allowed=MACHINE.seconds)
        device = next((each.values["device"] for each in found.findings[:1]), None)
        if found.is_failure or device is None or options.device not in ("auto", device):
            print("\n".join(found.error) or "--device cuda: torch finds no GPU here.",
                  file=sys.stderr)  # fmt: skip
            return 2
        for finding in found.findings:
            calls.about[finding.what] = finding.found
        for check in chosen:
            record = calls.run(check, device=device)
            calls.records.append(record)
            print(f"{check.name}: {record.summary}, {record.seconds:.0f} s", flush=True)
            calls.write()
    print(f"\n{markdown(calls.records, calls.about)}\nWritten to {options.out}.")
    return int(any(record.is_failure for record in calls.records))


class Calls:
    """The calls of the checks within the whole time.

    Args:
        options: Options of the command line.
        start: Value of `time.monotonic()` at the start.
        folder: Empty folder for the files of all checks.
    """

    def __init__(self, options: argparse.Namespace, *, start: float, folder: Path) -> None:
        self.options, self.start, self.folder = options, start, folder
        self.records: list[Record] = []
        self.about: dict[str, Any] = {}
        self.method = "fork"

    def run(self, check: Check, *, device: str, allowed: float | None = None) -> Record:
        """Run a check if it has a meaning on the device and time is left.

        Args:
            check: The check.
            device: "cpu" or "cuda", or "auto" for the check that finds the device.
            allowed: Seconds that the check may take; None for its limit and the time that is left.
        """
        limit = check.limit(device)
        if limit is None:
            return Record(check.name, check.about, NEEDS_GPU)
        if allowed is None:
            left = self.start + 60 * self.options.minutes - time.monotonic() - RESERVE
            if left < (check.least if device == "cuda" else 1):
                return Record(check.name, check.about, NO_TIME, limit=limit)
            allowed = min(limit, left)
        own = self.folder / f"{check.name}_{self.method}"
        own.mkdir()
        context = Context(
            device=device,
            smallest=self.options.smallest,
            folder=own,
            deadline=time.monotonic() + allowed,
            images=self.options.cifar,
            method=self.method,
        )
        return run_check(
            check, context, limit=allowed, is_cut=allowed < limit,
            log=self.options.out / "gpu_check.log",
        )  # fmt: skip

    def write(self) -> None:
        """Write the results so far."""
        seconds = time.monotonic() - self.start
        self.about["time"] = f"{seconds:.0f} s of at most {self.options.minutes:g} minutes"
        write(self.options.out, self.records, self.about)


def _parse(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="gpu_check.py", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    names = [check.name for check in CHECKS]
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="folder for the results"
    )
    parser.add_argument(
        "--minutes", type=float, default=9.0, help="largest time of all checks (%(default)s)"
    )
    parser.add_argument(
        "--only", nargs="+", choices=names, metavar="NAME", help=f"of: {', '.join(names)}"
    )
    parser.add_argument(
        "--device", choices=["auto", "cpu", "cuda"], default="auto",
        help="device to check (default: a GPU if there is one)",
    )  # fmt: skip
    parser.add_argument(
        "--smallest",
        action="store_true",
        help="do the least that runs the code of the checks; the numbers mean nothing",
    )
    parser.add_argument(
        "--cifar", type=Path, metavar="PATH",
        help="folder or .zip file with class folders of 32x32 images, such as CIFAR-10, for "
        "time_to_score (default: synthetic images)",
    )  # fmt: skip
    options = parser.parse_args(words)
    if options.minutes <= 0:
        parser.error(f"--minutes {options.minutes:g}: must be above 0")
    if options.cifar is not None and not options.cifar.exists():
        parser.error(f"--cifar {options.cifar}: there is no such file or folder")
    for name in ("out", "cifar"):  # the checks run in folders of their own
        if (path := getattr(options, name)) is not None:
            setattr(options, name, path.resolve())
    return options


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # ends the running check, too
    sys.exit(main())
