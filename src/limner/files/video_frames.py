"""Decoding of GIF and video files, frame by frame, from open files that are not trusted.

GIF files need Pillow only. Other videos need PyAV, which is the extra `limner[video]` and contains
ffmpeg. A video is read as the format that its suffix states, and from an open file, so that a
playlist cannot name further files.
"""

__all__ = [
    "GIF", "GIF_TICK", "MAX_FRAMES", "MAX_RATE", "RATE", "VIDEO_SUFFIXES", "MissingPyAV",
    "frames_in", "gif_ticks", "pyav", "rate_in",
]  # fmt: skip

import itertools
import re
from collections.abc import Iterator
from fractions import Fraction
from types import ModuleType
from typing import BinaryIO

from PIL import Image, ImageSequence

from limner.files.pictures import MAX_BYTES, MAX_PIXELS, open_picture
from limner.files.plain import NotPlainError

GIF = ".gif"
CONTAINERS = {
    ".avi": "avi", ".m4v": "mov", ".mkv": "matroska", ".mov": "mov", ".mp4": "mov",
    ".webm": "matroska",
}  # fmt: skip
"""Suffix of a video file -> ffmpeg's name of its format."""
VIDEO_SUFFIXES = (GIF, *CONTAINERS)
"""Endings of the names of files with several frames, in lower case."""
MAX_FRAMES = 1_000_000
"""Largest number of frames of a file."""
RATE = re.compile(rb"limner frames_per_second=(\d{1,9}(?:/\d{1,9})?)")
"""Comment in a GIF of limner, since PIL stores equal neighbours as one frame that lasts longer."""
MAX_RATE = 1000
"""Largest number of frames per second of a file."""
GIF_TICK = 10
"""Unit in milliseconds of the duration of a GIF's frame."""


class MissingPyAV(NotPlainError):
    """A video file that only PyAV could read or write, which is not installed."""


def frames_in(file: BinaryIO, suffix: str) -> Iterator[Image.Image]:
    """Yield the decoded frames of an open file; each is valid until the next is read.

    Args:
        file: Open binary file that can seek.
        suffix: Suffix of the file's name in lower case.

    Raises:
        MissingPyAV: If the file needs PyAV, which is not installed.
        NotPlainError: If the file is no video of this format, is damaged, or has too many frames.
    """
    if suffix not in VIDEO_SUFFIXES:
        raise NotPlainError(f"is no video: the suffix must be one of {', '.join(VIDEO_SUFFIXES)}")
    frames = _of_gif(file) if suffix == GIF else _of_video(file, CONTAINERS[suffix])
    try:
        for number, frame in enumerate(frames):
            if number == MAX_FRAMES:
                raise NotPlainError(f"has more than {MAX_FRAMES:,} frames; cut it first")
            yield frame
    except NotPlainError:
        raise
    except Exception as error:  # an untrusted file may cause any exception in PIL and PyAV
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        reason = reason or type(error).__name__
        raise NotPlainError(f"is damaged ({reason})") from error


def rate_in(file: BinaryIO, suffix: str) -> float | None:
    """Return the frames per second that an open file states, above 0 and at most 1000; else None.

    A GIF of another program may give each frame its own time; that of the first frame counts.

    Args:
        file: Open binary file that can seek.
        suffix: Suffix of the file's name in lower case.
    """
    try:
        if suffix == GIF:
            picture = Image.open(file, formats=["GIF"])
            rate = _limner_rate(picture) or Fraction(1000) / int(picture.info["duration"])
        else:
            with pyav().open(file, format=CONTAINERS[suffix]) as video:
                rate = video.streams.video[0].average_rate
        return float(rate) if 0 < rate <= MAX_RATE else None
    except Exception:  # an untrusted file may cause any exception in PIL and PyAV
        return None


def gif_ticks(rate: Fraction) -> int:
    """Return the duration of a frame in a GIF in ticks of 10 ms; viewers slow down below 2."""
    return max(2, round(1000 / GIF_TICK / rate))


def pyav() -> ModuleType:
    """Return the module `av`.

    Raises:
        MissingPyAV: If PyAV is not installed.
    """
    try:
        import av
    except ImportError as error:
        raise MissingPyAV('needs PyAV: pip install "limner[video]"') from error
    return av


def _of_gif(file: BinaryIO) -> Iterator[Image.Image]:
    content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise NotPlainError(f"is too large ({MAX_BYTES:,} bytes at most)")
    picture = open_picture(content)
    if picture.format != "GIF":
        raise NotPlainError(f"is a {picture.format} file with the suffix {GIF}")
    rate = _limner_rate(picture)
    for frame in ImageSequence.Iterator(picture):
        frame.load()
        yield from itertools.repeat(frame, _repeats(frame, rate))


def _limner_rate(picture: Image.Image) -> Fraction | None:
    """Return the rate that a GIF of limner states; None for GIFs of other programs."""
    comment = picture.info.get("comment", b"")
    found = RATE.fullmatch(comment if isinstance(comment, bytes) else b"")
    return None if found is None else Fraction(found[1].decode())


def _repeats(frame: Image.Image, rate: Fraction | None) -> int:
    """Return how many frames of limner a stored frame stands for; 1 in GIFs of other programs."""
    if not rate:
        return 1
    return max(1, round(frame.info.get("duration", 0) / (gif_ticks(rate) * GIF_TICK)))


def _of_video(file: BinaryIO, container: str) -> Iterator[Image.Image]:
    with pyav().open(file, format=container) as video:
        if not video.streams.video:
            raise NotPlainError("has no video stream")
        for frame in video.decode(video=0):
            if frame.width * frame.height > MAX_PIXELS:
                raise NotPlainError(f"has more than {MAX_PIXELS:,} pixels; scale it down first")
            yield Image.fromarray(frame.to_ndarray(format="rgb24"))
