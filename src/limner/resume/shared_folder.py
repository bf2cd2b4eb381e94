"""One run folder for all processes that torchrun or srun starts.

Each process composes its own config, and would name the folder by its own clock. Under torchrun,
the first process writes its choice into torchrun's store. The other processes, and restarted
processes, read the choice there. TORCHELASTIC_RESTART_COUNT does not show a restart on every node:
only the torchrun whose process died counts it. Under srun, the SLURM job gives the folder its
name; SLURM also marks a restarted job.
"""

__all__ = ["agree_on_run_folder"]

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from limner.errors import UserError
from limner.launch.environment import restarted_by_slurm, started_outside, step_of_slurm
from limner.processes import is_first_process
from limner.resume.overrides import is_sweep, last_value, only_shows, quoted, without_key


def agree_on_run_folder(
    words: Sequence[str], choose: Callable[[Sequence[str]], Path]
) -> list[str]:
    """Return the words of a command with the folder that all processes of the run use.

    A restarted process resumes the run in that folder.

    Args:
        words: Words as typed.
        choose: Function that returns the folder that the words mean for a single process.

    Raises:
        UserError: If the processes cannot agree on a folder.
    """
    alone = started_outside() < 2 or is_sweep(words) or only_shows(words)
    if alone or last_value(words, "resume") not in (None, "", "null", "auto"):
        return list(words)
    if "TORCHELASTIC_RUN_ID" in os.environ:
        folder = _by_torchrun(lambda: choose(words), os.environ)
        return _in(folder, words, automatic=True)
    folder, again = last_value(words, "hydra.run.dir"), restarted_by_slurm()
    if folder is None and last_value(words, "resume") == "auto" and not again:
        return list(words)  # `decide_start` raises the error
    if folder is None:
        folder = choose(without_key(words, "resume")).with_name(f"slurm_{step_of_slurm()}")
    return _in(folder, words, automatic=again)


def _in(folder: str | Path, words: Sequence[str], *, automatic: bool) -> list[str]:
    rest = without_key(words, "hydra.run.dir")
    rest = [*without_key(rest, "resume"), "resume=auto"] if automatic else rest
    return [*rest, f"hydra.run.dir={quoted(folder)}"]


def _by_torchrun(choose: Callable[[], Path], environ: Mapping[str, str]) -> str:
    """Return the folder that the first process chose at its first start."""
    if environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True":
        raise UserError(
            "This torchrun has no store by which its processes could agree on a folder; choose "
            "--rdzv-backend=c10d."
        )
    from torch.distributed import DistError, TCPStore

    key = f"limner/run/{environ['TORCHELASTIC_RUN_ID']}"
    try:
        store = TCPStore(environ["MASTER_ADDR"], int(environ["MASTER_PORT"]), is_master=False)
        if is_first_process() and not store.check([key]):
            store.set(key, str(choose()))
        return store.get(key).decode()
    except DistError as error:
        raise UserError("The first process has ended before the others had begun.") from error
