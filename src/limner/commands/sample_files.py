"""Files of `limner sample`: their names, and writing pictures and GIFs."""

__all__ = [
    "animate", "named", "save", "settings", "strip_and_film", "strip_and_gif", "target",
    "with_endings",
]  # fmt: skip

from collections.abc import Iterable
from pathlib import Path

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from limner.commands.options import Sample as Options
from limner.commands.sample_texts import in_name
from limner.errors import UserError
from limner.files.pictures import GRID
from limner.pretrained import hub

FRAME_MS = 80


def named(options: Options, *what: str) -> str:
    """Return a file name that begins with `what` and contains the settings of the picture."""
    return "_".join([*what, f"seed_{options.seed}", *settings(options)])


def settings(options: Options) -> list[str]:
    """Return the parts of a file name that state the chosen classes, texts, and other settings."""
    parts = []
    if options.labels is not None:
        parts.append("labels_" + "-".join(map(str, options.labels[:10])))
    parts += in_name(options)
    if options.truncation is not None:
        parts.append(f"truncation_{options.truncation:g}")
    if options.layers is not None:
        parts.append("layers_" + "-".join(map(str, options.layers)))
    if options.reach is not None:
        parts.append(f"reach_{options.reach:g}")
    if options.checkpoint is not None:
        parts.append(options.checkpoint)
    return parts


def target(options: Options, name: str, suffix: str) -> Path:
    """Return the path in `to`, or else `name` in the run folder (in . for models of the hub).

    Raises:
        UserError: If `to` has another ending than `suffix`.
    """
    if options.to is None:
        here = options.run.startswith(hub.SCHEME)
        return (Path() if here else Path(options.run).expanduser()) / f"{name}{suffix}"
    path = Path(options.to).expanduser()
    if suffix and path.suffix != suffix:
        raise UserError(f"to={options.to}: mode={options.mode} writes a {suffix} file.")
    return path


def strip_and_gif(options: Options, name: str) -> tuple[Path, Path]:
    """Return the paths of the strip and the GIF; `to` may name either, or have no ending."""
    return with_endings(options, name, ".png", ".gif")


def with_endings(options: Options, name: str, *endings: str) -> tuple[Path, ...]:
    """Return a path for each ending; `to` may name any of them, or have no ending."""
    stem = target(options, name, "")
    if stem.suffix in endings and options.to is not None:
        stem = stem.with_suffix("")
    return tuple(stem.with_name(f"{stem.name}{ending}") for ending in endings)


def save(picture: Image.Image, path: Path) -> Path:
    """Write a picture with the box of its grid if it has labels, and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    info = PngInfo()
    if GRID in picture.info:
        info.add_text(GRID, picture.info[GRID])
    picture.save(path, pnginfo=info)
    return path


def strip_and_film(
    strip: Image.Image, frames: list[Image.Image], paths: tuple[Path, Path]
) -> list[Path]:
    """Write a strip and a GIF, and return their paths."""
    return [save(strip, paths[0]), animate(frames, paths[1], FRAME_MS)]


def animate(
    frames: Iterable[Image.Image], path: Path, frame_ms: int, *, pause_ms: int | None = None
) -> Path:
    """Write an endless GIF whose last frame may last longer, and return its path."""
    first, *others = frames
    path.parent.mkdir(parents=True, exist_ok=True)
    durations = [frame_ms] * len(others) + [frame_ms if pause_ms is None else pause_ms]
    first.save(path, save_all=True, append_images=others, duration=durations, loop=0)
    return path
