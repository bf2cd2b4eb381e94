"""Picture files that `limner transform` reads and writes: their names, metadata and formats."""

__all__ = [
    "OpenedPicture", "PictureFiles", "is_named_as_file", "metadata_of", "open_file",
    "output_names", "save_picture",
]  # fmt: skip

import collections
import contextlib
import mimetypes
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from PIL import ExifTags, Image

from limner.data.files import FileTree
from limner.errors import UserError
from limner.files.atomic import atomic_file
from limner.files.pictures import MAX_BYTES, SUFFIXES, open_picture
from limner.files.plain import read_bytes
from limner.files.video_frames import VIDEO_SUFFIXES

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
TURNED = (5, 6, 7, 8)
"""Values of EXIF's orientation of pictures that are turned by 90 degrees."""


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
    orientation: int | None
    """EXIF's orientation of a TIFF, which PIL turns and then forgets; None for other formats."""


def open_file(content: bytes) -> OpenedPicture:
    """Return the first picture in the content of a file.

    Raises:
        NotPlainError: If the content has another format, is too large or has a damaged header.
    """
    picture, is_animated = open_picture(content), False
    with contextlib.suppress(Exception):  # counting pictures of a damaged file may raise any
        is_animated = getattr(open_picture(content), "is_animated", False)
    deep = any(_is_deep(codec, args) for codec, _, _, args in picture.tile)
    orientation = getattr(picture, "tag_v2", {}).get(ExifTags.Base.Orientation)
    return OpenedPicture(picture, deep, is_animated, orientation)


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


def is_named_as_file(path: Path) -> bool:
    """Return whether the suffix of an output is that of a file, so that it names no folder."""
    suffix = path.suffix.lower()
    kind, _ = mimetypes.guess_type(f"name{suffix}", strict=False)
    return suffix in (*SUFFIXES, *VIDEO_SUFFIXES, ".npz") or kind is not None


def metadata_of(opened: OpenedPicture, scale: int) -> dict[str, Any]:
    """Return the metadata of a decoded picture that are still true of its result, for PIL's save.

    Kept are the ICC profile; the resolution times the scale, so that a print has the same size;
    and the EXIF tags that do not depend on the pixels. Damaged metadata are left out.

    Args:
        opened: Picture whose pixels are decoded.
        scale: Height of the result divided by the height of the picture.
    """
    found: dict[str, Any] = {}
    for part in (_profile, lambda opened: _resolution(opened, scale), _exif):
        with contextlib.suppress(Exception):  # metadata of a stranger's file may be anything
            found |= part(opened)
    return found


def save_picture(made: Image.Image, path: Path, metadata: Mapping[str, Any]) -> None:
    """Write a result in one step, in the format of its ending.

    Args:
        made: The result.
        path: File to write, with an ending of `FORMATS`.
        metadata: Metadata that `metadata_of` returns. A profile of other colours is left out.

    Raises:
        OSError: If the file cannot be written.
    """
    kind, options = FORMATS[path.suffix.lower()], dict(metadata)
    if made.mode in ("LA", "RGBA") and kind not in WITH_ALPHA:
        made = made.convert(made.mode[:-1])
    space = {"L": b"GRAY", "LA": b"GRAY"}.get(made.mode, b"RGB ")
    if options.get("icc_profile", b"")[16:20] != space:
        options.pop("icc_profile", None)
    compression = {"compression": "tiff_adobe_deflate"} if kind == "TIFF" else {}
    if kind == "TIFF" and "exif" in options:
        options["exif"] = _without_exposure(options["exif"])
    with atomic_file(path, sync=False) as file:
        try:
            made.save(file, format=kind, **compression, **options)
        except (OSError, MemoryError):
            raise
        except Exception:  # PIL cannot write the metadata of a stranger's file
            file.seek(0)
            file.truncate()
            made.save(file, format=kind, **compression)


def _as_png(name: str) -> str:
    path = PurePosixPath(name)
    return name if path.suffix.lower() in FORMATS else str(path.with_suffix(".png"))


def _is_deep(codec: str, args: Any) -> bool:
    values = args if isinstance(args, tuple) else (args,)
    if any(isinstance(value, str) and ";16" in value for value in values):
        return True
    return codec.startswith("ppm") and isinstance(values[-1], int) and values[-1] > 255


def _profile(opened: OpenedPicture) -> dict[str, Any]:
    profile = opened.picture.info.get("icc_profile")
    return {"icc_profile": profile} if isinstance(profile, bytes) and profile else {}


def _resolution(opened: OpenedPicture, scale: int) -> dict[str, Any]:
    across, down = (float(each) * scale for each in opened.picture.info["dpi"])
    if not (scale < across < 1e6 and scale < down < 1e6):  # 1 is PIL's value for "unknown"
        return {}
    orientation = opened.orientation or opened.picture.getexif().get(ExifTags.Base.Orientation)
    return {"dpi": (down, across) if orientation in TURNED else (across, down)}


def _exif(opened: OpenedPicture) -> dict[str, Any]:
    found, kept = opened.picture.getexif(), Image.Exif()
    for tag in KEPT_TAGS:
        if tag in found:
            kept[tag] = found[tag]
    for ifd in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
        values = {tag: value for tag, value in found.get_ifd(ifd).items() if tag not in LOST_TAGS}
        if values:
            kept[ifd] = values
    return {"exif": kept.tobytes()} if len(kept) else {}


def _without_exposure(exif: bytes) -> Image.Exif:
    """Return the tags that a compressed TIFF can hold: PIL writes no tags of tags into it."""
    found, kept = Image.Exif(), Image.Exif()
    found.load(exif)
    for tag in KEPT_TAGS:
        if tag in found:
            kept[tag] = found[tag]
    return kept
