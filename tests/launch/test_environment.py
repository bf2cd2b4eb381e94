"""The processes that a launcher reports are compared with the config."""

import pytest

from limner.errors import UserError
from limner.launch.environment import check_started, started_outside

TORCHRUN = {"TORCHELASTIC_RUN_ID": "none", "WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "2"}
SRUN = {
    "SLURM_NTASKS": "4", "SLURM_NTASKS_PER_NODE": "2", "SLURM_STEP_ID": "0",
    "SLURM_JOB_NAME": "train.sh",
}  # fmt: skip
SCRIPT = {key: value for key, value in SRUN.items() if key != "SLURM_STEP_ID"} | {
    "SLURM_PROCID": "0"
}


@pytest.mark.parametrize(
    ("environ", "devices", "nodes"),
    [
        ({}, 1, 1),
        ({}, 4, 1),  # Lightning starts the other processes.
        (TORCHRUN, 2, 2),
        (SRUN, 2, 2),
        (SRUN | {"SLURM_NTASKS": "1", "SLURM_NTASKS_PER_NODE": "1"}, 1, 1),
        ({"SLURM_NTASKS": "1", "SLURM_STEP_ID": "0"}, 1, 1),
        (SCRIPT, 1, 1),  # one process of a job with room for more
        (SRUN | {"SLURM_JOB_NAME": "interactive"}, 1, 1),  # an interactive shell
        (SRUN | {"SLURM_JOB_NAME": "bash"}, 8, 1),
        ({"WORLD_SIZE": "2", "LOCAL_RANK": "1"}, 2, 1),  # a process that Lightning started
        ({"WORLD_SIZE": "many"}, 1, 1),
        (SRUN | TORCHRUN, 2, 2),  # With torchrun inside SLURM, torchrun is the launcher.
    ],
)
def test_launch_is_accepted_when_environment_and_config_agree(environ, devices, nodes):
    check_started(devices * nodes, num_nodes=nodes, environ=environ)


@pytest.mark.parametrize(
    ("environ", "devices", "nodes", "message"),
    [
        (TORCHRUN, 1, 1, "torchrun started 4 processes, but trainer.num_nodes=1 x trainer.dev"),
        (TORCHRUN, 1, 1, "make 1. Choose trainer.num_nodes=2 trainer.devices=2"),
        (TORCHRUN, 8, 1, "make 8"),
        (SRUN | TORCHRUN, 1, 1, "torchrun started 4"),
        (SRUN, 1, 1, "srun started 4 processes, but trainer.num_nodes=1 x trainer.devices=1 make"),
        (SRUN, 4, 2, "Choose --nodes=2 --ntasks-per-node=4"),
        (SRUN, 4, 1, "--ntasks-per-node=2, but trainer.num_nodes=1 x trainer.devices=4"),
        (SCRIPT, 2, 2, "Put srun before it, and choose --nodes=2 --ntasks-per-node=2"),
        ({"SLURM_NTASKS": "1"}, 4, 1, "Put srun before it"),
        ({"SLURM_NTASKS": "4", "SLURM_STEP_ID": "0"}, 4, 1, "--nodes=1 --ntasks-per-node=4"),
        ({"WORLD_SIZE": "4", "RANK": "2"}, 1, 1, "unset WORLD_SIZE"),
    ],
)  # fmt: skip
def test_launch_is_refused_when_environment_and_config_disagree(environ, devices, nodes, message):
    with pytest.raises(UserError) as error:
        check_started(devices * nodes, num_nodes=nodes, environ=environ)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("environ", "number"),
    [({}, 0), (TORCHRUN, 4), (SRUN, 4), (SCRIPT, 1), ({"WORLD_SIZE": "2"}, 0)],
)
def test_processes_of_a_launcher_are_counted(environ, number):
    assert started_outside(environ) == number
