import logging
import sys

import pytest
import torch
from PIL import Image

import limner
from limner.errors import UserError
from limner.files.videos import write_gif, write_video
from support import clips, fakes
from support.clips import corners, opened


def test_each_folder_is_a_sequence_of_frames_in_natural_order(tmp_path):
    clips.write_clips(tmp_path / "clips", 12, num_frames=11)
    found = opened(tmp_path / "clips", num_frames=11)
    assert list(found.stores) == ["train"]
    assert found.names == [f"clip_{i}" for i in range(12)]
    assert corners(found.stores["train"]) == [[20 * i + t for t in range(11)] for i in range(12)]


def test_zip_file_equals_its_folder(tmp_path):
    folder = clips.write_clips(tmp_path / "clips", 3)
    whole, packed = opened(folder).stores["train"], opened(fakes.zipped(folder)).stores["train"]
    assert torch.equal(whole.frames, packed.frames)
    assert whole.fingerprint == packed.fingerprint


def test_folders_of_splits_are_splits_and_folders_around_them_have_no_meaning(tmp_path):
    for number, name in enumerate(["train/walk/a", "train/run/b", "val/walk/c", "test/d"]):
        clips.write_frames(tmp_path / "top" / "data" / name, 3, number=number)
    found = opened(tmp_path / "top")
    assert {split: corners(store) for split, store in found.stores.items()} == {
        "train": [[20, 21, 22], [0, 1, 2]], "validation": [[40, 41, 42]], "test": [[60, 61, 62]],
    }  # fmt: skip
    assert found.names == ["data/train/run/b", "data/train/walk/a"]


def test_folder_with_frames_only_is_one_sequence(tmp_path):
    found = opened(clips.write_frames(tmp_path / "clip", 5))
    assert found.names == ["clip"]
    assert found.stores["train"].lengths.tolist() == [5]


def test_gif_and_video_files_are_sequences_beside_folders(tmp_path):
    pytest.importorskip("av")
    clips.write_frames(tmp_path / "a_folder", 4)
    frames = torch.full((5, 3, 10, 12), 100, dtype=torch.uint8)
    write_gif(tmp_path / "b.gif", frames, frames_per_second=10)
    write_video(tmp_path / "c.mp4", frames, frames_per_second=10)
    found = opened(tmp_path)
    assert found.names == ["a_folder", "b", "c"]
    assert found.stores["train"].lengths.tolist() == [4, 5, 5]
    last = found.stores["train"].gather(torch.tensor([1, 2])).int()
    assert (last - 100).abs().max() <= 4


def test_video_without_pyav_is_refused_with_the_extra(tmp_path, monkeypatch):
    clips.write_frames(tmp_path / "a", 4)
    (tmp_path / "b.mp4").write_bytes(b"x")
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(UserError, match=r"1 video files, such as b\.mp4") as caught:
        opened(tmp_path)
    assert 'pip install "limner[video]"' in str(caught.value)
    (tmp_path / "b.mp4").unlink()
    assert opened(tmp_path).names == ["a"]


def test_path_without_sequences_is_refused(tmp_path):
    (tmp_path / "clips").mkdir()
    with pytest.raises(UserError, match="is empty"):
        opened(tmp_path / "clips")
    (tmp_path / "clips" / "a.txt").write_text("x")
    with pytest.raises(UserError, match=r"has no image; .*\.mp4"):
        opened(tmp_path / "clips")
    with pytest.raises(UserError, match="does not exist"):
        opened(tmp_path / "gone")


def test_files_that_are_no_frames_are_counted(tmp_path, caplog):
    clips.write_frames(tmp_path / "a", 3)
    (tmp_path / "a" / "notes.txt").write_text("x")
    with caplog.at_level(logging.INFO):
        opened(tmp_path)
    assert "limner leaves out 1 file that it does not read" in caplog.text
    assert "1 .txt" in caplog.text


def test_open_data_reads_a_folder_in_python(tmp_path):
    folder = clips.write_clips(tmp_path / "clips", 6)
    data = limner.open_data(
        "frame_folders", path=str(folder), image_size=8, num_inputs=3, num_targets=2,
        num_channels=1, batch_size=2,
    )  # fmt: skip
    store, indices = data.split("train")
    assert store.gather(indices[:2]).shape == (2, 5, 1, 8, 8)
    assert "4 train, 1 validation, 1 test sequence of 3 + 2 frames of 1x8x8" in data.describe()


def test_group_keeps_sequences_of_one_name_in_one_split(tmp_path):
    for number in range(12):
        clips.write_frames(tmp_path / f"person{number % 4}_{number}", 3, number=number)
    data = limner.open_data(
        "frame_folders", path=str(tmp_path), image_size=8, num_inputs=1, num_targets=1,
        group="^(person[0-9]+)", validation_fraction=0.25, test_fraction=0.25,
    )  # fmt: skip
    persons = {}
    for split in ("train", "validation", "test"):
        store, indices = data.split(split)
        values = store.gather(indices)[:, 0, 0, 0, 0] // 20
        persons[split] = {int(value) % 4 for value in values}
    assert sum(map(len, persons.values())) == 4
    assert all(persons.values())


def test_changed_frame_is_decoded_again(tmp_path):
    folder = clips.write_clips(tmp_path / "clips", 2)
    before = opened(folder).stores["train"].fingerprint
    Image.new("RGB", (12, 10), (9, 9, 9)).save(folder / "clip_0" / "1.png")
    after = opened(folder).stores["train"]
    assert after.fingerprint != before
    assert corners(after)[0][0] == 9
