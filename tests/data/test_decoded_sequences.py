import logging

import pytest
import torch
from PIL import Image

from limner.data import decoded_sequences
from limner.errors import UserError
from limner.files.videos import write_gif
from support.clips import corners, opened, write_clips, write_frames


@pytest.fixture
def clips(tmp_path):
    """Return a folder with 4 sequences of 5 frames."""
    return write_clips(tmp_path / "clips", 4, num_frames=5)


def spoil(path):
    path.write_bytes(path.read_bytes()[:40])


def test_frames_are_decoded_once(clips, monkeypatch):
    first = opened(clips).stores["train"]
    monkeypatch.setattr(decoded_sequences, "_decode_all", None)
    again = opened(clips, num_frames=2, memory_limit_gib=0.0).stores["train"]
    assert torch.equal(first.frames, again.frames)
    assert (first.waits, again.waits) == (False, True)
    assert opened(clips, store="mapped").stores["train"].waits


def test_frames_cover_the_square_and_their_centre_is_cut_out(tmp_path):
    (tmp_path / "clip").mkdir()
    picture = Image.new("RGB", (30, 10), (255, 0, 0))
    picture.paste((0, 0, 255), (10, 0, 20, 10))
    picture.save(tmp_path / "clip" / "0.png")
    store = opened(tmp_path, num_frames=1).stores["train"]
    assert store.frames[0].flatten(1).T.unique(dim=0).tolist() == [[0, 0, 255]]
    grey = opened(tmp_path, num_frames=1, image_shape=[1, 5, 5]).stores["train"]
    assert grey.frames.shape == (1, 1, 5, 5)


def test_transparent_frames_show_the_background(tmp_path):
    (tmp_path / "clip").mkdir()
    Image.new("RGBA", (10, 10), (0, 0, 0, 0)).save(tmp_path / "clip" / "0.png")
    for colour in ((255, 255, 255), (1, 2, 3)):
        store = opened(tmp_path, num_frames=1, background=colour).stores["train"]
        assert store.frames[0, :, 0, 0].tolist() == [*colour]
        assert store.background == "#" + bytes(colour).hex()


def test_corrupt_frame_is_named(clips):
    spoil(clips / "clip_1" / "3.png")
    with pytest.raises(UserError, match=r"clip_1/3\.png cannot be read"):
        opened(clips)
    spoil(clips / "clip_2" / "5.png")
    with pytest.raises(UserError, match=r"2 of 4 sequences cannot be read:") as caught:
        opened(clips)
    assert "clip_1/3.png" in str(caught.value)
    assert "clip_2/5.png" in str(caught.value)
    assert "data.on_corrupt=skip" in str(caught.value)


def test_sequence_with_a_corrupt_frame_is_left_out_as_a_whole(clips, caplog):
    spoil(clips / "clip_1" / "3.png")
    with caplog.at_level(logging.WARNING):
        found = opened(clips, on_corrupt="skip", num_frames=5)
    assert found.names == ["clip_0", "clip_2", "clip_3"]
    assert [row[0] for row in corners(found.stores["train"])] == [0, 40, 60]
    assert "clip_1/3.png" in caplog.text
    assert "Sequences that cannot be read were left out: 1" in caplog.text


def test_damaged_gif_is_named(tmp_path):
    frames = torch.randint(256, (5, 1, 16, 16)).byte()
    path = write_gif(tmp_path / "clip.gif", frames, frames_per_second=10)
    path.write_bytes(b"GIF89a" + bytes(20))
    with pytest.raises(UserError, match=r"clip\.gif"):
        opened(tmp_path)


def test_short_sequences_are_named_or_left_out(clips, caplog):
    write_frames(clips / "clip_4", 2)
    with pytest.raises(UserError, match=r"1 of 5 sequences has fewer than the data") as caught:
        opened(clips)
    assert "clip_4 (2)" in str(caught.value)
    assert "data.num_frames=3" in str(caught.value)
    with caplog.at_level(logging.WARNING):
        found = opened(clips, on_corrupt="skip")
    assert found.names == [f"clip_{i}" for i in range(4)]
    assert len(found.stores["train"]) == 4
    assert "They are left out" in caplog.text
    with pytest.raises(UserError, match="5 of 5 sequences"):
        opened(clips, on_corrupt="skip", num_frames=6)


@pytest.mark.parametrize(
    ("lengths", "num_frames", "remedy"),
    [
        ([5, 3], 4, r"sum of 3 at most, or leave such\nsequences out: data.on_corrupt=skip$"),
        ([5, 1], 4, r"\nLeave such sequences out: data.on_corrupt=skip$"),
        ([3, 2], 4, r"The longest has 3.\nChoose .* with a sum of 3 at most.$"),
        ([1], 4, r"1 of 1 sequences has .*\n.*\nA sequence needs two frames or more"),
    ],
)
def test_advice_for_short_sequences_would_help(tmp_path, lengths, num_frames, remedy):
    for i, length in enumerate(lengths):
        write_frames(tmp_path / "clips" / f"clip_{i}", length)
    with pytest.raises(UserError, match=remedy):
        opened(tmp_path / "clips", num_frames=num_frames)


@pytest.mark.parametrize("name", ["frames.bin", "lengths.npy", "about.json"])
def test_damaged_cache_is_made_again(clips, tmp_path, monkeypatch, caplog, name):
    monkeypatch.setenv("LIMNER_CACHE", str(tmp_path / "cache"))
    before = opened(clips).stores["train"]
    (file,) = (tmp_path / "cache" / "sequences").glob(f"*/{name}")
    spoil(file)
    with caplog.at_level(logging.WARNING):
        after = opened(clips).stores["train"]
    assert "decoding them again" in caplog.text
    assert torch.equal(before.frames, after.frames)
