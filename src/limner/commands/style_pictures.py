"""Pictures of the styles of a trained generator: mixing grids, directions and projections."""

__all__ = ["directions", "mixing", "projection"]

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from limner.callbacks.picture_labels import with_labels
from limner.commands.options import Sample as Options
from limner.commands.sample_files import save, settings, with_endings
from limner.commands.sample_texts import check_condition, chosen, chosen_for_each, image_grid
from limner.config.options import with_options
from limner.console import Bar, say
from limner.data.backgrounds import WHITE
from limner.data.decode import to_array
from limner.errors import UserError
from limner.files.atomic import atomic_file
from limner.files.pictures import load_picture
from limner.files.plain import NotPlainError
from limner.files.printable import printable
from limner.pretrained.styles import Styles
from limner.pretrained.trained_model import TrainedModel

REACH = 1.0
"""Usual largest distance of `mode=directions` from the sample."""
MAX_MIXED = 64
"""Largest number of rows of `mode=mixing`, since the number of images is its square."""


def mixing(options: Options, model: TrainedModel, num_samples: int) -> Image.Image:
    """Return a grid in which each image has some styles of its row, and the others of its column.

    The first column and the first row show the samples themselves. Karras et al. (2019), figure 3,
    https://arxiv.org/abs/1812.04948.
    """
    styles = _styles(options, model)
    if num_samples > MAX_MIXED:
        raise UserError(f"num_images={num_samples}: mode=mixing draws {MAX_MIXED} rows at most.")
    of = chosen_for_each(options)
    w = styles.draw(2 * num_samples, seed=options.seed, truncation=options.truncation, **of)
    rows, columns = w[:num_samples], w[num_samples:]
    layers = styles.layers(_coarse(styles) if options.layers is None else options.layers)
    own = styles.paint(w)
    cells = [np.concatenate([np.full_like(own[:1], 255), own[num_samples:]])]
    for i in range(num_samples):
        mixed = styles.mix(rows[i : i + 1].repeat(num_samples, axis=0), columns, layers=layers)
        cells.append(np.concatenate([own[i : i + 1], styles.paint(mixed)]))
    return with_labels(
        image_grid(np.concatenate(cells), columns=num_samples + 1),
        title=f"Mixed styles, seed {options.seed}",
        about=f"An image has the styles of its row in {_named(layers)} of {styles.num_layers}, "
        "and the styles of its column in the others.",
    )  # fmt: skip


def directions(options: Options, model: TrainedModel, num_directions: int) -> Image.Image:
    """Return a picture with a row for each direction that changes styles most, strongest first."""
    styles, of = _styles(options, model), _condition(options, model)
    found, shares = styles.directions(layers=options.layers)
    if num_directions > len(found):
        raise UserError(f"num_images={num_directions}: styles have {len(found)} directions.")
    reach = REACH if options.reach is None else options.reach
    distances = np.linspace(-reach, reach, options.num_steps)
    (start,) = styles.draw(1, seed=options.seed, truncation=options.truncation, **of)
    rows = styles.walk(start, found[:num_directions], distances, layers=options.layers, **of)
    layers = "all layers" if options.layers is None else _named(options.layers)
    return with_labels(
        image_grid(np.concatenate(list(rows)), columns=len(distances)),
        title=f"Directions of styles, seed {options.seed}",
        about=f"In {layers}. Distance 1 is the usual distance of a style from the mean style; "
        "percentages are shares of the sum over all directions.",
        rows=[f"{i}: {100 * share:.1f} %" for i, share in enumerate(shares[:num_directions], 1)],
        columns=[f"{distance:+.2g}" if distance else "0" for distance in distances],
    )


def projection(options: Options, model: TrainedModel) -> list[Path]:
    """Write a picture and its nearest image side by side, and the style as a .pt file.

    Print the perceptual distance and the PSNR, also for the mean style's image.
    """
    styles, of = _styles(options, model), _condition(options, model)
    if options.input is None:
        raise UserError("mode=project needs a picture: input=FILE")
    path = Path(options.input).expanduser()
    name = "_".join([f"projection_{path.stem}", *settings(options)])
    picture_path, style_path = with_endings(options, name, ".png", ".pt")
    target = _picture(path, model)
    start = styles.project(target, num_updates=0, lr=options.lr, **of)
    with Bar("Projecting", total=options.num_updates, unit="updates") as bar:
        found = styles.project(
            target, num_updates=options.num_updates, lr=options.lr, progress=bar.update, **of
        )
    scores = (
        f"perceptual distance {found.distances[0]:.3f} (mean style: {start.distances[0]:.3f}), "
        f"PSNR {found.psnr[0]:.1f} dB ({start.psnr[0]:.1f} dB)"
    )
    say(f"{printable(path.name)}: {scores}")
    picture = with_labels(
        image_grid(np.concatenate([target, found.images, start.images]), columns=3),
        title=f"Projection of {path.name}",
        about=f"{scores}, {options.num_updates:,} updates.",
        columns=["picture", "projection", "mean style"],
    )
    save(picture, picture_path)
    with atomic_file(style_path, sync=False) as file:
        torch.save(torch.from_numpy(found.styles[0]), file)
    return [picture_path, style_path]


def _styles(options: Options, model: TrainedModel) -> Styles:
    """Return the styles of a model; raise `UserError` if it has none."""
    if not model.has_styles:
        raise UserError(
            f"mode={options.mode}: {with_options(model.module)} has no styles; train a model "
            "with network=stylegan2."
        )
    return model.styles


def _condition(options: Options, model: TrainedModel) -> dict[str, Any]:
    """Return the class or text, which a conditional model needs."""
    check_condition(options, model)
    return chosen(options)


def _picture(path: Path, model: TrainedModel) -> np.ndarray:
    """Return a picture file, uint8 (1, H, W, C), scaled and cropped to the model's size."""
    if model.image_shape[0] not in (1, 3):
        raise UserError(
            f"mode=project compares images of 1 or 3 channels, not {model.image_shape[0]}."
        )
    try:
        array = to_array(load_picture(path), model.image_shape, background=WHITE)
    except NotPlainError as error:
        raise UserError(f"input={printable(path)} {error}.") from error
    return array.transpose(1, 2, 0)[None]


def _coarse(styles: Styles) -> range:
    return range(styles.num_layers // 2)


def _named(layers: list[int]) -> str:
    first, last = min(layers), max(layers)
    if len(layers) > 1 and sorted(layers) == list(range(first, last + 1)):
        return f"layers {first} to {last}"
    return ("layer " if len(layers) == 1 else "layers ") + ", ".join(map(str, layers))
