"""Interrupt jobs of a sweep on a real SLURM, and compare them with uninterrupted runs.

    scripts/local_slurm.sh start && export SLURM_CONF=/tmp/limner_slurm/slurm.conf
    python scripts/slurm_test.py                                  a few minutes

The sweep has 2 x 2 jobs of 2 nodes each. During training, one job is requeued by `scontrol
requeue`, and another job gets a time limit of two minutes, before which SLURM warns it, maybe
several times. All jobs must end with the same weights and rows of metrics.csv as the same runs in
two processes without SLURM. The exit code is the number of jobs that differ, or that were not
interrupted as planned.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from kill_test import TRAIN, compare
from limner.commands.sweep.records import Job, jobs_in, queued_as
from limner.commands.sweep.slurm_queue import queue
from limner.runs.status import read_status

COMMON = [
    "network=mlp", "metrics=none", "logger=csv", "data.batch_size=16",
    "accelerator=ddp_cpu", "callbacks.log.every_num_updates=10",
]  # fmt: skip
ON_TWO_NODES = ["trainer.num_nodes=2", "trainer.devices=1"]
QUEUED = ["hydra/launcher=slurm", "hydra.launcher.time=30", "hydra.launcher.warning=30"]
STEPS = 20  # number of updates after which a job may be interrupted


def start(folder: Path, *words: str) -> subprocess.Popen:
    """Start `python train.py` with these words in `folder`."""
    return subprocess.Popen([sys.executable, str(TRAIN), *words], cwd=folder)


def strike(sweep: Path, num_updates: int) -> dict[Path, str]:
    """Interrupt two running jobs; return folder -> command that interrupted the job."""
    requeued, limited = (_in_mid_run(sweep, place) for place in (0, 3))
    done = {
        requeued.folder: ["requeue", queued_as(requeued.folder)],
        limited.folder: ["update", f"JobId={queued_as(limited.folder)}", "TimeLimit=2"],
    }
    for command in done.values():
        subprocess.run(["scontrol", *command], check=True)
    print(f"interrupted two jobs in the middle of their {num_updates} updates", flush=True)
    return {folder: f"scontrol {' '.join(command)}" for folder, command in done.items()}


def _in_mid_run(sweep: Path, place: int) -> Job:
    while True:
        jobs = jobs_in(sweep)
        if len(jobs) == 4 and queued_as(jobs[place].folder) in queue():
            file = jobs[place].folder / "metrics.csv"
            if file.exists() and len(file.read_text().splitlines()) > STEPS // 10:
                return jobs[place]
        time.sleep(0.5)


def main() -> None:
    """Run the command line, and exit with the number of wrong jobs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--updates", type=int, default=6000, help="length of each run")
    parser.add_argument("--folder", type=Path, help="folder of the runs; default: a temporary one")
    arguments = parser.parse_args()
    root = arguments.folder or Path(tempfile.mkdtemp(prefix="slurm_test_"))
    root.mkdir(exist_ok=True)
    common = [*COMMON, f"trainer.max_steps={arguments.updates}"]
    words = ["-m", "model=vae,gan", "seed=1,2", *common, *ON_TWO_NODES, *QUEUED, "sweep=struck"]
    sweep = root / "outputs" / "sweeps" / "struck"
    command = start(root, *words)
    struck = strike(sweep, arguments.updates)
    if command.wait() != 0:
        raise SystemExit("The sweep has not finished.")
    wrong = 0
    for index, job in enumerate(jobs_in(sweep)):
        own = [word for word in job.overrides if word.startswith(("model=", "seed="))]
        whole = root / f"whole_{index}"
        if start(root, *own, *common, f"hydra.run.dir={whole}").wait() != 0:
            raise SystemExit("A run without SLURM has failed.")
        result, starts = compare(whole, job.folder), read_status(job.folder).starts
        by = struck.get(job.folder, "nothing")
        print(f"{' '.join(own)}: interrupted by {by}; starts: {starts}; {result}", flush=True)
        wrong += result["differences"] != 0 or (starts > 1) != (job.folder in struck)
    print(f"{wrong} of 4 jobs are wrong. They are in {root}")
    raise SystemExit(wrong)


if __name__ == "__main__":
    main()
