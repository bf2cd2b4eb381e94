"""A web page on which a person chooses among pictures without knowing their runs."""

__all__ = ["Trials", "make", "page"]

import base64
import functools
import hashlib
import io
import json
import operator
import os
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image

from limner.commands.compare.groups import grouped
from limner.commands.compare.records import Run
from limner.commands.compare.texts import label
from limner.commands.compare.tiles import tiles
from limner.commands.options import CompareBlind as Trials
from limner.errors import UserError
from limner.files.printable import printable

TEMPLATE = Path(__file__).with_name("blind.html")
MOST = 9
"""Largest number of sides of a choice; the keys 1 to 9 choose."""
MAX_PIXELS = 500_000_000
"""Limit on the size of all pictures together, since they are held in memory."""


def make(runs: Sequence[Run], trials: Trials) -> str:
    """Write the page, and return a message with its path.

    Raises:
        UserError: If there are fewer than two sides or too many, if a run has too few pictures,
            or if the page cannot be written.
    """
    if not trials.to.endswith((".html", ".htm")):
        raise UserError(f"to={trials.to}: the page is HTML; name a file *.html")
    for name in ("num_trials", "num_images"):
        if getattr(trials, name) < 1:
            raise UserError(f"{name}={getattr(trials, name)}: must be 1 or more.")
    cut, without = _cut(runs)
    if not cut:
        raise UserError("None of these runs has pictures to show.\n" + "\n".join(without))
    sides = _sides(list(cut))
    if not 2 <= len(sides) <= MOST:
        message = f"A blind choice is among 2 to {MOST} runs or groups: got {len(sides)}."
        raise UserError("\n".join([message, *without]))
    pictures = {name: [tile for run in those for tile in cut[run]] for name, those in sides}
    shared = shared_captions(pictures)
    if shared:
        pictures = {name: chosen(images, shared) for name, images in pictures.items()}
    fewest = min(len(images) for images in pictures.values())
    if fewest < trials.num_images:
        raise UserError(f"num_images={trials.num_images}: a run has no more than {fewest}.")
    count = min(trials.num_trials, fewest // trials.num_images)
    made = page(
        pictures, captions=shared or None, num_trials=count, num_images=trials.num_images,
        seed=trials.seed,
    )  # fmt: skip
    try:
        Path(trials.to).write_text(made, encoding="utf-8")
    except OSError as error:
        raise UserError(f"to={trials.to}: cannot be written ({error.strerror}).") from error
    made = f"{count} choices between {len(sides)}: open {printable(trials.to)} in a browser."
    return "\n".join([made, *without])


def page(
    pictures: Mapping[str, Sequence[Image.Image]],
    *,
    captions: Sequence[str] | None = None,
    num_trials: int,
    num_images: int,
    seed: int,
) -> str:
    """Return a page with all its pictures, program and style, which needs no other file.

    The pictures are stored in random order. An encoded part of the page records the side of each
    picture, so that a person who looks at the source does not learn the sides by chance.

    Args:
        pictures: Mapping of the name of each side to its pictures, `num_trials * num_images` or
            more.
        captions: Captions of the pictures of every side, in order; None without captions. Each
            choice shows pictures of the same captions.
        num_trials: Number of choices.
        num_images: Number of pictures of each side in one choice.
        seed: Seed of the stored order.
    """
    needed = num_trials * num_images
    order = random.Random(seed)
    names = order.sample(list(pictures), k=len(pictures))
    same = None if captions is None else order.sample(range(len(captions)), k=needed)
    drawn = []
    for side, name in enumerate(names):
        picked = same or order.sample(range(len(pictures[name])), k=needed)
        drawn += [(side, place, _data_uri(pictures[name][place])) for place in picked]
    order.shuffle(drawn)
    shown = [uri for *_, uri in drawn]
    key = {"names": [printable(name) for name in names], "sides": [side for side, *_ in drawn]}
    data = {
        "id": hashlib.sha256("".join(shown).encode()).hexdigest()[:16],
        "trials": num_trials,
        "images": num_images,
        "key": base64.b64encode(json.dumps(key).encode()).decode(),
        "pictures": shown,
        "captions": captions and [printable(captions[place]) for _, place, _ in drawn],
    }
    text = json.dumps(data).replace("<", "\\u003c")  # a caption cannot end the script
    return TEMPLATE.read_text(encoding="utf-8").replace("{{data}}", text)


def shared_captions(pictures: Mapping[str, Sequence[Image.Image]]) -> list[str]:
    """Return the captions for which every side has pictures, each as often as all sides have."""
    counts = [Counter(image.info.get("caption") for image in side) for side in pictures.values()]
    shared = functools.reduce(operator.and_, counts)
    return sorted(caption for caption in shared.elements() if caption is not None)


def chosen(images: Sequence[Image.Image], captions: Sequence[str]) -> list[Image.Image]:
    """Return a picture of each caption, in order; no picture is returned twice."""
    of: dict[str, list[Image.Image]] = {}
    for image in images:
        of.setdefault(image.info.get("caption"), []).append(image)
    return [of[caption].pop(0) for caption in captions]


def _cut(runs: Sequence[Run]) -> tuple[dict[Run, list[Image.Image]], list[str]]:
    """Return the pictures of each run that has pictures, and a line for each run that has none."""
    cut, without, pixels = {}, [], 0
    for run in runs:
        if (reason := run.refused or run.stage) is not None:
            without.append(f"Left out: {run.title}: {reason}")
        elif not os.path.lexists(run.folder / "final.png"):
            without.append(
                f"Left out: {run.title} has no final.png (training writes it at its end)"
            )
        elif pixels > MAX_PIXELS:
            without.append(
                f"Left out: {run.title}, since the pictures of earlier runs reach the limit"
            )
        else:
            try:
                cut[run] = tiles(run)
                pixels += sum(image.width * image.height for image in cut[run])
            except UserError as error:
                without.append(f"Left out: {error}")
    return cut, without


def _sides(runs: Sequence[Run]) -> list[tuple[str, Sequence[Run]]]:
    """Return the sides of a choice: groups of one config each, or the seeds of a single group."""
    groups = grouped(runs)
    if len(groups) == 1:
        sides = [(f"seed={label(run.seed)}", [run]) for run in groups[0].runs]
    else:
        sides = [(group.name, group.runs) for group in groups]
    counted = Counter(name for name, _ in sides)
    return [
        (name if counted[name] == 1 else f"{name} {those[0].title}", those)
        for name, those in sides
    ]


def _data_uri(image: Image.Image) -> str:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
