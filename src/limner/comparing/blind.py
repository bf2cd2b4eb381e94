"""A page on which a person chooses among pictures without knowing whose they are."""

__all__ = ["Trials", "make", "page", "tiles"]

import base64
import hashlib
import io
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from limner.comparing.groups import grouped
from limner.comparing.runs import Run
from limner.errors import UserError

TEMPLATE = Path(__file__).with_name("blind.html")
PADDING = 2
"""Pixels around each tile of a grid of samples, as torchvision's make_grid leaves them."""
SMALLEST_TILE = 64
"""Pixels; a grid enlarges smaller images to this."""
MOST = 9
"""Sides of a choice; the keys 1 to 9 choose."""


@dataclass
class Trials:
    """What `limner compare --blind RUN RUN ...` takes.

    Args:
        to: The page to write.
        num_trials: Choices to make, or as many as there are pictures for.
        num_images: Pictures of each side in one choice.
        seed: Of the order in which the pictures are stored; each visitor's own order is drawn in
            the browser.
    """

    to: str = "blind.html"
    num_trials: int = 20
    num_images: int = 1
    seed: int = 0


def make(runs: Sequence[Run], trials: Trials) -> str:
    """Writes the page and says where it is.

    Raises:
        UserError: If there are not two sides, a run has no pictures, or the page has no place.
    """
    if not trials.to.endswith((".html", ".htm")):
        raise UserError(f"to={trials.to}: the page is HTML; name a file *.html")
    for name in ("num_trials", "num_images"):
        if getattr(trials, name) < 1:
            raise UserError(f"{name}={getattr(trials, name)}: must be 1 or more.")
    shown = [run for run in runs if (run.folder / "final.png").is_file()]
    if not shown:
        raise UserError(f"{runs[0].folder}: there are no pictures (no final.png) to show.")
    sides = _sides(shown)
    if not 2 <= len(sides) <= MOST:
        raise UserError(f"A blind choice is among 2 to {MOST} runs or groups: got {len(sides)}.")
    pictures = {name: [tile for run in those for tile in tiles(run)] for name, those in sides}
    fewest = min(len(images) for images in pictures.values())
    if fewest < trials.num_images:
        raise UserError(f"num_images={trials.num_images}: a run has no more than {fewest}.")
    count = min(trials.num_trials, fewest // trials.num_images)
    made = page(pictures, num_trials=count, num_images=trials.num_images, seed=trials.seed)
    try:
        Path(trials.to).write_text(made, encoding="utf-8")
    except OSError as error:
        raise UserError(f"to={trials.to}: cannot be written ({error.strerror}).") from error
    without = "".join(f"\nWithout pictures: {run.folder}" for run in runs if run not in shown)
    return f"{count} choices between {len(sides)}: open {trials.to} in a browser.{without}"


def page(
    pictures: Mapping[str, Sequence[Image.Image]], *, num_trials: int, num_images: int, seed: int
) -> str:
    """A page that needs nothing but itself: pictures, program and style are in it.

    The pictures are stored in random order; whose they are stands in a part of its own, encoded,
    so that who looks into the page does not learn it by chance.

    Args:
        pictures: The name of each side to its pictures, `num_trials * num_images` or more.
        num_trials: Choices to make.
        num_images: Pictures of each side in one choice.
        seed: Of the stored order.
    """
    needed = num_trials * num_images
    order = random.Random(seed)
    names = order.sample(list(pictures), k=len(pictures))
    drawn = [
        (side, _data_uri(image))
        for side, name in enumerate(names)
        for image in order.sample(list(pictures[name]), k=needed)
    ]
    order.shuffle(drawn)
    shown = [uri for _, uri in drawn]
    key = {"names": names, "sides": [side for side, _ in drawn]}
    data = {
        "id": hashlib.sha256("".join(shown).encode()).hexdigest()[:16],
        "trials": num_trials,
        "images": num_images,
        "key": base64.b64encode(json.dumps(key).encode()).decode(),
        "pictures": shown,
    }
    return TEMPLATE.read_text(encoding="utf-8").replace("{{data}}", json.dumps(data))


def tiles(run: Run) -> list[Image.Image]:
    """The single pictures of a run's `final.png`.

    Raises:
        UserError: If it is not laid out as the run's config says.
    """
    path = run.folder / "final.png"
    try:
        with Image.open(path) as file:
            grid = file.convert("RGB")
        shape = [int(size) for size in run.config["data.image_shape"].strip("[]").split(",")]
    except (OSError, KeyError, ValueError) as error:
        raise UserError(f"{path}: cannot be cut into pictures ({error}).") from error
    factor = max(1, -(-SMALLEST_TILE // max(shape[1:])))
    height, width = (size * factor for size in shape[1:])
    if grid.size == (width, height):
        return [grid]  # make_grid leaves a single image as it is
    columns, rest = divmod(grid.width - PADDING, width + PADDING)
    rows, rest_below = divmod(grid.height - PADDING, height + PADDING)
    if rest or rest_below:
        raise UserError(f"{path}: is no grid of pictures of {width}x{height} pixels.")
    corners = [
        (PADDING + x * (width + PADDING), PADDING + y * (height + PADDING))
        for y in range(rows)
        for x in range(columns)
    ]
    count = run.config.get("callbacks.pictures.num_images", str(len(corners)))
    return [grid.crop((x, y, x + width, y + height)) for x, y in corners[: int(count)]]


def _sides(runs: Sequence[Run]) -> list[tuple[str, Sequence[Run]]]:
    """What is chosen between: groups of one config each, or the seeds of the only group."""
    groups = grouped(runs)
    if len(groups) > 1:
        return [(group.name, group.runs) for group in groups]
    (group,) = groups
    return [(f"seed={run.seed}", [run]) for run in group.runs]


def _data_uri(image: Image.Image) -> str:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
