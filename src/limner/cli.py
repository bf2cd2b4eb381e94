"""The commands: `limner train ...`, which `python train.py ...` is too.

A mistake of the user's ends in one message of a few lines and a non-zero exit code, and leaves no
folder behind.
"""

__all__ = ["main"]

import functools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, open_dict

from limner.config import CONFIG_DIR, register
from limner.errors import Interrupted
from limner.mistakes import explain
from limner.resuming import merged, resume_folder, with_saved_overrides

USAGE = """\
Usage: limner train [GROUP=OPTION] [KEY=VALUE] ...     trains a model and scores it
       limner train --help                             shows groups, options and keys

For example: limner train model=gan data=mnist optimizer.lr=3e-4
"""
RANK_VARIABLES = (
    "LOCAL_RANK", "WORLD_SIZE", "NODE_RANK", "MASTER_ADDR", "MASTER_PORT", "PL_GLOBAL_SEED",
)  # fmt: skip

_failures: list[str] = []
"""What went wrong in the jobs of this process; a sweep goes on after a job that failed."""


def main() -> None:
    """Runs the command line, and ends the process with its exit code."""
    arguments = sys.argv[1:]
    if Path(sys.argv[0]).name != "train.py":
        command, *arguments = arguments or ["--help"]
        if command != "train":
            wrong = command not in ("-h", "--help")
            print(f"limner: there is no command {command}.\n{USAGE}" if wrong else USAGE, end="")
            raise SystemExit(2 if wrong else 0)
    raise SystemExit(_train(arguments))


def _train(arguments: Sequence[str]) -> int:
    """Has Hydra compose the config, or the configs of a sweep, and run each; the exit code."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # exceptions come to us instead of being printed
    debug, typed = "debug=true" in arguments, sys.argv
    try:
        folder = resume_folder(arguments)
        if folder is not None:
            arguments = with_saved_overrides(arguments, folder)
        register()
        sys.argv = [typed[0], *arguments]  # what Hydra parses
        hydra.main(config_path=str(CONFIG_DIR), config_name="train", version_base="1.3")(
            functools.partial(_job, typed)
        )()
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
    return 1 if _failures else 0


def _job(typed: list[str], config: DictConfig) -> float | None:
    """One run, in the folder that Hydra made for it."""
    sys.argv = typed  # what Lightning starts further processes with
    run_dir = Path(HydraConfig.get().runtime.output_dir)
    try:
        if HydraConfig.get().mode == RunMode.MULTIRUN and _starts_processes(config):
            return _in_own_process(config, run_dir)
        if config.resume is not None:
            resume = config.resume
            config = merged(config, run_dir)
            config.resume = resume
        config.run_dir = str(run_dir)
        from limner.training import train  # imports torch: --help and mistakes need not wait

        with open_dict(config):
            return train(config)
    except Interrupted as stop:
        if _is_first_process():
            _fail(f"{stop}\nTo go on: python train.py resume={os.path.relpath(run_dir)}", 1)
            raise SystemExit(1) from None
        raise SystemExit(0) from None  # agreed among the processes: nothing to kill the others for
    except Exception as error:
        explained = explain(error)
        if not getattr(error, "began", False) and config.get("resume") is None:
            _remove(run_dir)
        if explained is None or config.get("debug"):
            raise
        if _is_first_process():
            _failures.append(explained[0])
            _fail(*explained)
        return None


def _starts_processes(config: DictConfig) -> bool:
    """Whether Lightning would start the other ranks of this job by running this command again."""
    outside = "TORCHELASTIC_RUN_ID" in os.environ or "SLURM_NTASKS" in os.environ
    return str(config.trainer.strategy).startswith(("ddp", "fsdp")) and not outside


def _in_own_process(config: DictConfig, run_dir: Path) -> float | None:
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
    code = subprocess.run([*command, *overrides], env=environment, check=False).returncode
    if code != 0:
        _failures.append(f"{run_dir} ended with code {code}")
        return None
    scores = run_dir / "scores.json"
    objective = config.metrics.objective
    if objective is None or not scores.exists():
        return None
    return json.loads(scores.read_text()).get(objective.name, {}).get("value")


def _is_first_process() -> bool:
    ranks = ("RANK", "LOCAL_RANK", "SLURM_PROCID")
    return all(os.environ.get(name, "0") == "0" for name in ranks)


def _remove(run_dir: Path) -> None:
    """Takes away the folder of a run that never began, and folders that this leaves empty."""
    if not _is_first_process():
        return
    shutil.rmtree(run_dir, ignore_errors=True)
    for folder in run_dir.parents:
        if folder == Path.cwd() or not folder.is_dir() or any(folder.iterdir()):
            break
        folder.rmdir()


def _fail(message: str, code: int) -> int:
    print(f"limner: {message}" if code else message, file=sys.stderr)
    return code
