"""What a run may keep, and what not, on another number of processes."""

import logging
from types import SimpleNamespace

import pytest
from torch import nn

from limner.config.build import build
from limner.errors import UserError
from limner.training.batch_size import DeviceCounts, fitting_batch_size, inexact

SAVED = {"batch_size": 48, "world_size": 2}


@pytest.mark.parametrize(("num_processes", "expected"), [(1, 48), (2, 24), (3, 16), (48, 1)])
def test_all_processes_together_keep_the_images_of_a_step(caplog, num_processes, expected):
    caplog.set_level(logging.INFO)
    fitting = fitting_batch_size(24, saved=SAVED, num_processes=num_processes)
    assert fitting == expected
    said = f"data.batch_size={expected} instead of 24: an optimizer step of this run takes 48"
    assert (said in caplog.text) == (expected != 24)


def test_a_new_run_has_the_batch_size_that_it_asks_for(caplog):
    assert fitting_batch_size(24, saved={}, num_processes=3) == 24
    assert not caplog.text


@pytest.mark.parametrize("num_processes", [5, 96])
def test_processes_that_cannot_share_the_images_are_refused(num_processes):
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
def test_which_models_go_on_exactly(composed, model, name):
    made = build(composed(*model), "model")
    why = inexact(made, sync_batchnorm=False)
    assert why is None if name is None else why.startswith(name)
    assert inexact(made, sync_batchnorm=True) is None


def test_dropout_makes_the_difference_if_it_drops_anything():
    assert "Dropout2d draws" in inexact(nn.Sequential(nn.Dropout2d(0.1)), sync_batchnorm=True)
    assert inexact(nn.Sequential(nn.Dropout(0.0)), sync_batchnorm=True) is None


@pytest.mark.parametrize(
    ("model", "now", "said"),
    [
        (nn.Linear(1, 1), 1, "From 2 processes to 1: the run goes on as it would have, up to"),
        (nn.BatchNorm1d(1), 4, "From 2 processes to 4: the run goes on, but not as it would"),
        (nn.BatchNorm1d(1), 2, ""),
    ],
)
def test_a_checkpoint_knows_its_processes_and_a_change_is_said(caplog, model, now, said):
    caplog.set_level(logging.INFO)
    checkpoint = {"limner": {"version": "1"}}
    callback = DeviceCounts(sync_batchnorm=False)
    data = SimpleNamespace(batch_size=24)
    callback.on_save_checkpoint(SimpleNamespace(world_size=2, datamodule=data), model, checkpoint)
    assert checkpoint == {"limner": SAVED | {"version": "1"}}
    callback.on_load_checkpoint(SimpleNamespace(world_size=now), model, checkpoint)
    assert caplog.messages[0].startswith(said) if said else not caplog.messages
