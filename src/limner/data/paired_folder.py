"""Source of pairs of pictures: two folders of equal names, or both pictures side by side."""

__all__ = ["PairedFolder"]

import collections
import logging
from collections.abc import Mapping, Sequence
from typing import Literal

from PIL import Image

from limner.data.decode import upright
from limner.data.files import FileTree
from limner.data.listings import below_common_folder, parts_of
from limner.data.paired_store import PairedPictures
from limner.data.sources import SPLIT_NAMES, ImageFolder, Pictures
from limner.errors import UserError
from limner.files.printable import counted, printable

log = logging.getLogger(__name__)

FOLDERS, SIDE_BY_SIDE = "folders", "side_by_side"
MAX_LISTED = 4
"""Largest number of names that a message lists."""


class PairedFolder(ImageFolder):
    """The pairs of inputs and targets in a folder or a .zip file.

    With the layout "folders", inputs are in folders of one name, and targets in folders of another
    name. The two pictures of a pair have the same name, but for the suffix. With the layout
    "side_by_side", each file shows both pictures, one in each half of its width.

    Folders named train, val (valid, validation) and test are splits, above or below the folders of
    inputs and targets. A folder trainA is read as the folder A of the split train.

    Args:
        path: Folder or .zip file; `~` is the home folder.
        layout: "folders" or "side_by_side".
        input_folder: Name of the folders of inputs, at any depth; None for "side_by_side".
        target_folder: Name of the folders of targets; None for "side_by_side".
        input_side: "left" or "right", the half of the input in a file of "side_by_side".
    """

    def __init__(
        self,
        *,
        path: str,
        layout: Literal["folders", "side_by_side"],
        input_folder: str | None,
        target_folder: str | None,
        input_side: Literal["left", "right"],
    ) -> None:
        super().__init__(path=path)
        if layout not in (FOLDERS, SIDE_BY_SIDE):
            raise UserError(f"data.layout={layout}: must be {FOLDERS} or {SIDE_BY_SIDE}.")
        if input_side not in ("left", "right"):
            raise UserError(f"data.input_side={input_side}: must be left or right.")
        folders = {"input": input_folder, "target": target_folder}
        for key, name in folders.items():
            if layout == SIDE_BY_SIDE and name is not None:
                raise UserError(
                    f"data.{key}_folder={name}: with data.layout={SIDE_BY_SIDE}, each file shows "
                    f"both pictures.\nLeave it null, or choose data.layout={FOLDERS}."
                )
        if input_folder is not None and input_folder == target_folder:
            raise UserError(
                f"data.input_folder={input_folder} and data.target_folder={target_folder}: must "
                "be two folders."
            )
        self.layout, self.input_side = layout, input_side
        self.folders = {side: None if n is None else str(n) for side, n in folders.items()}

    def pairs(self) -> dict[str, PairedPictures]:
        """Return the pairs of each split; without folders of splits, all are "train".

        Raises:
            UserError: If there is no such folder, or if a picture has no partner.
        """
        tree, files = self.opened()
        if self.layout == SIDE_BY_SIDE:
            return self._halves(tree, files)
        return self._partners(tree, self._sides(files))

    def _halves(self, tree: FileTree, files: Sequence[str]) -> dict[str, PairedPictures]:
        splits: dict[str, dict[str, str]] = {}  # file -> name of its pair
        for file, (split, name) in _places({file: parts_of(file) for file in files}).items():
            splits.setdefault(split, {})[file] = name
        _warn_of_folders(list(splits["train"].values()))
        other = {"left": "right", "right": "left"}[self.input_side]
        return {
            split: PairedPictures(
                *(_pictures(tree, list(found), half=side) for side in (self.input_side, other)),
                list(found.values()),
            )
            for split, found in splits.items()
        }

    def _sides(self, files: Sequence[str]) -> dict[str, dict[str, list[str]]]:
        """Return the files of "input" and of "target", with the parts of the pair's name."""
        sides: dict[str, dict[str, list[str]]] = {"input": {}, "target": {}}
        for file in files:
            parts = parts_of(file)
            for i, part in enumerate(parts[:-1]):
                for side, folder in self.folders.items():
                    if folder is not None and (at := _split_before(part, folder)) is not None:
                        sides[side].setdefault(file, [*parts[:i], *at, *parts[i + 1 :]])
        for side, found in sides.items():
            if not found:
                names = collections.Counter(part for file in files for part in parts_of(file)[:-1])
                listed = _some([name for name, _ in names.most_common()]) if names else "none"
                raise UserError(
                    f"data.{side}_folder={self.folders[side] or 'null'}: must name a folder with "
                    f"pictures in data.path={self.path}.\nIts folders: {listed}. For both "
                    f"pictures in one file: data.layout={SIDE_BY_SIDE}"
                )
        if both := sides["input"].keys() & sides["target"].keys():
            raise UserError(
                f"{printable(min(both))} is in a folder of inputs and in a folder of targets: "
                "data.input_folder and data.target_folder must not contain each other."
            )
        if others := len(files) - sum(map(len, sides.values())):
            log.info(
                "%s: pictures in other folders, which are not read: %s", self.path, f"{others:,}"
            )
        return sides

    def _partners(
        self, tree: FileTree, sides: Mapping[str, Mapping[str, list[str]]]
    ) -> dict[str, PairedPictures]:
        places = _places(
            {file: parts for found in sides.values() for file, parts in found.items()}
        )
        found: dict[str, dict[tuple[str, str], str]] = {"input": {}, "target": {}}
        for side, files in sides.items():
            for file in files:
                first = found[side].setdefault(places[file], file)
                if first != file:
                    raise UserError(
                        f"{printable(first)} and {printable(file)} are both the {side} of the "
                        "same pair: remove one of them."
                    )
        self._refuse_single(found["input"], found["target"])
        splits: dict[str, list[tuple[str, str]]] = {}
        for place in found["input"]:
            splits.setdefault(place[0], []).append(place)
        return {
            split: PairedPictures(
                *(_pictures(tree, [found[side][p] for p in at]) for side in ("input", "target")),
                [name for _, name in at],
            )
            for split, at in splits.items()
        }

    def _refuse_single(
        self, inputs: Mapping[tuple[str, str], str], targets: Mapping[tuple[str, str], str]
    ) -> None:
        """Raise `UserError` for pictures without a partner of the same name."""
        lines = []
        for mine, theirs, side, other in (
            (inputs, targets, "input", "target"), (targets, inputs, "target", "input"),
        ):  # fmt: skip
            single = [mine[place] for place in mine if place not in theirs]
            if single:
                have = "has" if len(single) == 1 else "have"
                lines.append(
                    f"{len(single):,} of {counted(len(mine), side)} {have} no {other} of the same "
                    f"name in {self.folders[other]}:\n  {_some(single)}"
                )
        if lines:
            told = "\n".join([f"data.path={self.path}:", *lines])
            raise UserError(f"{told}\nAdd the missing pictures, or remove these.")


def _warn_of_folders(names: Sequence[str]) -> None:
    """Log a warning if files that shall show two pictures lie in folders with equal file names."""
    folders: dict[str, set[str]] = {}
    for name in names:
        folder, _, file = name.rpartition("/")
        folders.setdefault(folder, set()).add(file)
    twins: dict[frozenset[str], list[str]] = {}
    for folder, files in folders.items():
        twins.setdefault(frozenset(files), []).append(folder)
    if min(map(len, twins.values())) > 1:
        first, second = sorted(next(iter(twins.values())))[:2]
        log.warning(
            "data.layout=%s cuts each picture into two halves, but the folders\n"
            "%s and %s have equal file names. For pairs of whole pictures, choose data.layout=%s.",
            SIDE_BY_SIDE, printable(first), printable(second), FOLDERS,
        )  # fmt: skip


def _split_before(part: str, folder: str) -> list[str] | None:
    """Return [] for the name of a folder, [split] for that name after a split's, else None."""
    if part == folder:
        return []
    word = part[: len(part) - len(folder)]
    return [word] if part.endswith(folder) and word.lower() in SPLIT_NAMES else None


def _places(names: Mapping[str, list[str]]) -> dict[str, tuple[str, str]]:
    """Return the split and the name of the pair of each file.

    Args:
        names: Folders and file name of each file, without the folders of inputs and targets.
    """
    folders = {"/".join(parts[:-1]) for parts in names.values()}
    below = below_common_folder(folders)
    first = {SPLIT_NAMES.get(parts[0].lower(), "") if parts else "" for parts in below.values()}
    is_split = "" not in first and "train" in first
    places = {}
    for file, (*folder, name) in names.items():
        inner = below["/".join(folder)]
        split = SPLIT_NAMES[inner[0].lower()] if is_split else "train"
        inner = inner[1:] if is_split else inner
        places[file] = split, "/".join([*inner, name.rpartition(".")[0]])
    return places


def _pictures(tree: FileTree, files: list[str], *, half: str | None = None) -> Pictures:
    """Return pictures without labels: whole files, or the left or right half of each."""

    def read(i: int) -> Image.Image:
        picture = tree.open_image(files[i])
        return picture if half is None else _half(picture, half)

    listed = [files, tree.fingerprint]
    return Pictures(
        names=files,
        read=read,
        labels=None,
        classes=[],
        fingerprint=[listed, "no labels"] if half is None else [listed, "no labels", half],
        sizes=[(name, tree.sizes[name]) for name in files],
    )


def _half(picture: Image.Image, side: str) -> Image.Image:
    """Return the left or the right half of a picture, turned upright.

    Raises:
        ValueError: If the width is odd.
    """
    picture = upright(picture)
    width, height = picture.size
    if width % 2:
        raise ValueError(
            f"has an odd width of {width} pixels, but data.layout={SIDE_BY_SIDE} needs two halves"
        )
    left = 0 if side == "left" else width // 2
    return picture.crop((left, 0, left + width // 2, height))


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - MAX_LISTED:,} more" if len(names) > MAX_LISTED else ""
    return ", ".join(map(printable, names[:MAX_LISTED])) + more
