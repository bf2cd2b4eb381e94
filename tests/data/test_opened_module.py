"""What all data modules share whose stores are opened once: the loaders, the device, the state."""

from types import SimpleNamespace

import pytest
import torch

from limner.data import opened_module
from limner.data.opened_module import OpenedDataModule
from limner.errors import UserError


class Store:
    fingerprint, num_bytes = "pixels", 100

    def __init__(self, *, waits=False, moved_to=None):
        self.waits, self.moved_to = waits, moved_to

    def __len__(self):
        return 7

    def to(self, device):
        return Store(moved_to=device)


class Opened(OpenedDataModule):
    def split(self, name):
        return self._stores[name], torch.arange(7)

    def _evaluation(self, split):
        return f"batches of {split}"


def opened(**changes):
    arguments = {
        "name": "some", "source": None, "num_channels": 3, "batch_size": 4, "augmentation": None,
        "validation_fraction": 0.1, "test_fraction": 0.1, "split_seed": 0, "seed": 5,
        "store": "auto", "memory_limit_gib": 1.0, "on_corrupt": "error", "background": "white",
    }  # fmt: skip
    data = Opened(**arguments | changes)
    data._stores = {"train": Store()}
    data.trainer = SimpleNamespace(
        strategy=SimpleNamespace(root_device=torch.device("meta")), global_rank=1, world_size=2,
        global_step=9, lightning_module=SimpleNamespace(batches_per_update=3),
    )  # fmt: skip
    return data


def test_store_is_moved_to_the_accelerator_once_for_each_key(monkeypatch):
    monkeypatch.setattr(opened_module, "fits_device", lambda num_bytes, device: True)
    data, store = opened(), Store()
    near = data._near(store)
    assert near.moved_to == torch.device("meta")
    assert data._near(store) is near
    assert data._near(store, "b") is not near
    waiting = Store(waits=True)
    assert data._near(waiting, "c") is waiting, "a store on disk is read ahead, not moved"


def test_store_that_is_too_large_stays(monkeypatch):
    monkeypatch.setattr(opened_module, "fits_device", lambda num_bytes, device: False)
    store = Store()
    assert opened()._near(store) is store


def test_training_batches_know_the_process_and_the_update():
    found = opened()._training_options()
    assert found.pop("update")() == 9
    assert found == {
        "batch_size": 4, "batches_per_update": 3, "seed": 5, "rank": 1, "world_size": 2,
        "augmentation": None, "layout": torch.contiguous_format,
    }  # fmt: skip


def test_state_detects_other_samples():
    data = opened()
    data._files = "a"
    state = data.state_dict()
    data.load_state_dict(state)
    with pytest.raises(UserError, match="The training images of some differ"):
        data.load_state_dict({**state, "pixels": "others", "files": "b"})


def test_loaders_and_originals_follow_the_splits():
    data = opened()
    assert (data.val_dataloader(), data.test_dataloader()) == (
        "batches of validation", "batches of test",
    )  # fmt: skip
    assert data.originals("train")[0] is data.split("train")[0]


def test_fractions_that_leave_no_samples_are_refused():
    with pytest.raises(UserError, match=r"validation_fraction=0\.6"):
        opened(validation_fraction=0.6, test_fraction=0.5)
