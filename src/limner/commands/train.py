"""One run in its folder, for the command line and for `limner.train`."""

__all__ = ["make_importable", "never_began", "remove_run", "run_in_folder"]

import copy
import logging
import shutil
import sys
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, open_dict

from limner.config.unread import refuse_unread_network
from limner.errors import Interrupted, UserError
from limner.processes import is_first_process
from limner.resume.merge_config import merged, save
from limner.resume.overrides import config_dirs
from limner.resume.own_paths import keep_absolute, make_absolute
from limner.resume.start import Start
from limner.runs.checkpoints import numbered
from limner.runs.lock import RunInUse, locked
from limner.training.progress import Progress

log = logging.getLogger(__name__)


def make_importable(words: Sequence[str]) -> None:
    """Let the modules that lie in the folders of `--config-dir` be imported.

    The folders come last in Python's search path, so that their modules hide no others.

    Args:
        words: Words of a command.
    """
    for folder in config_dirs(words)[1::2]:
        path = str(Path(folder).expanduser().resolve())
        if path not in sys.path:
            sys.path.append(path)


def run_in_folder(
    config: DictConfig,
    run_dir: Path,
    start: Start,
    progress: Progress,
    *,
    starts_processes: bool = True,
) -> float | None:
    """Prepare and train a run, and record in `progress` how far the run came.

    Args:
        config: The config that Hydra composed; also Hydra's own config must be set.
        run_dir: The run folder, which exists.
        start: The decision on the words of the command.
        progress: Record of how far the run comes.
        starts_processes: Whether the run may start further processes, by the words of the command.

    Returns:
        The objective's value in the first process, None if there is none.

    Raises:
        UserError: For a mistake in the config, or if the run cannot be trained.
        Interrupted: If a signal stopped the run.
    """
    if config.run_dir is not None:
        raise UserError("run_dir is filled in when a run starts; to choose it: hydra.run.dir=DIR")
    if (config.resume is None) != (start.folder is None):
        raise UserError(
            f"resume={config.resume} is set in a config file: give it on the command line."
        )
    if start.folder is not None and not start.complete:
        config = merged(config, run_dir, start.words)
    make_absolute(config)
    refuse_unread_network(config, HydraConfig.get().overrides.task)
    with locked(run_dir) if is_first_process() else nullcontext():
        from limner.training.train import prepare, train  # imports torch: report mistakes first

        if not starts_processes:
            _refuse_processes(config)
        chosen = copy.deepcopy(config)
        config.run_dir = str(run_dir)
        make_absolute(config, resolve=True)
        with open_dict(config):
            run = prepare(config, progress)
            if run.trainer.is_global_zero:
                _record(chosen, run_dir, start)
            return train(run)


def never_began(error: BaseException, run_dir: Path, start: Start, progress: Progress) -> bool:
    """Return whether a run ended before it left anything in its folder that is worth keeping.

    Args:
        error: The exception that ended the run.
        run_dir: The run folder.
        start: The decision that started it.
        progress: How far the run came.
    """
    if start.folder is not None or isinstance(error, RunInUse):
        return False
    if isinstance(error, Interrupted):
        return not (run_dir / "status.json").exists()
    return not numbered(run_dir) and not progress.has_trained


def remove_run(run_dir: Path) -> None:
    """Remove the folder of a run that never began, and parent folders that are empty then."""
    here = Path.cwd()
    if here.is_relative_to(run_dir):
        return
    if is_first_process():
        shutil.rmtree(run_dir, ignore_errors=True)
    with suppress(OSError):  # another process may remove its folder at the same time
        for folder in (run_dir, *run_dir.parents):
            if here.is_relative_to(folder) or (folder.is_dir() and any(folder.iterdir())):
                break
            if folder.is_dir():
                folder.rmdir()


def _record(config: DictConfig, run_dir: Path, start: Start) -> None:
    """Log and save how the run was started, after all checks before training have passed."""
    if start.note is not None:
        log.info(start.note)
    if start.folder is not None:
        save(config, run_dir, HydraConfig.get())
    else:
        keep_absolute(config, run_dir, HydraConfig.get().overrides.task)


def _refuse_processes(config: DictConfig) -> None:
    """Raise `UserError` for a run of several processes."""
    from limner.training.trainer import num_processes

    if (number := num_processes(config)) > 1:
        raise UserError(
            f"This run needs {number} processes, and limner.train has one. Choose "
            "trainer.devices=1 trainer.num_nodes=1, or use the command line: python train.py ..."
        )
