"""`limner transform`: write what a model makes of pictures of any size.

One picture is in memory at a time. A picture that cannot be read does not stop the others; it is
reported at the end.
"""

__all__ = ["run"]

import collections
import contextlib
import errno
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from PIL import Image

from limner.commands.options import Transform as Options
from limner.commands.picture_files import (
    PictureFiles,
    is_named_as_file,
    metadata_of,
    open_file,
    output_names,
    save_picture,
)
from limner.commands.predict_frames import predict_frames
from limner.commands.view_files import VIEWS, views_of
from limner.config.command_options import parse
from limner.config.options import with_options
from limner.console import Bar, say
from limner.data.decode import MODES
from limner.errors import UserError, is_out_of_memory
from limner.files.printable import printable
from limner.pretrained.load import load
from limner.pretrained.picture_input import PictureInput, picture_input, stacked_views
from limner.pretrained.picture_transform import PictureTransform, Transforms
from limner.pretrained.trained_model import TrainedModel
from limner.pretrained.video_transform import PredictsFrames, predicts_frames, transforms

EXISTING = ("refuse", "skip", "overwrite")
SHOWN = 20
"""Largest number of pictures that a message names."""


class _Failure(Exception):
    """A reason why one picture has no result; the other pictures are not affected."""


def run(words: Sequence[str]) -> int:
    """Run `limner transform` with these words, print the output folder, and return 0.

    Raises:
        UserError: If a word does not fit, the model does not transform pictures, or at least one
            picture has no result; the message names such pictures.
    """
    options = parse(words, Options)
    if options.existing not in EXISTING:
        raise UserError(f"existing={options.existing}: choose {', '.join(EXISTING)}.")
    if options.views not in VIEWS:
        raise UserError(f"views={options.views}: choose {', '.join(VIEWS)}.")
    if options.tile is not None and options.tile < 1:
        raise UserError(f"tile={options.tile}: must be 1 or more, or null for whole pictures.")
    if predicts_frames(Path(options.run), trust=options.trust):
        return predict_frames(_loaded(options), options)
    if not transforms(Path(options.run), trust=options.trust):
        _refuse(_loaded(options))  # before the files, whose names matter to other models only
    if options.num_targets is not None:
        raise UserError(
            f"num_targets={options.num_targets}: only for a model of video prediction."
        )
    files, folder = PictureFiles(Path(options.input)), Path(options.output)
    paths = {name: folder / other for name, other in output_names(files.names).items()}
    left = _left(paths, options)
    model = _loaded(options)
    if isinstance(model.module, PredictsFrames):  # a repository of the hub
        return predict_frames(model, options)
    if not isinstance(model.module, Transforms):
        _refuse(model)
    transform = model.picture_transform(direction=options.direction, style=options.style)
    if not {transform.channels, transform.out_channels} <= MODES.keys():
        raise UserError(
            f"run={options.run}: pictures of {transform.channels} channels to pictures of "
            f"{transform.out_channels} are no files; use limner.load(...).transform(array)."
        )
    views = {name: [name] for name in paths}
    if transform.num_views is not None:
        views = views_of(files.names, options.views, num_views=transform.num_views)
        paths = {name: paths[name] for name in views}
        left = [name for name in left if name in views]
    if files.num_others:
        say(f"Left out, since they are no pictures: {files.num_others:,} of the files.")
    if len(left) < len(paths):
        say(f"Left as they are: {len(paths) - len(left):,} existing results.")
    changes: collections.Counter[str] = collections.Counter()
    failures: dict[str, str] = {}
    holes: dict[str, tuple[int, int]] = {}
    with _bar(len(left)) as bar:
        for i, name in enumerate(left):
            try:
                given, changed = _transform(
                    transform, files, views[name], name, paths[name], options
                )
                changes.update(changed)
                if given.mask is not None:
                    holes[name] = int((~given.mask).sum()), given.mask.size
            except _Failure as failure:
                failures[name] = str(failure)
            if bar is not None:
                bar.update(i + 1)
    for change, count in changes.items():
        say(f"{count:,} of {len(left):,} pictures: {change}.")
    _say_holes(holes)
    if len(failures) < len(left) or not left:
        made = [path for name, path in paths.items() if name not in failures]
        say(printable(made[0] if len(paths) == 1 else options.output))
    if failures:
        raise UserError(_failed(failures, len(left)))
    return 0


def _refuse(model: TrainedModel) -> NoReturn:
    raise UserError(f"{with_options(model.module)} transforms no pictures{model.instead}.")


def _loaded(options: Options) -> TrainedModel:
    return load(
        options.run, device=options.device, checkpoint=options.checkpoint, trust=options.trust
    )


def _left(paths: dict[str, Path], options: Options) -> list[str]:
    """Return the names of the pictures to transform, after a check of the output folder."""
    source, target = Path(options.input).resolve(), Path(options.output).resolve()
    if target.is_relative_to(source):
        raise UserError(
            f"output={options.output} is input={options.input} or lies in it: choose a folder "
            "outside."
        )
    if target.exists() and not target.is_dir():
        raise UserError(f"output={options.output} is a file: name a folder.")
    if not target.exists() and is_named_as_file(target):
        raise UserError(
            f"output={options.output}: must be a folder; the results have the names of the inputs."
            f"\nChoose output={target.stem}"
        )
    exist = [name for name, path in paths.items() if path.exists()]
    if exist and options.existing == "refuse":
        raise UserError(
            f"output={options.output} has {len(exist):,} of the {len(paths):,} results already, "
            f"such as {paths[exist[0]].name}.\nChoose another folder, existing=skip to make only "
            "the others, or existing=overwrite."
        )
    if any(paths[name].resolve() == source for name in exist):
        raise UserError(f"output={options.output}: the result would replace input={source}.")
    skipped = set(exist) if options.existing == "skip" else set()
    return [name for name in paths if name not in skipped]


def _transform(
    transform: PictureTransform,
    files: PictureFiles,
    views: Sequence[str],
    name: str,
    path: Path,
    options: Options,
) -> tuple[PictureInput, list[str]]:
    """Write the result of one picture; return it as read, and what was changed or left out.

    `views` are the names of the files that are read, `name` among them.
    """
    given, metadata, changes = _read(transform, files, name)
    try:
        if len(views) > 1:
            read = [_read(transform, files, view)[0].pixels for view in views]
            given = given._replace(pixels=stacked_views(read))
        made = _made(transform, given, name, options.tile)
    except UserError as error:
        raise _Failure(str(error)) from error
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        raise _Failure("there is not enough memory; choose a smaller tile=") from error
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_picture(made, path, metadata)
    except OSError as error:
        reason = f"{path} cannot be written ({error.strerror or error})"
        if error.errno in (errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL):
            raise _Failure(reason) from error
        raise UserError(f"output={options.output}: {reason}.") from error
    return given, changes


def _read(
    transform: PictureTransform, files: PictureFiles, name: str
) -> tuple[PictureInput, dict[str, Any], list[str]]:
    """Return a picture, its metadata for PIL, and what was changed or left out."""
    try:
        opened = open_file(files.content(name))
        picture = opened.picture
        transform.check_size(picture.height, picture.width)
        given = picture_input(
            picture, channels=transform.channels, needs_mask=transform.needs_mask
        )
        metadata = metadata_of(opened, transform.scale)
    except Exception as error:  # PIL and zipfile raise a dozen exception types for broken files
        if is_out_of_memory(error):
            raise
        raise _Failure(" ".join(str(error).split()) or type(error).__name__) from error
    changes = list(given.changes)
    deep = "more than 8 bits to 8 bits"
    if opened.is_deep and deep not in changes:
        changes.append(deep)
    if opened.is_animated:
        changes.append("only the first picture of the file is read")
    if given.alpha is not None:
        changes.append("transparency is enlarged by bicubic interpolation, not by the model")
    return given, metadata, changes


def _made(
    transform: PictureTransform, given: PictureInput, name: str, tile: int | None
) -> Image.Image:
    """Return the result, in grey for a grey picture that a model of colours has read."""
    height, width, _ = given.pixels.shape
    found = transform.tiles(height, width, tile=tile)
    back_to_grey = given.is_grey and transform.channels == transform.out_channels == 3
    mode = "L" if back_to_grey else MODES[transform.out_channels]
    size = width * transform.scale, height * transform.scale
    made = Image.new(mode, size)
    with Bar(name, total=len(found), unit="tiles") as bar:
        for i, (rows, columns, pixels) in enumerate(
            transform.run(given.pixels, given.mask, found)
        ):
            made.paste(_picture(pixels).convert(mode), (columns.start, rows.start))
            bar.update(i + 1)
    if given.alpha is not None:
        alpha = given.alpha
        made.putalpha(
            alpha if alpha.size == size else alpha.resize(size, Image.Resampling.BICUBIC)
        )
    return made


def _picture(pixels: np.ndarray) -> Image.Image:
    return Image.fromarray(
        np.ascontiguousarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    )


@contextlib.contextmanager
def _bar(num_pictures: int) -> Iterator[Bar | None]:
    """Show the number of finished pictures, if there are several."""
    if num_pictures < 2:
        yield None
        return
    with Bar("Transforming", total=num_pictures, unit="pictures", counts_inner=True) as bar:
        yield bar


def _say_holes(holes: Mapping[str, tuple[int, int]]) -> None:
    """Print how many pixels of each picture were holes, for the first pictures."""
    for name, (number, total) in list(holes.items())[:SHOWN]:
        say(f"{printable(name)}: {number:,} of {total:,} pixels were holes.")
    if len(holes) > SHOWN:
        say(f"... and {len(holes) - SHOWN:,} more pictures with holes.")


def _failed(failures: dict[str, str], total: int) -> str:
    listed = [f"  {printable(name)}: {reason}" for name, reason in failures.items()][:SHOWN]
    if len(failures) > SHOWN:
        listed.append(f"  and {len(failures) - SHOWN:,} more")
    return "\n".join([f"{len(failures):,} of {total:,} pictures have no result:", *listed])
