"""The pictures that a run drew during training, as the frames of a film."""

__all__ = ["progress_frames"]

from collections.abc import Iterator, Sequence
from pathlib import Path

from PIL import Image

from limner.errors import UserError
from limner.files.pictures import load_picture
from limner.files.plain import NotPlainError
from limner.pretrained.safe_build import within
from limner.runs.links import refuse_links

MAX_FILM_PIXELS = 2**29  # limit on the pixels of all frames together, 1.5 GiB of memory


def progress_frames(run: str) -> list[Image.Image]:
    """Return the pictures of a run in the order of training, resized to the last picture.

    Args:
        run: The run folder, which is untrusted.

    Raises:
        UserError: If there are fewer than two pictures, if a picture is refused, or if all
            pictures together are too large.
    """
    folder = Path(run).expanduser()
    refuse_links(folder)
    files = sorted(folder.glob("samples/update_" + "[0-9]" * 8 + ".png"))
    files += [path for path in (folder / "final.png",) if path.is_file()]
    if len(files) < 2:
        raise UserError(
            f"run={run}: a film needs two or more pictures of training, but there are "
            f"{len(files)} (samples/update_*.png, final.png); runs draw them every "
            "callbacks.pictures.every_num_updates."
        )
    frames = list(_read(files, root=folder))
    return [frame for frame in frames if frame.size == frames[-1].size]


def _read(files: Sequence[Path], *, root: Path) -> Iterator[Image.Image]:
    num_pixels = 0
    for file in files:
        try:
            frame = load_picture(within(file.parent, file.name, root=root))
        except NotPlainError as error:
            raise UserError(f"{file} {error}.") from error
        num_pixels += frame.width * frame.height
        if num_pixels > MAX_FILM_PIXELS:
            raise UserError(
                f"{file.parent}: the pictures up to {file.name} have {num_pixels:,} pixels, but "
                f"the limit of a film is {MAX_FILM_PIXELS:,}; move some pictures elsewhere."
            )
        yield frame.convert("RGB")
