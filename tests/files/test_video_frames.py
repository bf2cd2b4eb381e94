import io
import os
from fractions import Fraction

import pytest
import torch
from PIL import Image

from limner.files import video_frames
from limner.files.plain import NotPlainError
from limner.files.video_frames import VIDEO_SUFFIXES, frames_in, gif_ticks, rate_in
from limner.files.videos import read_frames, write_gif, write_video


@pytest.fixture
def clip(tmp_path):
    frames = torch.arange(4).byte()[:, None, None, None].expand(-1, 1, 8, 8) * 60
    return write_gif(tmp_path / "clip.gif", frames, frames_per_second=10)


def test_frames_in_yields_the_frames_of_a_gif(clip):
    with clip.open("rb") as file:
        values = [frame.convert("L").getpixel((0, 0)) for frame in frames_in(file, ".gif")]
    assert values == [0, 60, 120, 180]


def test_gif_ticks_are_hundredths_of_a_second_and_at_least_two():
    assert [gif_ticks(Fraction(rate)) for rate in (1, 10, 50, 1000)] == [100, 10, 2, 2]


def test_rate_in_is_the_rate_that_a_gif_or_a_video_states(tmp_path):
    frames = torch.randint(256, (4, 1, 8, 8)).byte()
    write_gif(tmp_path / "a.gif", frames, frames_per_second=12.5)
    other = [Image.new("L", (8, 8), 60 * i) for i in range(3)]
    other[0].save(tmp_path / "b.gif", save_all=True, append_images=other[1:], duration=40)
    other[0].save(tmp_path / "c.gif", save_all=True, append_images=other[1:], duration=0)
    rates = [rate_in(io.BytesIO(p.read_bytes()), ".gif") for p in sorted(tmp_path.iterdir())]
    assert rates == [12.5, 25, None]
    assert rate_in(io.BytesIO(b"GIF89a"), ".gif") is None
    pytest.importorskip("av")
    film = write_video(tmp_path / "a.mp4", frames, frames_per_second=12.5)
    assert rate_in(io.BytesIO(film.read_bytes()), ".mp4") == 12.5


def test_message_about_a_damaged_video_states_the_reason_alone():
    pytest.importorskip("av")
    with pytest.raises(
        NotPlainError, match=r"^is damaged \(Invalid data found when processing in"
    ):
        list(frames_in(io.BytesIO(bytes(1000)), ".mp4"))
    with pytest.raises(NotPlainError) as error:
        list(frames_in(io.BytesIO(bytes(1000)), ".mp4"))
    assert "Errno" not in str(error.value)


@pytest.mark.parametrize("suffix", VIDEO_SUFFIXES)
@pytest.mark.parametrize(
    "content",
    [b"", b"GIF89a", os.urandom(1000), b"#EXTM3U\n#EXTINF:1\n/etc/passwd\n",
     b"ffconcat version 1.0\nfile /etc/passwd\n"],
    ids=["empty", "header", "random", "playlist", "concat"],
)  # fmt: skip
def test_damaged_and_hostile_files_are_refused(suffix, content):
    pytest.importorskip("av")
    with pytest.raises(NotPlainError):
        list(frames_in(io.BytesIO(content), suffix))


def test_truncated_video_is_refused(tmp_path):
    pytest.importorskip("av")
    frames = torch.randint(256, (8, 3, 32, 32)).byte()
    path = write_video(tmp_path / "clip.mp4", frames, frames_per_second=5)
    path.write_bytes(path.read_bytes()[:400])
    with pytest.raises(NotPlainError, match="is damaged"):
        read_frames(path)


def test_picture_with_the_suffix_of_a_gif_is_refused(tmp_path):
    Image.new("L", (4, 4)).save(tmp_path / "x.png")
    with pytest.raises(NotPlainError, match=r"PNG file with the suffix \.gif"):
        list(frames_in((tmp_path / "x.png").open("rb"), ".gif"))


def test_file_with_another_suffix_is_refused(tmp_path):
    with pytest.raises(NotPlainError, match=r"must be one of \.gif, \.avi"):
        list(frames_in(io.BytesIO(b"x"), ".txt"))


def test_comment_with_a_rate_of_zero_or_too_many_digits_changes_nothing(tmp_path):
    for rate in ("0", "0/7", "9" * 5000, "1/0"):
        first, second = (Image.new("L", (4, 4), value) for value in (0, 255))
        path = tmp_path / "x.gif"
        first.save(
            path, save_all=True, append_images=[second], duration=100,
            comment=f"limner frames_per_second={rate}".encode(),
        )  # fmt: skip
        if rate == "1/0":
            with pytest.raises(NotPlainError):
                list(frames_in(path.open("rb"), ".gif"))
        else:
            assert len(list(frames_in(path.open("rb"), ".gif"))) == 2


def test_too_many_frames_are_refused(clip, monkeypatch):
    monkeypatch.setattr(video_frames, "MAX_FRAMES", 3)
    with pytest.raises(NotPlainError, match="more than 3 frames"):
        list(frames_in(clip.open("rb"), ".gif"))
