"""Separate processes of `python PROGRAM.py` without the seconds that imports would take.

This includes `python -m MODULE` for the modules in `MODULES`. The processes are forked from the
process of the tests, which has imported everything. Each has its own words, folder, environment,
output and signals. If Lightning's launcher or torchrun starts a further process of a run, that
process is a child of the first, with the words and the environment that the launcher passes.
"""

__all__ = ["Popen"]

import atexit
import os
import pickle
import runpy
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Mapping, Sequence

from hydra.core.global_hydra import GlobalHydra

import limner.training.train  # noqa: F401  this import takes seconds

MODULES = ("benchmarks.play", "torch.distributed.run")
SEVERAL = ("accelerator=ddp_cpu", "trainer.devices=2")
_spares: list[tuple[int, int]] = []
"""Processes that wait to become a further process of this run: their ids, and pipes to them."""


class Popen(subprocess.Popen):
    """A `subprocess.Popen` that forks when it is to start a Python program."""

    def _execute_child(self, args, *rest):
        words = [str(word) for word in args]
        words = words[2:] if words[1] == "-u" else words[1:]  # torchrun asks for unbuffered output
        is_program = words[0].endswith(".py") or (words[0] == "-m" and words[1] in MODULES)
        if not (args[0] == sys.executable and is_program):
            super()._execute_child(args, *rest)
            return
        cwd, environment, pipes, new_session = rest[4], rest[5], rest[9:15], rest[20]
        start = words, cwd and str(cwd), dict(os.environ if environment is None else environment)
        if _spares and set(pipes) == {-1}:
            self.pid, pipe = _spares.pop()
            os.write(pipe, pickle.dumps(start))
            os.close(pipe)
        else:
            self.pid = os.fork()
            if self.pid == 0:
                try:
                    _become(start, pipes, new_session)
                finally:
                    os.write(2, traceback.format_exc().encode())
                    os._exit(1)  # otherwise a second pytest would run the other tests
        self._child_created = True
        self._close_pipe_fds(*pipes)


def _become(start: tuple, pipes: Sequence[int], new_session: bool) -> None:
    """Turn this process into the process that was to be started."""
    if new_session:
        os.setsid()
    given, giving, _, output, _, errors = pipes
    for pipe, own in ((given, 0), (output, 1), (errors, 2)):
        if pipe != -1:
            os.dup2(pipe, own)
    if giving != -1:
        os.close(giving)  # the input must end when the parent closes its end
        sys.stdin = os.fdopen(0)
    # `closefd`: a process that this process forks replaces these files, which must stay open.
    sys.stdout, sys.stderr = (
        os.fdopen(number, "w", buffering=1, closefd=False) for number in (1, 2)
    )
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)  # torchrun handles them, and its processes do not
    atexit._clear()
    GlobalHydra.instance().clear()
    _spares.clear()
    if any(word in SEVERAL for word in start[0]):
        _leave_a_spare()
    _run(*start)


def _leave_a_spare() -> None:
    reading, writing = os.pipe()
    if (pid := os.fork()) != 0:
        os.close(reading)
        _spares.append((pid, writing))
        return
    os.close(writing)
    with open(reading, "rb") as pipe:
        start = pipe.read()
    if start:
        _run(*pickle.loads(start))
    os._exit(0)


def _run(words: list[str], cwd: str | None, environment: Mapping[str, str]) -> None:
    """Run a program as Python does from its start to its end."""
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(cwd or ".")
    sys.argv, code = words[1:] if words[0] == "-m" else words, 0
    try:
        if words[0] == "-m":
            runpy.run_module(words[1], run_name="__main__", alter_sys=True)
        else:
            runpy.run_path(words[0], run_name="__main__")
    except SystemExit as end:
        code = end.code or 0
    except BaseException:
        traceback.print_exc()
        code = 1
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
