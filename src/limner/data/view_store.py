"""Stored views: several pictures of one scene behind one index."""

__all__ = ["ViewStore", "natural", "view_table"]

import re
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Literal

import torch
from torch import Tensor

from limner.data.picture_store import PictureStore, refuse_small
from limner.errors import UserError
from limner.files.printable import printable
from limner.interfaces import reference_view

MAX_LISTED = 5


class ViewStore:
    """Samples of several pictures of one size each; the middle picture of a sample is its target.

    Args:
        store: Store of all pictures.
        table: int64 (M, N): numbers of the N pictures of each sample.

    Raises:
        UserError: If the pictures of a sample differ in size.
    """

    labels: Tensor | None = None
    device = torch.device("cpu")
    """Device of the indices that `gather` reads."""

    def __init__(self, store: PictureStore, table: Tensor) -> None:
        self.store, self.table = store, table
        self.middle = table[:, reference_view(table.shape[1])]
        self.sizes = store.sizes[self.middle]
        self.names = [store.names[i] for i in self.middle.tolist()]
        self.num_channels, self.background = store.num_channels, store.background
        self.waits, self.num_bytes = store.waits, store.num_bytes
        self.fingerprint = f"{store.fingerprint} views {table.tolist()}"
        self._refuse_sizes()

    def __len__(self) -> int:
        return len(self.table)

    def picture(self, i: int) -> Tensor:
        """Return the target of sample i, uint8 (C, H, W)."""
        return self.store.picture(int(self.middle[i]))

    def views(self, i: int) -> Tensor:
        """Return the pictures of sample i, uint8 (N, C, H, W)."""
        return torch.stack([self.store.picture(n) for n in self.table[i].tolist()])

    def gather(self, indices: Tensor, boxes: Tensor, *, size: Sequence[int]) -> Tensor:
        """Return a crop of each target, uint8 (B, C, h, w), see `PictureStore.gather`."""
        return self.store.gather(self.middle[indices], boxes, size=size)

    def gather_views(self, indices: Tensor, boxes: Tensor, *, size: Sequence[int]) -> Tensor:
        """Return the same crop of all pictures of each sample, uint8 (B, N, C, h, w)."""
        parts = [self.store.gather(n, boxes, size=size) for n in self.table[indices].unbind(1)]
        return torch.stack(parts, 1)

    def refuse_small(
        self,
        indices: Tensor,
        size: int,
        *,
        key: str = "crop_size",
        multiple: int = 1,
        border: int = 0,
    ) -> None:
        """Raise `UserError` if one of the targets is smaller than a square of this size."""
        refuse_small(self, indices, size, key=key, multiple=multiple, border=border)

    def to(self, device: torch.device) -> "ViewStore":
        """Return the same views near a device."""
        return ViewStore(self.store.to(device), self.table)

    def _refuse_sizes(self) -> None:
        sizes = self.store.sizes[self.table]  # (M, N, 2)
        wrong = (sizes != self.sizes[:, None]).any(2).nonzero().tolist()
        if wrong:
            sample, view = wrong[0]
            (height, width), (tall, wide) = (
                self.sizes[sample].tolist(),
                sizes[sample, view].tolist(),
            )
            other = printable(self.store.names[int(self.table[sample, view])])
            raise UserError(
                f"All views of a picture must have one size, but {printable(self.names[sample])} "
                f"has {width}x{height}\npixels and {other} {wide}x{tall}."
            )


def view_table(
    names: Sequence[str], *, views: Literal["folders", "frames"], num_views: int
) -> tuple[Tensor, list[str]]:
    """Return the pictures int64 (M, N) of each sample, and the folder of each sample.

    "folders": each sample has one picture in each of the innermost folders that stand side by
    side, with one name. The N folders in the middle of their natural order are read. "frames":
    each picture is a sample with its neighbours in its folder, in natural order. Beyond the ends
    of a folder, its first and its last picture are repeated.

    Args:
        names: Names of all pictures, with their folders.
        views: Layout of the pictures.
        num_views: Number of views N.

    Raises:
        UserError: If there are too few folders, or if a picture lacks another view.
    """
    by_folder: dict[PurePosixPath, list[int]] = {}
    for number, name in enumerate(names):
        by_folder.setdefault(PurePosixPath(name).parent, []).append(number)
    for numbers in by_folder.values():
        numbers.sort(key=lambda n: natural(names[n]))
    folders = sorted(by_folder, key=lambda folder: natural(str(folder)))
    if views == "frames":
        rows = [
            _neighbours(by_folder[folder], place, num_views)
            for folder in folders
            for place in range(len(by_folder[folder]))
        ]
        return torch.tensor(rows), [str(f) for f in folders for _ in by_folder[f]]
    beside: dict[PurePosixPath, list[PurePosixPath]] = {}
    for folder in folders:
        beside.setdefault(folder.parent, []).append(folder)
    rows, keys = [], []
    for parent, group in beside.items():
        first = reference_view(len(group)) - reference_view(num_views)
        chosen = group[max(0, first) : max(0, first) + num_views]
        if first < 0 or len(chosen) < num_views:
            listed = ", ".join(printable(folder.name) for folder in group[:MAX_LISTED])
            if len(folders) < 2:
                raise UserError(
                    "data.views=folders: there are no folders of views side by side; name one "
                    "with such\nfolders, or choose data.views=shifts | frames."
                )
            are = "is only 1 folder" if len(group) == 1 else f"are only {len(group)} folders"
            raise UserError(
                f"data.num_views={num_views}: there {are} of views "
                f"({listed}).\nChoose data.num_views={len(group)} or fewer, or "
                "data.views=shifts | frames."
            )
        found = [{PurePosixPath(names[n]).name: n for n in by_folder[f]} for f in chosen]
        for name in found[0]:
            rows.append(
                [_same_name(numbers, name, f) for numbers, f in zip(found, chosen, strict=True)]
            )
        keys += [str(parent)] * len(found[0])
        if others := set().union(*found) - set(found[0]):
            _same_name(found[0], min(others), chosen[0])
    return torch.tensor(rows), keys


def _neighbours(numbers: Sequence[int], place: int, num_views: int) -> list[int]:
    """Return the pictures around a place of a sequence, which is the middle."""
    start = place - reference_view(num_views)
    places = range(start, start + num_views)
    return [numbers[min(max(n, 0), len(numbers) - 1)] for n in places]


def _same_name(numbers: Mapping[str, int], name: str, folder: PurePosixPath) -> int:
    if name not in numbers:
        raise UserError(
            f"data.views=folders: the folder {printable(str(folder))} has no {printable(name)}; "
            "all views of\na picture need one file name. Add or remove the file."
        )
    return numbers[name]


def natural(name: str) -> list[tuple[int, int, str]]:
    """Return a key by which frame_9 is before frame_10."""
    return [
        (0, int(part), "") if part.isdigit() else (1, 0, part)
        for part in re.split(r"([0-9]+)", name)
    ]
