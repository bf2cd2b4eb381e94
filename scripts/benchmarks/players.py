"""The parent's side of the opponents: start each process, and make it train in its turn."""

__all__ = ["OPPONENTS", "PIPE", "Player"]

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from benchmarks.cases import Case, compose_setup

ROOT = Path(__file__).parents[2]
OPPONENTS = ("limner", "loop", "tutorial", "lightning")
NEVER = 1_000_000_000
PIPE = "LIMNER_BENCHMARK_PIPE"
"""Environment variable with the file descriptor of the pipe, see `benchmarks.turns`."""


class Player:
    """The process of an opponent. The constructor waits for its first update.

    Args:
        name: One of `OPPONENTS`. Flags of the loop may follow, as in "loop:compile", or the folder
            of another clone of limner, as in "limner:../before".
        case: Case that the opponent trains.
        images: Path of the file of images.
        folder: Folder that the opponent may write into; the constructor makes this folder.
        device: "cpu" or "cuda".
        num_threads: Number of threads of torch; None for torch's default.

    Raises:
        RuntimeError: If the process ends too early. Every method may raise this.
    """

    def __init__(
        self,
        name: str,
        case: Case,
        *,
        images: Path,
        folder: Path,
        device: str,
        num_threads: int | None,
    ) -> None:
        self.name, self.folder = name, folder
        self.holds_images = device == "cpu" or name.partition(":")[0] in ("limner", "loop")
        """Whether the whole data set is in the memory of the process."""
        folder.mkdir(parents=True)
        ours, its = socket.socketpair()
        threads = {} if num_threads is None else {"OMP_NUM_THREADS": str(num_threads)}
        clone = _clone(name)
        paths = [clone / "src", ROOT / "scripts", *filter(None, [os.environ.get("PYTHONPATH")])]
        setup = _setup(name, case, images, device)
        start = time.perf_counter()
        with open(folder / "output.txt", "w") as output:
            self._process = subprocess.Popen(
                [sys.executable, *_arguments(name, case, images, device)],
                cwd=folder,
                env={
                    **os.environ, **threads,
                    PIPE: str(its.fileno()), "PYTHONPATH": os.pathsep.join(map(str, paths)),
                },
                pass_fds=[its.fileno()], stdin=subprocess.PIPE, stdout=output, stderr=output,
            )  # fmt: skip
        its.close()
        self._pipe = Connection(ours.detach())
        with self._process.stdin as stdin:
            stdin.write(setup)
        self._receive()
        self.startup_seconds = time.perf_counter() - start

    def train(self, *, unmeasured: int, measured: int, cpu_time: bool = False) -> float:
        """Train and return the seconds of a measured update; unmeasured updates come first."""
        return self._ask("train", unmeasured, measured)[cpu_time] / measured

    def draw(self, num_images: int) -> float:
        """Return the seconds for drawing this number of images."""
        return self._ask("draw", num_images)

    def save(self) -> float:
        """Return the seconds for writing a checkpoint."""
        return self._ask("save", self.folder / "checkpoint.ckpt")

    def memory(self) -> int:
        """Return the peak memory in bytes, including the images."""
        return self._ask("memory")

    def end(self) -> None:
        """Request the end of the process, and kill the process if it does not end."""
        try:
            self._pipe.send(("end",))
            self._process.wait(60)
        except (OSError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()

    def _ask(self, *command: Any) -> Any:
        self._pipe.send(command)
        return self._receive()

    def _receive(self) -> Any:
        try:
            return self._pipe.recv()
        except (EOFError, OSError):
            code = self._process.wait()
            end = "\n".join((self.folder / "output.txt").read_text().splitlines()[-20:])
            raise RuntimeError(f"{self.name} ended with code {code}:\n{end}") from None


def _setup(name: str, case: Case, images: Path, device: str) -> bytes:
    """Return the setup that a program without a config reads."""
    flags = tuple(filter(None, name.partition(":")[2].split("+"))) if name[:4] == "loop" else ()
    setup = compose_setup(case, images=images, device=device, flags=flags)
    return json.dumps(asdict(setup)).encode()


def _clone(name: str) -> Path:
    """Return the folder of the limner clone that an opponent runs or takes its networks from."""
    program, _, folder = name.partition(":")
    return Path(folder).resolve() if program == "limner" and folder else ROOT


def _arguments(name: str, case: Case, images: Path, device: str) -> Sequence[str]:
    """Return the arguments of Python that start an opponent."""
    program = name.partition(":")[0]
    if program != "limner":
        return ["-m", "benchmarks.play", program]
    return [
        str(_clone(name) / "train.py"),
        *case.overrides(images),
        f"accelerator={'gpu' if device == 'cuda' else 'cpu'}",
        "trainer.max_epochs=-1",
        f"callbacks.pictures.every_num_updates={NEVER}",  # measured separately
        f"callbacks.codes.every_num_updates={NEVER}",
        f"callbacks.checkpoints.every_num_updates={NEVER}",
        f"callbacks.checkpoints.every_num_minutes={NEVER}",
        "+callbacks.turns._target_=benchmarks.callback.TakeTurns",
    ]
