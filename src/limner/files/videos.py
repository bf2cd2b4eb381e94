"""Reading and writing of frames: GIF files, folders of pictures, and videos through PyAV.

Frames are one uint8 tensor (T, C, H, W). See `limner.files.video_frames` for the formats.
"""

__all__ = [
    "MAX_FRAME_BYTES", "VIDEO_SUFFIXES", "MissingPyAV", "frame_rate", "read_frames",
    "write_frames", "write_gif", "write_video",
]  # fmt: skip

import itertools
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from limner.files.atomic import atomic_file
from limner.files.natural_order import natural_key
from limner.files.pictures import SUFFIXES, load_picture
from limner.files.plain import NotPlainError, open_regular
from limner.files.video_frames import (
    GIF_TICK,
    VIDEO_SUFFIXES,
    MissingPyAV,
    frames_in,
    gif_ticks,
    pyav,
    rate_in,
)

MAX_BYTES = 2**32
"""Largest size of a video file, 4 GiB."""
MAX_FRAME_BYTES = 2**32
"""Largest size of the frames that are read at once, 4 GiB."""
MODES = {1: "L", 3: "RGB"}


def read_frames(
    path: Path, *, first: int = 0, count: int | None = None, num_channels: int = 3
) -> Tensor:
    """Return the frames of a GIF, a video file or a folder of pictures, uint8 (T, C, H, W).

    The pictures of a folder are in the natural order of their names, and must have one size.
    Transparent pixels become white.

    Args:
        path: A file with a suffix of `VIDEO_SUFFIXES`, or a folder.
        first: Number of the first frame to return, from 0.
        count: Largest number of frames to return; None for all.
        num_channels: Number of channels C: 1 (grey) or 3 (RGB).

    Raises:
        MissingPyAV: If the file needs PyAV, which is not installed.
        NotPlainError: If the file has another format, is damaged, is too large, or has no such
            frames.
    """
    path = Path(path)
    if path.is_dir():
        frames = _from_folder(path, first, count, num_channels)
        none = f"has no frame {first}" if first else "has no pictures, such as frame_1.png"
        return _stacked(frames, none)
    with open_regular(path, max_bytes=MAX_BYTES) as file:
        frames = frames_in(file, path.suffix.lower())
        chosen = itertools.islice(frames, first, _end(first, count))
        made = (_array(frame, num_channels) for frame in chosen)
        return _stacked(made, f"has no frame {first}" if first else "has no frames")


def frame_rate(path: Path) -> float | None:
    """Return the frames per second of a GIF or a video; None for a folder, or if unknown.

    Raises:
        NotPlainError: If the file is none, or is too large.
    """
    path = Path(path)
    if path.is_dir() or path.suffix.lower() not in VIDEO_SUFFIXES:
        return None
    with open_regular(path, max_bytes=MAX_BYTES) as file:
        return rate_in(file, path.suffix.lower())


def write_gif(
    path: Path, frames: Tensor, *, frames_per_second: float, max_side: int | None = None
) -> Path:
    """Write an endless GIF, and return its path; the file is complete or absent.

    Args:
        path: Path of the file, in an existing folder.
        frames: uint8 (T, C, H, W), where C is 1 or 3. Colour frames get 256 colours each.
        frames_per_second: Number of frames per second, at most 50 by the GIF format.
        max_side: Largest height and width in pixels; larger frames are scaled down. None for any.
    """
    pictures = [_bounded(picture, max_side) for picture in _pictures(frames)]
    rate = Fraction(frames_per_second).limit_denominator(1000)
    about = f"limner frames_per_second={rate}".encode()
    with atomic_file(Path(path), sync=False) as file:
        pictures[0].save(
            file, format="GIF", save_all=True, append_images=pictures[1:], loop=0,
            duration=gif_ticks(rate) * GIF_TICK, comment=about,
        )  # fmt: skip
    return Path(path)


def write_video(path: Path, frames: Tensor, *, frames_per_second: float) -> Path:
    """Write an MP4 file (H.264), and return its path; the file is complete or absent.

    The format needs an even height and width: the last row or column is repeated if necessary.

    Args:
        path: Path of the file, in an existing folder.
        frames: uint8 (T, C, H, W), where C is 1 or 3.
        frames_per_second: Number of frames per second.

    Raises:
        MissingPyAV: If PyAV is not installed.
    """
    av = pyav()
    height, width = frames.shape[2:]
    frames = torch.cat([frames, frames[:, :, -1:]], 2) if height % 2 else frames
    frames = torch.cat([frames, frames[..., -1:]], 3) if width % 2 else frames
    rate = Fraction(frames_per_second).limit_denominator(1000)
    with atomic_file(Path(path), sync=False) as file, av.open(file, "w", format="mp4") as video:
        stream = video.add_stream("libx264", rate=rate, options={"crf": "15"})
        stream.height, stream.width, stream.pix_fmt = *frames.shape[2:], "yuv420p"
        for picture in _pictures(frames):
            frame = av.VideoFrame.from_ndarray(np.asarray(picture.convert("RGB")), format="rgb24")
            video.mux(stream.encode(frame))
        video.mux(stream.encode())
    return Path(path)


def write_frames(folder: Path, frames: Tensor) -> list[Path]:
    """Write each frame of uint8 (T, C, H, W) as a PNG in a new or existing folder.

    The names are 000.png, 001.png, ..., with more digits for more than 1,000 frames.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    digits, paths = max(3, len(str(len(frames) - 1))), []
    for number, picture in enumerate(_pictures(frames)):
        path = folder / f"{number:0{digits}}.png"
        with atomic_file(path, sync=False) as file:
            picture.save(file, format="PNG")
        paths.append(path)
    return paths


def _from_folder(
    folder: Path, first: int, count: int | None, num_channels: int
) -> Iterator[np.ndarray]:
    names = sorted(
        (
            path.name
            for path in folder.iterdir()
            if path.suffix.lower() in SUFFIXES and path.name[0] != "."
        ),
        key=natural_key,
    )
    size: tuple[int, int] | None = None
    for name in names[first : _end(first, count)]:
        try:
            picture = load_picture(folder / name)
        except NotPlainError as error:
            raise NotPlainError(f"has a frame {name}, which {error}") from error
        size = size or picture.size
        if picture.size != size:
            raise NotPlainError(
                f"has frames of {size[0]}x{size[1]} pixels, and {name} of "
                f"{picture.width}x{picture.height}"
            )
        yield _array(picture, num_channels)


def _array(picture: Image.Image, num_channels: int) -> np.ndarray:
    """Return uint8 (C, H, W) of a picture; transparent pixels become white."""
    if picture.has_transparency_data:
        over = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", over.size, "white"), over)
    array = np.asarray(picture.convert("RGB").convert(MODES[num_channels]), np.uint8)
    return array.reshape(*array.shape[:2], num_channels).transpose(2, 0, 1)


def _stacked(frames: Iterable[np.ndarray], none: str) -> Tensor:
    """Return frames (T, C, H, W); `none` is the message if there are none."""
    found: list[np.ndarray] = []
    for frame in frames:
        found.append(frame)
        if len(found) * frame.nbytes > MAX_FRAME_BYTES:
            raise NotPlainError(
                f"has frames of more than {MAX_FRAME_BYTES:,} bytes; read fewer frames, or scale "
                "it down first"
            )
        if frame.shape != found[0].shape:
            raise NotPlainError("has frames of different sizes")
    if not found:
        raise NotPlainError(none)
    return torch.from_numpy(np.stack(found))


def _pictures(frames: Tensor) -> Iterator[Image.Image]:
    for frame in frames.cpu():
        array = frame.permute(1, 2, 0).numpy()
        yield Image.fromarray(array[..., 0] if array.shape[2] == 1 else array)


def _bounded(picture: Image.Image, max_side: int | None) -> Image.Image:
    if max_side is not None and max(picture.size) > max_side:
        picture = picture.copy()
        picture.thumbnail((max_side, max_side), Image.Resampling.LANCZOS)
    return picture


def _end(first: int, count: int | None) -> int | None:
    return None if count is None else first + count
