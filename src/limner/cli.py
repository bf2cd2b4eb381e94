"""The command line: `limner COMMAND ...`; `python train.py ...` is `limner train ...`.

After a mistake of the user, the command prints one message of a few lines, leaves no folder behind
and ends with a non-zero exit code.
"""

__all__ = ["main"]

import contextlib
import functools
import importlib
import logging
import os
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import ConfigCompositionException, MissingConfigException
from omegaconf import DictConfig

from limner.commands.completion import complete
from limner.commands.parser import (
    COMMANDS,
    OWN_CODE,
    VERSION,
    read_words,
    refuse_keys,
    refuse_unknown,
    top_parser,
)
from limner.commands.sweep.command import refuse_launcher, run_job, tell
from limner.commands.sweep.records import jobs_in
from limner.commands.train import make_importable, never_began, remove_run, run_in_folder
from limner.config.commented import commented
from limner.config.error_messages import explain
from limner.config.schema import CONFIG_DIR, register
from limner.console import escape_errors
from limner.errors import Interrupted, UsageError, UserError
from limner.files.printable import printable
from limner.launch.watchdog import end_with_first_process, stop_with_parent
from limner.processes import is_first_process
from limner.resume.mistyped import clarified, refuse_mistyped
from limner.resume.overrides import (
    config_dirs,
    flags_first,
    is_completion,
    is_sweep,
    last_value,
    only_shows,
)
from limner.resume.quoting import with_quotes
from limner.resume.start import Start, decide_start
from limner.runs.checkpoints import numbered
from limner.training.progress import Progress

log = logging.getLogger(__name__)

DEBUG = "debug=true"
"""Word that shows the traceback instead of a message, in every command."""
_failures: list[str] = []
"""Failures of the current command; with any failure the exit code is 1."""


def main() -> None:
    """Run the command line and end the process with the exit code of the command."""
    words = sys.argv[1:]
    escape_errors()
    if Path(sys.argv[0]).name == "train.py":
        raise SystemExit(_train(words))
    if is_completion(words[:1]):
        raise SystemExit(0 if complete(os.environ) else _train(words))
    command, *words = words or ["--help"]
    if command == "train":
        raise SystemExit(_train(words))
    debug = DEBUG in words
    if command != "search":  # the trials of a search need DEBUG too
        words = [word for word in words if word != DEBUG]
    raise SystemExit(_explained(functools.partial(_command, command, words), debug=debug))


def _command(command: str, words: Sequence[str]) -> int:
    if command not in COMMANDS:
        refuse_unknown(command)
        top_parser().parse_args([command])  # this prints and exits
    given, words = words, read_words(command, words)
    refuse_keys(command, words)  # check before importing torch, which takes seconds
    if command in OWN_CODE:
        for folder in config_dirs(given)[1::2]:
            if not Path(folder).expanduser().is_dir():
                raise UsageError(f"--config-dir {folder}: there is no such folder.")
        make_importable(given)
    return importlib.import_module(COMMANDS[command].module).run(words)


def _explained(action: Callable[[], int], *, debug: bool) -> int:
    """Return the exit code of an action; print a message instead of a known exception."""
    try:
        return action()
    except KeyboardInterrupt:
        return _fail("Stopped.", 1)
    except BrokenPipeError:  # the reader of the output, such as `head`, has ended
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except UsageError as error:
        return _fail(str(error), 2)
    except Exception as error:
        explained = explain(error)
        if explained is None or debug:
            raise
        return _fail(*explained)


def _train(words: Sequence[str]) -> int:
    """Let Hydra compose and run the config, or each config of a sweep; return the exit code."""
    if "--version" in words:
        print(VERSION)
        return 0
    _failures.clear()
    end_with_first_process()
    stop_with_parent()
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra raises exceptions instead of printing them
    before = sys.argv[: len(sys.argv) - len(words)]

    def compose_and_run() -> int:
        register()
        make_importable(words)
        refuse_mistyped(words)
        if not only_shows(words):
            refuse_launcher(last_value(words, "hydra/launcher"), sweep=is_sweep(words))
        quoted = with_quotes(words)
        try:
            return start_with(quoted)
        except ConfigCompositionException as error:
            raise clarified(error, quoted) from error.__cause__

    def start_with(words: Sequence[str]) -> int:
        start = decide_start(words)
        if start.arguments is None:
            if is_first_process():
                print(printable(start.note, keep_newlines=True))
            return 0
        sys.argv = [before[0], *flags_first(start.arguments)]  # what Hydra parses
        job = functools.partial(_job, [*before, *start.words], start)
        with _told_of(start.sweep) if start.sweep is not None else nullcontext():
            _composing(start, job)
        return 1 if _failures else 0

    return _explained(compose_and_run, debug=DEBUG in words)


def _composing(start: Start, job: Callable[[DictConfig], float | None]) -> None:
    """Let Hydra compose the config and run the job.

    Raises:
        UserError: If a config file is missing from which the resumed run was composed.
    """
    try:
        with commented(sys.argv[1:]):
            hydra.main(config_path=str(CONFIG_DIR), config_name="train", version_base="1.3")(job)()
    except MissingConfigException as error:
        if start.folder is None or start.complete:
            raise
        message, _ = explain(error)
        raise UserError(
            f"{message}\nThe run was composed with it. If it is your own config file, pass its "
            "folder again: --config-dir DIR"
        ) from error


@contextlib.contextmanager
def _told_of(sweep: Path) -> Iterator[None]:
    """Print a table of the results of a sweep's jobs at its end, even if the sweep was stopped."""
    try:
        yield
    finally:
        if not jobs_in(sweep) and [path.name for path in sweep.glob("*")] == ["multirun.yaml"]:
            remove_run(sweep)  # no job has started
        elif tell(sweep) != 0:
            _failures.append("some jobs have not finished")


def _job(command: list[str], start: Start, config: DictConfig) -> float | None:
    """Train one run in the folder that Hydra made; return its objective, if it has one."""
    sys.argv = command  # Lightning starts further processes with these words
    run_dir = Path(HydraConfig.get().runtime.output_dir)
    if start.sweep is not None:
        return run_job(config, run_dir, start.words)
    progress = Progress()
    try:
        return run_in_folder(config, run_dir, start, progress)
    except Interrupted as stop:
        if never_began(stop, run_dir, start, progress):
            remove_run(run_dir)
        if is_first_process():
            again = shlex.join([*config_dirs(start.words), f"resume={os.path.relpath(run_dir)}"])
            again = f"{_program()} {again}"
            _fail(f"{stop}\nTo resume: {again}" if numbered(run_dir) else str(stop), 1)
            raise SystemExit(1) from None
        raise SystemExit(0) from None  # all processes stop: an error code would kill the others
    except (Exception, KeyboardInterrupt) as error:
        if never_began(error, run_dir, start, progress):
            remove_run(run_dir)
        explained = explain(error)
        if explained is None or config.get("debug"):
            raise
        if progress.has_trained and isinstance(error, UserError) and not is_first_process():
            raise SystemExit(0) from None  # all processes raise this error, so all stop
        _failures.append(explained[0])
        _fail(*explained)
        return None


def _program() -> str:
    script = Path(sys.argv[0]).name
    return f"python {script}" if script.endswith(".py") else f"{script} train"


def _fail(message: str, code: int) -> int:
    print(f"limner: {printable(message, keep_newlines=True)}", file=sys.stderr)
    return code
