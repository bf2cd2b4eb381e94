"""Picture files that `limner transform` reads and writes: their names, metadata and formats."""

__all__ = ["OpenedPicture", "PictureFiles", "open_file", "output_names", "save_picture"]

import collections
import contextlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from PIL import ExifTags, Image

from limner.data.files import FileTree
from limner.errors import UserError
from limner.files.atomic import atomic_file
from limner.files.pictures import MAX_BYTES, SUFFIXES, open_picture
from limner.files.plain import read_bytes

FORMATS = {
    ".png": "PNG", ".tif": "TIFF", ".tiff": "TIFF", ".bmp": "BMP", ".ppm": "PPM", ".pgm": "PPM",
    ".pnm": "PPM",
}  # fmt: skip
"""Endings of names that a result keeps, all of them without loss; others become .png."""
WITH_ALPHA = ("PNG", "TIFF", "BMP")
KEPT_TAGS = (
    ExifTags.Base.ImageDescription, ExifTags.Base.Make, ExifTags.Base.Model,
    ExifTags.Base.Software, ExifTags.Base.DateTime, ExifTags.Base.Artist,
    ExifTags.Base.Copyright,
)  # fmt: skip
"""EXIF tags of a picture that do not depend on its pixels."""
LOST_TAGS = (
    ExifTags.Base.ExifImageWidth, ExifTags.Base.ExifImageHeight, ExifTags.Base.MakerNote,
    ExifTags.Base.ExifInteroperabilityOffset,
)  # fmt: skip
"""EXIF tags of an exposure that would be wrong in a result."""


class PictureFiles:
    """The picture files of `input`: one file, or all below a folder or in a .zip file.

    Args:
        path: File, folder or .zip file.

    Attributes:
        names: Paths below the folder or in the .zip file, sorted; the name of a single file.
        num_others: Number of files that are left out, since limner reads no such files.

    Raises:
        UserError: If the path does not exist or has no pictures.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.num_others = path, 0
        self._tree: FileTree | None = None
        if path.is_file() and path.suffix.lower() != ".zip":
            self.names = [path.name]
            return
        try:
            self._tree = FileTree(path)
        except UserError as error:
            raise UserError(str(error).replace("data.path=", "input=")) from error
        self.names = [name for name in self._tree.names if name.lower().endswith(SUFFIXES)]
        self.num_others = len(self._tree.names) - len(self.names)
        if not self.names:
            raise UserError(f"input={path} has no picture; they end in {', '.join(SUFFIXES)}.")

    def content(self, name: str) -> bytes:
        """Return the content of a file; raises any exception of a damaged file."""
        if self._tree is None:
            return read_bytes(self.path, max_bytes=MAX_BYTES)
        return self._tree.content(name)


class OpenedPicture(NamedTuple):
    """A picture whose header is read; the pixels are decoded later."""

    picture: Image.Image
    is_deep: bool
    """Whether the file has more than 8 bits per channel, which PIL reads as 8 bits."""
    is_animated: bool
    """Whether the file has further pictures, which are not read."""


def open_file(content: bytes) -> OpenedPicture:
    """Return the first picture in the content of a file.

    Raises:
        NotPlainError: If the content has another format, is too large or has a damaged header.
    """
    picture, is_animated = open_picture(content), False
    with contextlib.suppress(Exception):  # counting pictures of a damaged file may raise any
        is_animated = getattr(open_picture(content), "is_animated", False)
    deep = any(_is_deep(codec, args) for codec, _, _, args in picture.tile)
    return OpenedPicture(picture, deep, is_animated)


def output_names(names: Sequence[str]) -> dict[str, str]:
    """Return the name of the result of each picture: the same name, if its format has no loss.

    Other endings become .png. If two results would have the same name, the new ending is appended
    instead: a.jpg beside a.png gives a.jpg.png.

    Raises:
        UserError: If two results have the same name even so.
    """
    made = {name: _as_png(name) for name in names}
    counts = collections.Counter(other.casefold() for other in made.values())
    for name, other in made.items():
        if other != name and counts[other.casefold()] > 1:
            made[name] = f"{name}.png"
    taken: dict[str, str] = {}
    for name, other in made.items():
        if other in taken:
            raise UserError(f"{taken[other]} and {name} would both become {other}: rename one.")
        taken[other] = name
    return made


def save_picture(
    made: Image.Image, path: Path, *, source: Image.Image, scale: int, is_turned: bool
) -> None:
    """Write a result in one step, with the metadata of its source that are still true.

    Kept are the ICC profile if it fits the colours; the resolution times the scale, so that a
    print has the same size; and the EXIF tags that do not depend on the pixels.

    Args:
        made: The result.
        path: File to write, in a format of `FORMATS`.
        source: Picture as read from its file.
        scale: Height of the result divided by the height of the source.
        is_turned: Whether the source was turned by 90 degrees.

    Raises:
        OSError: If the file cannot be written.
    """
    kind = FORMATS[path.suffix.lower()]
    if made.mode in ("LA", "RGBA") and kind not in WITH_ALPHA:
        made = made.convert(made.mode[:-1])
    options: dict[str, Any] = {"compression": "tiff_adobe_deflate"} if kind == "TIFF" else {}
    with contextlib.suppress(Exception):  # metadata of a stranger's file may be damaged
        options |= _profile(source, made) | _resolution(source, scale, is_turned)
    with contextlib.suppress(Exception):
        options |= _exif(source)
    with atomic_file(path, sync=False) as file:
        made.save(file, format=kind, **options)


def _as_png(name: str) -> str:
    path = PurePosixPath(name)
    return name if path.suffix.lower() in FORMATS else str(path.with_suffix(".png"))


def _is_deep(codec: str, args: Any) -> bool:
    values = args if isinstance(args, tuple) else (args,)
    if any(isinstance(value, str) and ";16" in value for value in values):
        return True
    return codec.startswith("ppm") and isinstance(values[-1], int) and values[-1] > 255


def _profile(source: Image.Image, made: Image.Image) -> dict[str, Any]:
    profile = source.info.get("icc_profile")
    space = {"L": b"GRAY", "LA": b"GRAY"}.get(made.mode, b"RGB ")
    fits = isinstance(profile, bytes) and profile[16:20] == space
    return {"icc_profile": profile} if fits else {}


def _resolution(source: Image.Image, scale: int, is_turned: bool) -> dict[str, Any]:
    across, down = (float(each) * scale for each in source.info["dpi"])
    if not (0 < across < 1e6 and 0 < down < 1e6):
        return {}
    return {"dpi": (down, across) if is_turned else (across, down)}


def _exif(source: Image.Image) -> dict[str, Any]:
    found, kept = source.getexif(), Image.Exif()
    for tag in KEPT_TAGS:
        if tag in found:
            kept[tag] = found[tag]
    for ifd in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
        values = {tag: value for tag, value in found.get_ifd(ifd).items() if tag not in LOST_TAGS}
        if values:
            kept[ifd] = values
    kept.tobytes()  # raises for values that cannot be written
    return {"exif": kept} if len(kept) else {}
