"""Sweeps in SLURM's queue: requests to a fake SLURM, and signals to jobs of a real SLURM."""

import importlib.util
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from limner.commands.sweep import slurm, slurm_queue
from limner.commands.sweep.records import jobs_in, queued_as, write_queued, write_record
from limner.commands.sweep.slurm_job import QueuedJob
from limner.errors import UserError
from limner.runs.status import read_status

ROOT = Path(__file__).parents[3]
SPEC = importlib.util.spec_from_file_location("kill_test", ROOT / "scripts" / "kill_test.py")
kill_test = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(kill_test)
GRID = ["-m", "hydra/launcher=slurm", "sweep=a", "metrics=none"]
SETTINGS = {
    "partition": "long", "account": None, "time": 60, "warning": 90, "memory": 1.5, "cpus": 2,
    "at_once": 3, "max_restarts": 5, "setup": ["module load cuda"], "extra": {"qos": "high"},
}  # fmt: skip


@pytest.fixture
def pretended(tmp_path, monkeypatch) -> Callable[..., Path]:
    """Install fake SLURM programs; return the folder in which they record their arguments."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setattr(slurm, "SECONDS", 0.01)

    def make(**scripts: str) -> Path:
        for name, text in scripts.items():
            (folder / name).write_text(f"#!/bin/sh\n{text}\n")
            (folder / name).chmod(0o755)
        return folder

    make(srun="", squeue="")
    return make


TAKES = """
case "$1" in --test-only) echo "$@" >> {0}/tested; exit ;; esac
number=$(($(cat {0}/number 2> /dev/null || echo 10) + 1))
echo $number > {0}/number
cp "$1" {0}/script_$number
echo "Submitted batch job $number"
"""


def test_sweep_queues_jobs_with_equal_resources_as_one_array(run, pretended):
    folder = pretended()
    pretended(sbatch=TAKES.format(folder))
    words = ["accelerator=cpu,ddp", "seed=1,2", "trainer.devices=2", "trainer.num_nodes=3"]
    result = run(*GRID, *words, "hydra.launcher.partition=long", "+hydra.launcher.extra.qos=high")
    assert result.code == 1, "nothing has been trained"
    assert "4 not begun" in result.out
    scripts = sorted(path.read_text() for path in folder.glob("script_*"))
    assert len(scripts) == 2
    for script in scripts:
        for flag in (
            "nodes=3", "ntasks-per-node=2", "array=0-1%2", "partition=long", "qos=high",
            "signal=USR1@120", "job-name=limner_a", "requeue", "cpus-per-task=1",
        ):  # fmt: skip
            assert f"#SBATCH --{flag}\n" in script, flag
    assert sorted(script.count("--gpus-per-node=2") for script in scripts) == [0, 1]
    ids = {queued_as(job.folder) for job in jobs_in(Path("outputs/sweeps/a"))}
    assert ids == {"11_0", "11_1", "12_0", "12_1"}


@pytest.mark.slow
def test_sweep_does_not_queue_jobs_that_are_in_the_queue(run, pretended):
    folder = pretended()
    pretended(sbatch=TAKES.format(folder))
    words = [*GRID, "seed=1,2", "accelerator=cpu"]
    run(*words)
    left = 'echo "11_1 PENDING"; echo "7 RUNNING"'  # only now and then
    count = f"n=$(cat {folder}/n 2> /dev/null || echo 0); echo $((n + 1)) > {folder}/n"
    pretended(squeue=f"{count}; [ $n -gt 2 ] || {{ {left}; }}")
    result = run(*words)
    assert "SLURM's job 11_1, seed=2: queued" in result.out
    assert "SLURM's job 11_1, seed=2: not begun" in result.out
    assert (folder / "number").read_text() == "12\n"
    assert "#SBATCH --array" not in (folder / "script_12").read_text()
    ids = [queued_as(job.folder) for job in jobs_in(Path("outputs/sweeps/a"))]
    assert ids == ["12", "11_1"]


@pytest.mark.parametrize(
    ("trainer", "message"),
    [
        ({"accelerator": "auto"}, "trainer.accelerator=auto: SLURM needs to know whether a job"),
        ({"devices": "auto"}, "trainer.devices=auto: SLURM needs a number"),
        ({"num_nodes": 0}, "trainer.num_nodes=0: SLURM needs a number"),
    ],
)
def test_shape_of_refuses_settings_that_slurm_must_know(trainer, message):
    settings = {"accelerator": "gpu", "devices": 1, "num_nodes": 1} | trainer
    with pytest.raises(UserError) as error:
        slurm.shape_of(OmegaConf.create({"trainer": settings}))
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cpus": 0}, "hydra.launcher.cpus=0: must be a whole number"),
        ({"time": 1}, "hydra.launcher.warning=90 (seconds"),
    ],
)
def test_launcher_settings_that_fit_no_job_are_refused(changes, message):
    with pytest.raises(UserError) as error:
        slurm.Settings(**SETTINGS | changes)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["trainer.devices=9"], "--ntasks-per-node=9: Requested node config"),
        (["hydra.launcher.time=1"], "hydra.launcher.warning=120 (seconds"),
    ],
)
def test_sweep_queues_nothing_when_there_is_a_mistake(run, pretended, words, message):
    folder = pretended()
    refuses = 'case "$*" in *node=9*) echo "allocation failure: Requested node configuration is '
    refuses += f'not available" >&2; exit 1 ;; --test-only*) exit ;; esac; touch {folder}/queued'
    pretended(sbatch=refuses)
    result = run(*GRID, "seed=1,2", "accelerator=cpu", *words)
    assert result.code == 1
    assert message in result.err
    assert len(result.err.splitlines()) == 1
    assert not (folder / "queued").exists()
    assert not Path("outputs").exists()


def test_sweep_passes_launcher_settings_as_options_of_sbatch():
    options = slurm.Settings(**SETTINGS).options(slurm.Shape(2, 4, 4))
    assert options == {
        "partition": "long", "time": 60, "mem": "1536M", "cpus_per_task": 2, "nodes": 2,
        "ntasks_per_node": 4, "gpus_per_node": 4,
    }  # fmt: skip


def test_sweep_reports_that_slurm_does_not_answer(pretended, monkeypatch):
    pretended(squeue="echo 'slurm_load_jobs error: Unable to contact' >&2; exit 1")
    with pytest.raises(UserError, match=r"SLURM does not answer .*Unable to contact"):
        slurm_queue.queue()
    monkeypatch.setenv("PATH", "/nowhere")
    assert slurm_queue.queue() == {}


@pytest.mark.parametrize(
    ("rank", "state", "again"),
    [
        ("0", "RUNNING None", True),
        ("0", "COMPLETING TimeLimit", True),
        ("0", "COMPLETING None", False),  # The job was cancelled, or queued again.
        ("1", "RUNNING None", False),
    ],
)
def test_job_with_a_warning_signal_is_requeued_by_its_first_process(
    tmp_path, pretended, monkeypatch, rank, state, again
):
    pretended(squeue=f"echo {state}")
    for name, value in {"PROCID": rank, "JOB_ID": "3"}.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    received = []
    previous = signal.signal(signal.SIGUSR1, lambda *_: received.append(1))
    code = "import os, signal, time; signal.signal(signal.SIGUSR1, lambda *_: os._exit(1));"
    code += "os.kill(os.getppid(), signal.SIGUSR1); time.sleep(20)"
    try:
        QueuedJob([sys.executable, "-c", code], tmp_path / "run", ["seed=1"], 0)()
    finally:
        signal.signal(signal.SIGUSR1, previous)
    assert received == ([1] if again else [])


def test_failed_job_reports_its_reason(tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_PROCID", "0")
    folder = tmp_path / "run"
    write_record(folder, ["seed=1"], 0, None)
    for reason in ("it broke", "another process is gone"):
        command = [sys.executable, "-c", f"import sys; sys.exit('limner: {reason}')"]
        with pytest.raises(SystemExit):
            QueuedJob(command, folder, ["seed=1"], 0)()
    (job,) = jobs_in(tmp_path)
    assert job.error == "it broke"


def test_jobs_in_the_queue_are_recognised(tmp_path, pretended):
    pretended(squeue='echo "5_0 PENDING"; echo "5_1 RUNNING"; echo "6 COMPLETING"')
    for number, job_id in enumerate(("5_0", "5_1", "4")):
        write_record(tmp_path / f"seed={number}", [f"seed={number}"], number, None)
        write_queued(tmp_path / f"seed={number}", job_id)
    assert [job.state for job in jobs_in(tmp_path)] == ["queued", "running", "not begun"]


def is_up() -> bool:
    script = ROOT / "scripts" / "local_slurm.sh"
    return subprocess.run([script, "status"], capture_output=True, check=False).returncode == 0


@pytest.mark.slow
@pytest.mark.slurm
@pytest.mark.skipif(not is_up(), reason="scripts/local_slurm.sh start")
@pytest.mark.usefixtures("forking")
def test_job_of_a_real_slurm_that_gets_signals_ends_like_an_uninterrupted_job(tmp_path):
    """Two jobs of two nodes must give the same result; the sweep itself is stopped, too."""
    env = os.environ | {
        "SLURM_CONF": f"{os.environ.get('LIMNER_SLURM', '/tmp/limner_slurm')}/slurm.conf"
    }
    words = [
        "-m", "hydra/launcher=slurm", "sweep=a", "callbacks.log.every_num_updates=1",
        "accelerator=ddp_cpu", "trainer.num_nodes=2", "trainer.devices=1", "trainer.max_steps=400",
        "network=mlp", "metrics=none", "logger=csv", "callbacks.pictures.num_images=1,2",
    ]  # fmt: skip

    def sweep() -> subprocess.Popen:
        return subprocess.Popen(
            [sys.executable, str(ROOT / "train.py"), *words], cwd=tmp_path, env=env, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def wait_for(condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 300
        while not condition():
            assert time.monotonic() < deadline
            time.sleep(0.1)

    folder = tmp_path / "outputs" / "sweeps" / "a"
    process = sweep()
    wait_for(lambda: len(list(folder.glob(".jobs/*.slurm"))) == 2)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=600)
    assert process.returncode == 1, out
    assert "limner: Stopped." in out
    jobs = sorted(folder.glob("*num_images=*"))
    ids = [queued_as(job) for job in jobs]
    process = sweep()
    struck, whole = jobs
    file, num_rows = struck / "metrics.csv", 0
    for command in (["scontrol", "requeue"], ["scancel", "--signal=USR1"]):
        wait_for(lambda n=num_rows: file.exists() and len(file.read_text().splitlines()) > n + 50)
        subprocess.run([*command, queued_as(struck)], env=env, check=True)
        num_rows = len(file.read_text().splitlines())
    out, _ = process.communicate(timeout=600)
    assert process.returncode == 0, out
    assert [queued_as(job) for job in jobs] == ids, "nothing was queued twice"
    assert [read_status(job).starts for job in jobs] == [3, 1]
    assert kill_test.compare(whole, struck)["differences"] == 0
