"""The command line: `limner COMMAND ...`; `python train.py ...` is `limner train ...`.

A user's mistake ends in one message of a few lines and a non-zero exit code, and leaves no folder
behind.
"""

__all__ = ["main"]

import contextlib
import copy
import functools
import importlib
import logging
import os
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import ConfigCompositionException, MissingConfigException
from omegaconf import DictConfig, open_dict

from limner.commands.completion import complete
from limner.commands.parser import COMMANDS, VERSION, read_words, refuse_unknown, top_parser
from limner.commands.sweep.command import refuse_launcher, run_job, tell
from limner.commands.sweep.records import jobs_in
from limner.config.error_messages import explain
from limner.config.schema import CONFIG_DIR, register
from limner.config.unread import refuse_unread_network
from limner.console import escape_errors
from limner.errors import Interrupted, UsageError, UserError
from limner.files.printable import printable
from limner.launch.watchdog import end_with_first_process, stop_with_parent
from limner.processes import is_first_process
from limner.resume.merge_config import merged, save
from limner.resume.mistyped import clarified, refuse_mistyped
from limner.resume.overrides import (
    config_dirs,
    flags_first,
    is_completion,
    last_value,
    only_shows,
)
from limner.resume.quoting import with_quotes
from limner.resume.start import Start, decide_start
from limner.runs.checkpoints import numbered
from limner.runs.lock import RunInUse, locked
from limner.training.progress import Progress

log = logging.getLogger(__name__)

_failures: list[str] = []
"""What went wrong in this process, for its exit code."""


def main() -> None:
    """Run the command line, and end the process with its exit code."""
    words = sys.argv[1:]
    escape_errors()
    if Path(sys.argv[0]).name == "train.py":
        raise SystemExit(_train(words))
    if is_completion(words[:1]):
        raise SystemExit(0 if complete(os.environ) else _train(words))
    command, *words = words or ["--help"]
    if command == "train":
        raise SystemExit(_train(words))
    raise SystemExit(_explained(functools.partial(_command, command, words), debug=False))


def _command(command: str, words: Sequence[str]) -> int:
    if command not in COMMANDS:
        refuse_unknown(command)
        top_parser().parse_args([command])  # which prints, and exits
    words = read_words(command, words)
    return importlib.import_module(COMMANDS[command].module).run(words)


def _explained(action: Callable[[], int], *, debug: bool) -> int:
    """The action's exit code, or a message in place of an exception and its exit code."""
    try:
        return action()
    except KeyboardInterrupt:
        return _fail("Stopped.", 1)
    except BrokenPipeError:  # the reader of our output, such as `head`, has seen enough
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
    """Has Hydra compose the config, or the configs of a sweep, and run each; the exit code."""
    if "--version" in words:
        print(VERSION)
        return 0
    end_with_first_process()
    stop_with_parent()
    os.environ["HYDRA_FULL_ERROR"] = "1"  # exceptions come to us instead of being printed
    before = sys.argv[: len(sys.argv) - len(words)]

    def compose_and_run() -> int:
        register()
        refuse_mistyped(words)
        quoted = with_quotes(words)
        try:
            return start_with(quoted)
        except ConfigCompositionException as error:
            raise clarified(error, quoted) from error.__cause__

    def start_with(words: Sequence[str]) -> int:
        start = decide_start(words)
        if not only_shows(words):
            refuse_launcher(last_value(words, "hydra/launcher"), sweep=start.sweep is not None)
        if start.arguments is None:
            if is_first_process():
                print(printable(start.note, keep_newlines=True))
            return 0
        sys.argv = [before[0], *flags_first(start.arguments)]  # what Hydra parses
        job = functools.partial(_job, [*before, *start.words], start)
        with _told_of(start.sweep) if start.sweep is not None else nullcontext():
            _composing(start, job)
        return 1 if _failures else 0

    return _explained(compose_and_run, debug="debug=true" in words)


def _composing(start: Start, job: Callable[[DictConfig], float | None]) -> None:
    """Has Hydra compose and run; of a run that is resumed, what its folder chose may be gone."""
    try:
        hydra.main(config_path=str(CONFIG_DIR), config_name="train", version_base="1.3")(job)()
    except MissingConfigException as error:
        if start.folder is None or start.complete:
            raise
        message, _ = explain(error)
        raise UserError(
            f"{message}\nThe run was composed of it. Of config files of your own, name the folder "
            "again: --config-dir DIR"
        ) from error


@contextlib.contextmanager
def _told_of(sweep: Path) -> Iterator[None]:
    """Ends a sweep, also one that was stopped, with a table of what became of its jobs."""
    try:
        yield
    finally:
        if not jobs_in(sweep) and [path.name for path in sweep.glob("*")] == ["multirun.yaml"]:
            _remove(sweep)  # a mistake in the grid
        elif tell(sweep) != 0:
            _failures.append("some jobs have not finished")


def _job(command: list[str], start: Start, config: DictConfig) -> float | None:
    """One run, in the folder that Hydra made for it."""
    sys.argv = command  # what Lightning starts further processes with
    run_dir = Path(HydraConfig.get().runtime.output_dir)
    if start.sweep is not None:
        return run_job(config, run_dir)
    progress = Progress()
    try:
        return _run(config, run_dir, start, progress)
    except Interrupted as stop:
        if start.folder is None and not (run_dir / "status.json").exists():
            _remove(run_dir)  # it stopped before anything was written
        if is_first_process():
            again = shlex.join([*config_dirs(start.words), f"resume={os.path.relpath(run_dir)}"])
            again = f"{_program()} {again}"
            _fail(f"{stop}\nTo go on: {again}" if numbered(run_dir) else str(stop), 1)
            raise SystemExit(1) from None
        raise SystemExit(0) from None  # agreed among the processes: nothing to kill the others for
    except (Exception, KeyboardInterrupt) as error:
        is_new = start.folder is None and not numbered(run_dir)
        if is_new and not progress.has_trained and not isinstance(error, RunInUse):
            _remove(run_dir)
        explained = explain(error)
        if explained is None or config.get("debug"):
            raise
        if progress.has_trained and isinstance(error, UserError) and not is_first_process():
            raise SystemExit(0) from None  # agreed among the processes too
        _failures.append(explained[0])
        _fail(*explained)
        return None


def _run(config: DictConfig, run_dir: Path, start: Start, progress: Progress) -> float | None:
    """Prepare and train a run, and note in `progress` how far it came."""
    if config.run_dir is not None:
        raise UserError("run_dir is filled in when a run starts; to choose it: hydra.run.dir=DIR")
    if (config.resume is None) != (start.folder is None):
        raise UserError(f"resume={config.resume} stands in a file: give it on the command line.")
    if start.folder is not None and not start.complete:
        config = merged(config, run_dir, start.words)
    refuse_unread_network(config, HydraConfig.get().overrides.task)
    with locked(run_dir) if is_first_process() else nullcontext():
        from limner.training.train import prepare, train  # with torch: mistakes need not wait

        chosen = copy.deepcopy(config)
        config.run_dir = str(run_dir)
        with open_dict(config):
            run = prepare(config, progress)
            if run.trainer.is_global_zero:
                _record(chosen, run_dir, start)
            return train(run)


def _record(config: DictConfig, run_dir: Path, start: Start) -> None:
    """Log and keep how a run was started, once nothing stands in the way of training."""
    if start.note is not None:
        log.info(start.note)
    if start.folder is not None:
        save(config, run_dir, HydraConfig.get())


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
    print(f"limner: {printable(message, keep_newlines=True)}", file=sys.stderr)
    return code
