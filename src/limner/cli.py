"""The commands: `limner train ...`, which `python train.py ...` is too.

A mistake of the user's ends in one message of a few lines and a non-zero exit code, and leaves no
folder behind.
"""

__all__ = ["main"]

import copy
import functools
import importlib
import json
import logging
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict

from limner.checkpoint_files import numbered
from limner.config import CONFIG_DIR, register
from limner.console import is_first_process
from limner.errors import Interrupted, UserError
from limner.locks import locked
from limner.mistakes import explain
from limner.processes import end_with_first_process
from limner.resuming.merging import merged, save
from limner.resuming.starts import Start, start_of

log = logging.getLogger(__name__)

USAGE = """\
Usage: limner train [GROUP=OPTION] [KEY=VALUE] ...     trains a model and scores it
       limner train --help                             shows groups, options and keys
       limner evaluate run=RUN                         scores a finished run, or pictures:
       limner evaluate generated=A.zip reference=B     folders, .zip files, names of data sets
       limner sample run=RUN [mode=grid] [seed=0]      draws pictures
       limner export run=RUN to=DIR                    weights, config and model card
       limner compare RUN RUN ... [to=FILE.csv]        scores side by side
       limner compare --blind RUN RUN [to=FILE.html]   a page to choose pictures by eye

For example: limner train model=gan data=mnist optimizer.lr=3e-4
"""
COMMANDS = {
    "compare": "limner.comparing.command",
    "evaluate": "limner.evaluating.command",
    "export": "limner.exporting",
    "sample": "limner.sampling",
}
"""Modules with a function `run(words) -> exit code`, imported when they are asked for."""
RANK_VARIABLES = (
    "LOCAL_RANK", "WORLD_SIZE", "NODE_RANK", "MASTER_ADDR", "MASTER_PORT", "PL_GLOBAL_SEED",
)  # fmt: skip

_failures: list[str] = []
"""What went wrong in the jobs of this process; a sweep goes on after a job that failed."""


def main() -> None:
    """Runs the command line, and ends the process with its exit code."""
    words = sys.argv[1:]
    if Path(sys.argv[0]).name == "train.py":
        raise SystemExit(_train(words))
    command, *words = words or ["--help"]
    if command == "train":
        raise SystemExit(_train(words))
    if command in COMMANDS:
        run = importlib.import_module(COMMANDS[command]).run
        raise SystemExit(_explained(lambda: run(words), debug=False))
    wrong = command not in ("-h", "--help")
    print(f"limner: there is no command {command}.\n{USAGE}" if wrong else USAGE, end="")
    raise SystemExit(2 if wrong else 0)


def _explained(action: Callable[[], int], *, debug: bool) -> int:
    """The action's exit code, or a message in place of an exception and its exit code."""
    try:
        return action()
    except KeyboardInterrupt:
        return _fail("Stopped.", 1)
    except BrokenPipeError:  # the reader of our output, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        explained = explain(error)
        if explained is None or debug:
            raise
        return _fail(*explained)


def _train(words: Sequence[str]) -> int:
    """Has Hydra compose the config, or the configs of a sweep, and run each; the exit code."""
    end_with_first_process()
    os.environ["HYDRA_FULL_ERROR"] = "1"  # exceptions come to us instead of being printed
    before = sys.argv[: len(sys.argv) - len(words)]

    def compose_and_run() -> int:
        register()
        start = start_of(words)
        if start.arguments is None:
            if is_first_process():
                print(start.note)
            return 0
        sys.argv = [before[0], *start.arguments]  # what Hydra parses
        hydra.main(config_path=str(CONFIG_DIR), config_name="train", version_base="1.3")(
            functools.partial(_job, [*before, *start.words], start)
        )()
        return 1 if _failures else 0

    return _explained(compose_and_run, debug="debug=true" in words)


def _job(command: list[str], start: Start, config: DictConfig) -> float | None:
    """One run, in the folder that Hydra made for it."""
    sys.argv = command  # what Lightning starts further processes with
    run_dir = Path(HydraConfig.get().runtime.output_dir)
    try:
        return _run(config, run_dir, start)
    except Interrupted as stop:
        if is_first_process():
            again = f"{_program()} resume={shlex.quote(os.path.relpath(run_dir))}"
            _fail(f"{stop}\nTo go on: {again}" if numbered(run_dir) else str(stop), 1)
            raise SystemExit(1) from None
        raise SystemExit(0) from None  # agreed among the processes: nothing to kill the others for
    except (Exception, KeyboardInterrupt) as error:
        began = getattr(error, "began", False)
        if not began and start.folder is None:
            _remove(run_dir)
        explained = explain(error)
        if explained is None or config.get("debug"):
            raise
        if began and not is_first_process():
            raise SystemExit(0) from None  # likewise
        _failures.append(explained[0])
        _fail(*explained)
        return None


def _run(config: DictConfig, run_dir: Path, start: Start) -> float | None:
    if config.run_dir is not None:
        raise UserError("run_dir is filled in when a run starts; to choose it: hydra.run.dir=DIR")
    if (config.resume is None) != (start.folder is None):
        raise UserError(f"resume={config.resume} stands in a file: give it on the command line.")
    if HydraConfig.get().mode == RunMode.MULTIRUN:
        from limner.training import starts_processes

        if starts_processes(config):
            return _in_own_process(run_dir)
    if start.folder is not None and not start.complete:
        config = merged(config, run_dir)
    with locked(run_dir) if is_first_process() else nullcontext():
        from limner.training import train  # with torch: mistakes need not wait

        record = functools.partial(_record, copy.deepcopy(config), run_dir, start)
        config.run_dir = str(run_dir)
        with open_dict(config):
            return train(config, record)


def _record(config: DictConfig, run_dir: Path, start: Start) -> None:
    """What is told and kept about a start once it is sure to train."""
    if start.note is not None:
        log.info(start.note)
    if start.folder is not None:
        save(config, run_dir, HydraConfig.get())


def _in_own_process(run_dir: Path) -> float | None:
    """A job of a sweep as a single run: a rank that ran the sweep's command would sweep itself."""
    environment = {k: v for k, v in os.environ.items() if k not in RANK_VARIABLES}
    command = [
        sys.executable,
        sys.argv[0],
        *(["train"] if not sys.argv[0].endswith(".py") else []),
    ]
    sources = HydraConfig.get().runtime.config_sources
    own = [source.path for source in sources if source.provider == "command-line"]
    command += ["--config-dir", own[0]] if own else []
    overrides = [*HydraConfig.get().overrides.task, f"hydra.run.dir='{run_dir}'"]
    shutil.rmtree(run_dir / ".hydra")  # the job's process writes its own
    code = _waited_for(subprocess.Popen([*command, *overrides], env=environment))
    if code != 0:
        _failures.append(f"{run_dir} ended with code {code}")
        return None
    return _objective(run_dir)


def _waited_for(process: subprocess.Popen) -> int:
    """The exit code of a job, which gets the signals that come here; they end the sweep too."""
    received: list[int] = []

    def pass_on(number: int, frame: object) -> None:
        received.append(number)
        if number != signal.SIGINT:  # a terminal has sent that to the job too
            process.send_signal(number)

    names = [name for name in ("SIGINT", "SIGTERM", "SIGUSR1") if hasattr(signal, name)]
    numbers = [getattr(signal, name) for name in names]
    previous = [signal.signal(number, pass_on) for number in numbers]
    try:
        code = process.wait()
    finally:
        for number, handler in zip(numbers, previous, strict=True):
            signal.signal(number, handler)
    if received:
        raise SystemExit(1)
    return code


def _objective(run_dir: Path) -> float | None:
    """The objective's value that a finished run left."""
    objective = OmegaConf.load(run_dir / "config.yaml").metrics.objective
    scores = run_dir / "scores.json"
    if objective is None or not scores.exists():
        return None
    return json.loads(scores.read_text()).get(objective.name, {}).get("value")


def _program() -> str:
    script = Path(sys.argv[0]).name
    return f"python {script}" if script.endswith(".py") else f"{script} train"


def _remove(run_dir: Path) -> None:
    """Takes away the folder of a run that never began, and folders that this leaves empty."""
    here = Path.cwd()
    if here.is_relative_to(run_dir):
        return
    if is_first_process():
        shutil.rmtree(run_dir, ignore_errors=True)
    with suppress(OSError):  # another process removes its own at the same time
        for folder in (run_dir, *run_dir.parents):
            if here.is_relative_to(folder) or (folder.is_dir() and any(folder.iterdir())):
                break
            if folder.is_dir():
                folder.rmdir()


def _fail(message: str, code: int) -> int:
    print(f"limner: {message}", file=sys.stderr)
    return code
