"""The settings that a run keeps on another number of processes."""

import logging
from types import SimpleNamespace

import pytest
from torch import nn

from limner.config.build import build
from limner.errors import UserError
from limner.training.batch_size import DeviceCounts, fitting_batch_size, inexact

SAVED = {"batch_size": 48, "world_size": 2}


@pytest.mark.parametrize(("num_processes", "expected"), [(1, 48), (2, 24), (3, 16), (48, 1)])
def test_fitting_batch_size_keeps_the_images_of_a_step_for_all_processes_together(
    caplog, num_processes, expected
):
    caplog.set_level(logging.INFO)
    fitting = fitting_batch_size(24, saved=SAVED, num_processes=num_processes)
    assert fitting == expected
    said = (
        f"data.batch_size={expected} instead of 24, since an optimizer step of this run takes 48"
    )
    assert (said in caplog.text) == (expected != 24)


def test_fitting_batch_size_of_a_new_run_is_the_requested_one(caplog):
    assert fitting_batch_size(24, saved={}, num_processes=3) == 24
    assert not caplog.text


@pytest.mark.parametrize("num_processes", [5, 96])
def test_fitting_batch_size_refuses_a_number_of_processes_that_does_not_divide_the_images(
    num_processes,
):
    with pytest.raises(UserError) as error:
        fitting_batch_size(24, saved=SAVED, num_processes=num_processes)
    assert f"takes 48 images, which {num_processes} processes cannot share" in str(error.value)
    assert "trainer.devices" in str(error.value)


@pytest.mark.parametrize(
    ("model", "name"),
    [
        (["model=vae"], None),
        (["model=gan", "network=mlp"], None),
        (["model=gan", "network=dcgan"], "BatchNorm2d"),
        (["model=classifier"], "BatchNorm2d"),
        (["model=classifier", "network=mlp"], None),
    ],
)
def test_inexact_names_the_layers_of_models_that_do_not_resume_exactly(composed, model, name):
    made = build(composed(*model), "model")
    why = inexact(made, sync_batchnorm=False)
    assert why is None if name is None else why.startswith(name)
    assert inexact(made, sync_batchnorm=True) is None


def test_inexact_names_dropout_only_if_its_probability_is_above_0():
    assert "Dropout2d draws" in inexact(nn.Sequential(nn.Dropout2d(0.1)), sync_batchnorm=True)
    assert inexact(nn.Sequential(nn.Dropout(0.0)), sync_batchnorm=True) is None


@pytest.mark.parametrize(
    ("model", "now", "said"),
    [
        (
            nn.Linear(1, 1),
            1,
            "The run resumes on 1 process instead of 2 processes. The results differ only",
        ),
        (
            nn.BatchNorm1d(1),
            4,
            "The run resumes on 4 processes instead of 2 processes. The results will differ",
        ),
        (nn.BatchNorm1d(1), 2, ""),
    ],
)
def test_checkpoint_states_its_processes_and_a_change_is_reported(caplog, model, now, said):
    caplog.set_level(logging.INFO)
    checkpoint = {"limner": {"version": "1"}}
    callback = DeviceCounts(sync_batchnorm=False)
    data = SimpleNamespace(batch_size=24)
    callback.on_save_checkpoint(SimpleNamespace(world_size=2, datamodule=data), model, checkpoint)
    assert checkpoint == {"limner": SAVED | {"version": "1"}}
    callback.on_load_checkpoint(SimpleNamespace(world_size=now), model, checkpoint)
    assert caplog.messages[0].startswith(said) if said else not caplog.messages
