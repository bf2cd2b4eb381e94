import copy
import itertools
import warnings

import lightning as L
import pytest
import torch

from limner.augmentations.flip import HorizontalFlip
from limner.data import FrameFolders, SequenceDataModule
from limner.errors import UserError
from limner.pixels import to_float
from support import clips
from support.clips import Watcher


@pytest.fixture
def folder(tmp_path):
    """Return a folder of 10 sequences of 12 frames."""
    return clips.write_clips(tmp_path / "clips", 10)


@pytest.fixture
def opened(folder):
    """Return a function that opens the sequences with other values of some arguments."""

    def make(path=folder, **changes):
        arguments = {
            "name": "clips", "source": FrameFolders(path=str(path)), "num_channels": 3,
            "image_size": 8, "num_inputs": 3, "num_targets": 2, "num_frames": None, "group": None,
            "image_shape": None, "num_classes": 0, "batch_size": 2,
            "augmentation": HorizontalFlip(probability=0.5), "validation_fraction": 0.2,
            "test_fraction": 0.1, "split_seed": 0, "seed": 0, "store": "auto",
            "memory_limit_gib": 1.0, "on_corrupt": "error", "background": "white",
        }  # fmt: skip
        data = SequenceDataModule(**arguments | changes)
        data.open()
        return data

    return make


def fit(model, data, *, max_steps=4, **options):
    with warnings.catch_warnings(action="ignore"):
        trainer = L.Trainer(
            max_steps=max_steps, accelerator="cpu", logger=False, enable_checkpointing=False,
            enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0,
            **options,
        )  # fmt: skip
        trainer.fit(model, data)
    return model.seen


def test_facts_follow_from_the_arguments(opened):
    data = opened(image_size=6, num_channels=1)
    assert (data.image_shape, data.num_frames, data.num_classes) == ([1, 6, 6], 5, 0)
    assert data.has_frames
    assert data.protocol() == {"num_inputs": 3, "num_targets": 2}
    assert opened(num_frames=5).num_frames == 5


def test_model_gets_windows_to_train_on_and_first_frames_to_validate_on(opened):
    data = opened()
    seen = fit(Watcher(), data, max_steps=3)
    assert {tuple(frames.shape) for frames in seen["train"]} == {(2, 5, 3, 8, 8)}
    store, indices = data.split("validation")
    assert torch.equal(torch.cat(seen["val"]), to_float(store.gather(indices)))
    starts = {int((x[0, 0, 0, 0] + 1) * 127.5 + 0.5) % 20 for b in seen["train"] for x in b}
    assert len(starts) > 1


def test_splits_share_no_sequence_and_depend_on_the_split_seed_only(opened):
    data, same, other = opened(), opened(seed=5), opened(split_seed=1)
    parts = {split: data.split(split)[1].tolist() for split in ("train", "validation", "test")}
    assert sorted(itertools.chain(*parts.values())) == list(range(10))
    assert [len(part) for part in parts.values()] == [7, 2, 1]
    assert parts == {split: same.split(split)[1].tolist() for split in parts}
    assert parts != {split: other.split(split)[1].tolist() for split in parts}


def test_reference_is_the_published_split(opened):
    data = opened()
    store, indices = data.reference("train")
    assert len(indices) == 9, "validation sequences are cut from the training sequences"
    assert store.gather(indices[:2]).shape == (2, 5, 3, 8, 8)
    assert data.reference("test")[1].tolist() == data.split("test")[1].tolist()
    assert data.originals("test")[1].tolist() == data.split("test")[1].tolist()
    with pytest.raises(UserError, match="split=other"):
        data.split("other")


def test_description_names_the_numbers(opened):
    assert opened().describe() == (
        "clips: 7 train, 2 validation, 1 test sequence of 3 + 2 frames of 3x8x8"
    )


def test_training_without_validation_sequences_has_no_validation(opened):
    seen = fit(Watcher(), opened(validation_fraction=0.0), max_steps=1)
    assert seen["val"] == []


def test_changed_frames_are_refused_when_a_run_is_resumed(opened, folder):
    state = copy.deepcopy(opened().state_dict())
    opened().load_state_dict(state)
    clips.write_frames(folder / "clip_3", 12, number=9)
    with pytest.raises(UserError, match="training images of clips differ"):
        opened().load_state_dict(state)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_inputs": 0}, r"data\.num_inputs=0: must be 1 or more"),
        ({"num_targets": 0}, r"data\.num_targets=0: must be 1 or more"),
        ({"image_size": 0}, r"data\.image_size=0: must be 1 or more"),
        ({"batch_size": 0}, r"data\.batch_size=0: must be 1 or more"),
        ({"num_channels": 4}, r"data\.num_channels=4: must be 1 \(grey\) or 3"),
        ({"num_frames": 6}, r"data\.num_frames=6: it is .* = 5; set these two"),
        ({"image_shape": [3, 9, 9]}, r"data\.image_shape=\[3, 9, 9\]: it is \[3, 8, 8\]"),
        ({"store": "streamed"}, r"data\.store=streamed: .* choose auto, memory or mapped"),
        ({"validation_fraction": 1.0}, r"data\.validation_fraction=1\.0"),
        ({"num_inputs": 99}, r"10 of 10 sequences have fewer"),
        ({"group": "("}, "no regular expression"),
    ],
)
def test_values_that_do_not_fit_are_refused(opened, changes, message):
    with pytest.raises(UserError, match=message):
        opened(**changes)
