"""`limner sample`: write pictures of a trained model, or of a training run, to files."""

__all__ = ["run"]

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from limner.commands import style_pictures
from limner.commands.latent_walks import tour, traversal
from limner.commands.options import Sample as Options
from limner.commands.painted_steps import check_paints, painted
from limner.commands.progress_frames import progress_frames
from limner.commands.sample_files import (
    animate,
    named,
    save,
    strip_and_film,
    strip_and_gif,
    target,
)
from limner.commands.sample_texts import (
    check_condition,
    chosen,
    drawn,
    image_grid,
    rows_of_texts,
    texts_of,
    usual_number,
    with_texts,
)
from limner.commands.sequence_files import write_rows, write_sequences
from limner.config.command_options import parse
from limner.config.options import with_options
from limner.console import say
from limner.errors import UserError
from limner.files.printable import printable
from limner.files.videos import write_frames
from limner.interfaces import Samples
from limner.pretrained.load import load
from limner.pretrained.trained_model import TrainedModel

MODES = (
    "grid", "classes", "captions", "folder", "npz", "interpolate", "traverse", "steps",
    "progress", "mixing", "directions", "project",
)  # fmt: skip
DRAWN = tuple(mode for mode in MODES if mode not in ("progress", "project"))
READ_BY = {
    "num_images": DRAWN, "seed": DRAWN, "truncation": DRAWN,
    "num_steps": ("interpolate", "traverse", "directions"), "interpolation": ("interpolate",),
    "reach": ("traverse", "directions"), "layers": ("mixing", "directions"),
    "input": ("project",), "num_updates": ("project",), "lr": ("project",),
}  # fmt: skip
"""Keys that only some modes read, and these modes."""
SMOOTHNESS = 4  # number of GIF steps for each step of the strip
PROGRESS_MS = 250
SEQUENCES = 16  # usual number of sequences
PAUSE_MS = 1500  # duration of the last frame of a GIF


def run(words: Sequence[str]) -> int:
    """Run `limner sample` with these words, print the paths of the pictures, and return 0.

    Raises:
        UserError: If a word does not fit, or the model or the run does not support the mode.
    """
    options = parse(words, Options)
    if options.mode not in MODES:
        raise UserError(f"mode={options.mode}: choose one of {', '.join(MODES)}.")
    _refuse_unread(words, options.mode)
    make = {
        "grid": _grid, "classes": _classes, "captions": _captions, "folder": _folder, "npz": _npz,
        "interpolate": _interpolate, "traverse": _traverse, "steps": _steps, "progress": _progress,
        "mixing": _mixing, "directions": _directions, "project": _project,
    }[options.mode]  # fmt: skip
    for path in make(options):
        near = path.resolve().is_relative_to(Path.cwd())
        say(printable(os.path.relpath(path) if near else path))
    return 0


def _refuse_unread(words: Sequence[str], mode: str) -> None:
    """Raise UserError for a key that the mode does not read."""
    for key in (word.partition("=")[0] for word in words):
        if mode not in READ_BY.get(key, MODES):
            raise UserError(f"{key} has no effect on mode={mode}; {_readers(READ_BY[key])}.")


def _readers(modes: Sequence[str]) -> str:
    first = ", ".join(modes[:-1])
    return f"mode={first} and {modes[-1]} read it" if first else f"mode={modes[0]} reads it"


def _grid(options: Options) -> list[Path]:
    """Write one PNG of all images."""
    model = _load(options)
    if model.reads_frames:
        return _sequences(options, model)
    path = target(options, _samples(options, 64), ".png")
    num_images = _num_images(options, 64)
    images = np.concatenate(list(drawn(options, model, num_images)))
    if texts := texts_of(options):
        return [save(with_texts(images, texts, title=f"Samples, seed {options.seed}"), path)]
    return [save(image_grid(images, columns=round(num_images**0.5)), path)]


def _captions(options: Options) -> list[Path]:
    """Write one PNG with a row for each text; the images of a column share their noise."""
    picture = rows_of_texts(options, _load(options), _num_images(options, 8))
    return [save(picture, target(options, named(options, "captions"), ".png"))]


def _sequences(options: Options, model: TrainedModel) -> list[Path]:
    """Write a PNG with a row for each sequence of frames, and a GIF of all sequences."""
    num_sequences = _num_images(options, SEQUENCES)
    paths = strip_and_gif(options, _samples(options, SEQUENCES))
    frames = np.concatenate(list(drawn(options, model, num_sequences)))
    return write_sequences(frames, paths)


def _classes(options: Options) -> list[Path]:
    """Write one PNG with a row for each class; the images of a column share their noise."""
    num_columns = _num_images(options, 10)
    model = _load(options)
    if model.reads_text:
        raise UserError("mode=classes: this model reads texts: mode=captions text='[one,two]'.")
    if not model.is_conditional:
        raise UserError(f"mode=classes: the model of run={options.run} is unconditional.")
    classes = range(model.num_classes) if options.labels is None else options.labels
    of = {"seed": options.seed, "truncation": options.truncation}
    rows = [model.sample(num_columns, label=label, **of) for label in classes]
    path = target(options, named(options, "classes"), ".png")
    return [save(image_grid(np.concatenate(rows), columns=num_columns), path)]


def _folder(options: Options) -> list[Path]:
    """Write one PNG for each image, in the size of the image; or a folder for each sequence."""
    model = _load(options)
    usual, ending = (SEQUENCES, "") if model.reads_frames else (64, ".png")
    folder = target(options, _samples(options, usual), "")
    num_images = _num_images(options, usual)
    names = [f"{i:06d}{ending}" for i in range(num_images)]
    if folder.exists() and (not folder.is_dir() or {f.name for f in folder.iterdir()} - {*names}):
        raise UserError(f"to={folder}: the folder has other files; choose another folder.")
    batches = drawn(options, model, num_images)
    folder.mkdir(parents=True, exist_ok=True)
    images = (image for batch in batches for image in batch)
    for name, image in zip(names, images, strict=True):
        if model.reads_frames:
            write_frames(folder / name, torch.from_numpy(image).permute(0, 3, 1, 2))
            continue
        Image.fromarray(image[..., 0] if image.shape[2] == 1 else image).save(folder / name)
    return [folder]


def _npz(options: Options) -> list[Path]:
    """Write one .npz with uint8 (N, H, W, C) under `arr_0`, the format of evaluation programs.

    Sequences of frames are uint8 (N, T, H, W, C).
    """
    model = _load(options)
    usual = SEQUENCES if model.reads_frames else 64
    path = target(options, _samples(options, usual), ".npz")
    images = np.concatenate(list(drawn(options, model, _num_images(options, usual))))
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, images)
    return [path]


def _interpolate(options: Options) -> list[Path]:
    """Write a strip and a GIF that interpolate from each sample to the next.

    Each pair of samples is a row of the strip. The GIF also returns to the first sample. The strip
    shows the middle frames of sequences, and their GIF shows all frames.
    """
    model, codes = _model_and_codes(options, _num_images(options, 4))
    paths = strip_and_gif(options, named(options, "interpolation"))
    num_steps = options.num_steps if model.reads_frames else _num_frames(options)
    of = _chosen(options, model)
    rows = tour(model, codes, num_steps, mode=options.interpolation, **of)
    if model.reads_frames:
        return write_rows(rows[: max(1, len(codes) - 1)], paths)
    strip = np.concatenate(list(rows[: max(1, len(codes) - 1), ::SMOOTHNESS]))
    frames = [image_grid(image[None], columns=1) for row in rows for image in row[:-1]]
    return strip_and_film(image_grid(strip, columns=options.num_steps), frames, paths)


def _traverse(options: Options) -> list[Path]:
    """Write a strip and a GIF that vary the latent directions which change the image most.

    Each direction is a row of the strip and a tile of the GIF.
    """
    model, codes = _model_and_codes(options, 1)
    paths = strip_and_gif(options, named(options, "traversal"))
    num_directions = _num_images(options, 8)
    num_steps = options.num_steps if model.reads_frames else _num_frames(options)
    rows = traversal(
        model, codes[0], num_steps, num_directions=num_directions,
        reach=3.0 if options.reach is None else options.reach, **_chosen(options, model),
    )  # fmt: skip
    if model.reads_frames:
        return write_rows(rows, paths)
    strip = np.concatenate(list(rows[:, ::SMOOTHNESS]))
    columns = round(len(rows) ** 0.5)
    there = [image_grid(rows[:, i], columns=columns) for i in range(rows.shape[1])]
    there_and_back = there + there[-2:0:-1]
    return strip_and_film(image_grid(strip, columns=options.num_steps), there_and_back, paths)


def _steps(options: Options) -> list[Path]:
    """Write a strip and a GIF of the steps in which a model paints; each sample is a row."""
    model, codes = _model_and_codes(options, _num_images(options, 8))
    paths = strip_and_gif(options, named(options, "steps"))
    images = painted(model, codes, **chosen(options))
    columns = math.ceil(len(codes) ** 0.5)
    frames = [image_grid(step, columns=columns) for step in images]
    strip = image_grid(np.concatenate(list(images.swapaxes(0, 1))), columns=len(images))
    return [save(strip, paths[0]), animate(frames, paths[1], PROGRESS_MS, pause_ms=PAUSE_MS)]


def _progress(options: Options) -> list[Path]:
    """Write a GIF of the grids that the run drew during training."""
    frames = progress_frames(options.run)
    path = target(options, "progress", ".gif")
    return [animate(frames, path, PROGRESS_MS, pause_ms=PAUSE_MS)]


def _mixing(options: Options) -> list[Path]:
    """Write one PNG whose images have some styles of their row, and the others of their column."""
    picture = style_pictures.mixing(options, _load(options), _num_images(options, 5))
    return [save(picture, target(options, named(options, "mixing"), ".png"))]


def _directions(options: Options) -> list[Path]:
    """Write one PNG with a row for each direction that changes the styles most."""
    picture = style_pictures.directions(options, _stepping(options), _num_images(options, 8))
    return [save(picture, target(options, named(options, "directions"), ".png"))]


def _project(options: Options) -> list[Path]:
    """Write a picture beside its nearest image as a PNG, and the style of the image as .pt."""
    return style_pictures.projection(options, _load(options))


def _load(options: Options) -> TrainedModel:
    model = load(
        options.run, device=options.device, checkpoint=options.checkpoint, trust=options.trust
    )
    if not isinstance(model.module, Samples):
        raise UserError(f"{with_options(model.module)} draws no images{model.instead}.")
    return model


def _num_images(options: Options, default: int) -> int:
    number = usual_number(options, default) if options.num_images is None else options.num_images
    if number < 1:
        raise UserError(f"num_images={number}: must be 1 or more.")
    return number


def _model_and_codes(options: Options, num_codes: int) -> tuple[TrainedModel, np.ndarray]:
    """Return the model and the codes of its first samples, for a walk through latent space."""
    model = _stepping(options)
    if options.mode == "steps":
        check_paints(model)
    codes = model.latents(num_codes, seed=options.seed)
    if options.truncation is not None and not model.has_styles:
        codes *= options.truncation
    check_condition(options, model)
    return model, codes


def _stepping(options: Options) -> TrainedModel:
    """Return the model of a mode whose pictures have `num_steps` columns."""
    if options.num_steps < 2:
        raise UserError(f"num_steps={options.num_steps}: must be 2 or more.")
    return _load(options)


def _chosen(options: Options, model: TrainedModel) -> dict[str, Any]:
    """Return the class or text of a walk, and the truncation of styles instead of its codes."""
    styles = {"truncation": options.truncation} if model.has_styles else {}
    return chosen(options) | styles


def _num_frames(options: Options) -> int:
    """Return the number of GIF frames of a row; every SMOOTHNESS-th frame is in the strip too."""
    return (options.num_steps - 1) * SMOOTHNESS + 1


def _samples(options: Options, usual: int) -> str:
    """Return the file name of samples."""
    return named(options, "samples", str(_num_images(options, usual)))
