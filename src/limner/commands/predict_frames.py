"""`limner transform` of a model that predicts frames: write the next frames of a video."""

__all__ = ["predict_frames"]

import shutil
from pathlib import Path

import numpy as np
import torch

from limner.callbacks.films import film
from limner.callbacks.predictions import step_titles
from limner.commands.options import Transform as Options
from limner.commands.picture_files import is_named_as_file
from limner.console import say
from limner.data.decode import MODES
from limner.errors import UserError, is_out_of_memory
from limner.files.pictures import SUFFIXES
from limner.files.plain import NotPlainError
from limner.files.printable import printable
from limner.files.video_frames import GIF, MAX_RATE
from limner.files.videos import (
    VIDEO_SUFFIXES,
    frame_rate,
    read_frames,
    write_frames,
    write_gif,
    write_video,
)
from limner.pixels import to_float
from limner.pretrained.trained_model import TrainedModel

WRITTEN = (GIF, ".mp4")
"""Endings of the files that can be written; other outputs are folders of frames."""
USUAL_RATE = 5.0
"""Frames per second of the film of a folder of frames."""
MOST_NAMED = 5
"""Largest number of sequences that a message names."""


def predict_frames(model: TrainedModel, options: Options) -> int:
    """Write the frames that follow a video, print the path, and return 0.

    Args:
        model: Model that predicts frames.
        options: Options of the command. The input is a video file or a folder of frames; the
            output a .gif, an .mp4 or a folder.

    Raises:
        UserError: If the input cannot be read or does not fit, or the output cannot be written.
    """
    source, target = Path(options.input), Path(options.output)
    channels = model.image_shape[0]
    for name in ("direction", "style"):
        if (value := getattr(options, name)) is not None:
            raise UserError(f"{name}={value}: this model predicts frames and has no {name}.")
    for name, usual in (("views", Options.views), ("tile", Options.tile)):
        if (value := getattr(options, name)) != usual:
            raise UserError(f"{name}={value}: this model predicts whole frames; leave it out.")
    rate = options.frames_per_second
    if rate is not None and not 0 < rate <= MAX_RATE:
        raise UserError(f"frames_per_second={rate}: must be above 0, and at most {MAX_RATE}.")
    is_file = target.suffix.lower() in WRITTEN
    if not is_file and not target.is_dir() and is_named_as_file(target):
        raise UserError(
            f"output={options.output}: choose a file that ends in .gif or .mp4, or a folder."
        )
    if options.with_inputs and not is_file:
        raise UserError(
            f"with_inputs=true output={options.output}: choose a file that ends in .gif or .mp4."
        )
    if channels not in MODES:
        raise UserError(
            f"run={options.run}: frames of {channels} channels are no files; use "
            "limner.load(...).transform(array)."
        )
    if _exists(target):
        if options.existing == "skip":
            say(f"Left as it is: {printable(options.output)}")
            return 0
        if options.existing == "refuse":
            raise UserError(
                f"output={options.output} exists: choose another path, or existing=overwrite."
            )
    if target.resolve() == source.resolve():
        raise UserError(f"output={options.output}: the result would replace the input.")
    frames = _read(source, channels)
    try:
        made = model.transform(frames, num_targets=options.num_targets)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        raise UserError("There is not enough memory; scale the video down.") from error
    if options.with_inputs:
        made = _beside(frames, made)
    _write(target, made, options, rate=rate or _rate_of(source))
    say(printable(options.output))
    return 0


def _exists(target: Path) -> bool:
    return any(target.iterdir()) if target.is_dir() else target.exists()


def _read(source: Path, num_channels: int) -> np.ndarray:
    if not source.exists():
        raise UserError(f"input={source}: there is no such file or folder.")
    _refuse_several(source)
    try:
        return read_frames(source, num_channels=num_channels).movedim(1, -1).numpy()
    except (NotPlainError, OSError) as error:
        raise UserError(f"input={source} {error}.") from error


def _refuse_several(source: Path) -> None:
    """Raise UserError for a folder with videos, or with folders and no pictures of its own."""
    if not source.is_dir():
        return
    inside = [path for path in sorted(source.iterdir()) if path.name[0] != "."]
    found = [path for path in inside if path.suffix.lower() in VIDEO_SUFFIXES]
    found = [path for path in found if path.suffix.lower() != GIF or _is_animated(path)]
    if not any(path.suffix.lower() in SUFFIXES and path not in found for path in inside):
        found += [path for path in inside if path.is_dir()]
    if found:
        listed = ", ".join(printable(path.name) for path in found[:MOST_NAMED])
        listed += f" and {len(found) - MOST_NAMED:,} more" if found[MOST_NAMED:] else ""
        raise UserError(
            f"input={source}: must be one sequence, a video or a folder of its frames; this "
            f"folder has\n{listed}. Name one of them, such as input={source / found[0].name}"
        )


def _is_animated(path: Path) -> bool:
    try:
        return len(read_frames(path, count=2)) > 1
    except (NotPlainError, OSError):
        return False


def _rate_of(source: Path) -> float:
    """Return the frames per second of the input; `USUAL_RATE` if it states none."""
    try:
        return frame_rate(source) or USUAL_RATE
    except (NotPlainError, OSError):
        return USUAL_RATE


def _beside(frames: np.ndarray, made: np.ndarray) -> np.ndarray:
    """Return the frames of a film of the input frames, then of the predicted frames, marked.

    Args:
        frames: Frames of the input, uint8 (T, H, W, C).
        made: Predicted frames, uint8 (N, H, W, C).
    """
    both = torch.from_numpy(np.concatenate([frames, made])).movedim(-1, 1)
    marked = torch.arange(len(both)) >= len(frames)
    titles = step_titles(len(frames), len(made))
    shown = film(to_float(both[None]), columns=1, marked=marked[None], titles=titles)
    return shown.movedim(1, -1).numpy()


def _write(target: Path, made: np.ndarray, options: Options, *, rate: float) -> None:
    frames = torch.from_numpy(made).movedim(-1, 1)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.suffix.lower() == GIF:
            write_gif(target, frames, frames_per_second=rate)
        elif target.suffix.lower() in WRITTEN:
            write_video(target, frames, frames_per_second=rate)
        else:
            if target.is_dir():
                shutil.rmtree(target)
            write_frames(target, frames)
    except NotPlainError as error:
        raise UserError(f"output={options.output} {error}.") from error
    except OSError as error:
        raise UserError(
            f"output={options.output} cannot be written ({error.strerror or error})."
        ) from error
