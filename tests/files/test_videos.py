import sys

import pytest
import torch
from PIL import Image

from limner.files import videos
from limner.files.plain import NotPlainError
from limner.files.videos import MissingPyAV, read_frames, write_frames, write_gif, write_video
from support import clips


@pytest.fixture
def grey():
    """Return 6 random grey frames; three in a row are equal."""
    frames = torch.randint(256, (6, 1, 9, 12), generator=torch.manual_seed(0)).byte()
    frames[2:4] = frames[1]
    return frames


def smooth(num_frames, channels, height, width):
    ramp = torch.linspace(0, 200, width).byte()
    frames = ramp.expand(num_frames, channels, height, width).clone()
    return frames + torch.arange(num_frames, dtype=torch.uint8)[:, None, None, None] * 10


def test_grey_gif_keeps_every_frame_to_the_bit(tmp_path, grey):
    for rate in (1, 5, 24, 50):
        path = write_gif(tmp_path / "clip.gif", grey, frames_per_second=rate)
        assert torch.equal(read_frames(path, num_channels=1), grey)
    assert torch.equal(read_frames(path), grey.expand(-1, 3, -1, -1))


def test_constant_gif_keeps_the_number_of_its_frames(tmp_path, grey):
    path = write_gif(tmp_path / "clip.gif", grey[:1].expand(7, -1, -1, -1), frames_per_second=9)
    assert torch.equal(read_frames(path, num_channels=1), grey[:1].expand(7, -1, -1, -1))


def test_gif_of_another_program_has_a_frame_for_each_stored_frame(tmp_path, grey):
    pictures = [Image.fromarray(frame[0].numpy()) for frame in grey[[0, 1, 4]]]
    path = tmp_path / "other.gif"
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=[100, 900, 100])
    assert torch.equal(read_frames(path, num_channels=1), grey[[0, 1, 4]])


def test_colour_gif_is_near_its_frames(tmp_path):
    frames = smooth(3, 3, 10, 14)
    frames[:, 1] = 255 - frames[:, 1]
    path = write_gif(tmp_path / "clip.gif", frames, frames_per_second=10)
    assert (read_frames(path).int() - frames.int()).abs().max() <= 16


def test_gif_is_scaled_down_to_its_largest_side(tmp_path):
    path = tmp_path / "clip.gif"
    for max_side, shape in ((None, (20, 40)), (64, (20, 40)), (10, (5, 10))):
        write_gif(path, smooth(2, 1, 20, 40), frames_per_second=10, max_side=max_side)
        assert read_frames(path).shape[2:] == shape


def test_read_frames_returns_the_chosen_part(tmp_path, grey):
    path = write_gif(tmp_path / "clip.gif", grey, frames_per_second=10)
    folder = tmp_path / "frames"
    write_frames(folder, grey)
    for each in (path, folder):
        assert torch.equal(read_frames(each, first=2, num_channels=1), grey[2:])
        assert torch.equal(read_frames(each, first=1, count=3, num_channels=1), grey[1:4])
        assert torch.equal(read_frames(each, count=99, num_channels=1), grey)
        with pytest.raises(NotPlainError, match=r"has no (pictures|frame)"):
            read_frames(each, first=6)


def test_folder_of_frames_is_read_in_natural_order(tmp_path):
    clips.write_frames(tmp_path / "clip", 12)
    (tmp_path / "clip" / "notes.txt").write_text("no frame")
    (tmp_path / "clip" / ".hidden.png").write_bytes(b"")
    frames = read_frames(tmp_path / "clip")
    assert frames.shape == (12, 3, 10, 12)
    assert frames[:, 0, 0, 0].tolist() == list(range(12))


def test_written_folder_of_frames_is_read_to_the_bit(tmp_path):
    frames = torch.randint(256, (1001, 3, 2, 2)).byte()
    assert [path.name for path in write_frames(tmp_path / "a", frames)][::1000] == [
        "0000.png", "1000.png",
    ]  # fmt: skip
    assert torch.equal(read_frames(tmp_path / "a"), frames)


def test_transparent_pixels_become_white(tmp_path):
    (tmp_path / "clip").mkdir()
    Image.new("RGBA", (2, 2), (0, 0, 0, 0)).save(tmp_path / "clip" / "0.png")
    assert read_frames(tmp_path / "clip").unique().tolist() == [255]


def test_video_of_any_size_is_near_its_frames(tmp_path):
    pytest.importorskip("av")
    for channels, (height, width) in ((1, (24, 32)), (3, (33, 41))):
        frames = smooth(5, channels, height, width)
        path = write_video(tmp_path / "clip.mp4", frames, frames_per_second=5)
        found = read_frames(path, num_channels=channels)
        assert found.shape == (5, channels, height + height % 2, width + width % 2)
        assert (found[..., :height, :width].float() - frames.float()).abs().mean() < 3
        assert read_frames(path, first=1, count=2).shape[0] == 2


def test_failed_write_keeps_the_file_of_before(tmp_path, grey, monkeypatch):
    path = write_gif(tmp_path / "clip.gif", grey, frames_per_second=10)
    before = path.read_bytes()

    def fail(*args, **kwargs):
        raise OSError("no space")

    monkeypatch.setattr(Image.Image, "save", fail)
    with pytest.raises(OSError, match="no space"):
        write_gif(path, grey + 1, frames_per_second=10)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.fixture
def without_pyav(monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)


@pytest.mark.usefixtures("without_pyav")
def test_videos_without_pyav_name_the_extra_and_gif_needs_none(tmp_path, grey):
    (tmp_path / "clip.mp4").write_bytes(b"x")
    with pytest.raises(MissingPyAV, match=r'pip install "limner\[video\]"'):
        read_frames(tmp_path / "clip.mp4")
    with pytest.raises(MissingPyAV, match="needs PyAV"):
        write_video(tmp_path / "new.mp4", grey, frames_per_second=10)
    assert not (tmp_path / "new.mp4").exists()
    write_gif(tmp_path / "clip.gif", grey, frames_per_second=10)
    assert len(read_frames(tmp_path / "clip.gif")) == 6


def test_frames_that_need_too_much_memory_are_refused(tmp_path, grey, monkeypatch):
    path = write_gif(tmp_path / "clip.gif", grey, frames_per_second=10)
    monkeypatch.setattr(videos, "MAX_FRAME_BYTES", 3 * 9 * 12 * 3)
    assert len(read_frames(path, count=3)) == 3
    with pytest.raises(NotPlainError, match="read fewer frames"):
        read_frames(path)


def test_frames_of_two_sizes_are_refused(tmp_path):
    clips.write_frames(tmp_path / "clip", 2)
    Image.new("RGB", (3, 3)).save(tmp_path / "clip" / "3.png")
    with pytest.raises(NotPlainError, match=r"frames of 12x10 pixels, and 3\.png of 3x3"):
        read_frames(tmp_path / "clip")
