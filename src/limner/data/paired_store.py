"""Stored pairs: decoded pictures to read, and the picture that a model should make of each."""

__all__ = ["AnyStore", "PairedPictures", "PairedStore", "PictureReader", "open_pairs"]

import dataclasses
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from limner.data.picture_store import PictureStore, open_pictures, refuse_small
from limner.data.sources import Pictures
from limner.errors import UserError
from limner.files.printable import printable


@dataclass(frozen=True)
class PairedPictures:
    """The pairs of one split of a source: picture i of `inputs` belongs to picture i of `targets`.

    limner checks them when it opens the data, and refuses values that break a rule.
    """

    inputs: Pictures
    """Pictures that a model reads, without labels."""
    targets: Pictures
    """Pictures that a model should make, as many as inputs, without labels."""
    names: Sequence[str]
    """Name of each pair, which `data.group` reads."""

    def __len__(self) -> int:
        return len(self.names)

    def only(self, numbers: Sequence[int]) -> "PairedPictures":
        """Return the pairs of these numbers."""
        names = [self.names[i] for i in numbers]
        return PairedPictures(_only(self.inputs, numbers), _only(self.targets, numbers), names)


class PictureReader(Protocol):
    """Pictures behind an index, such as `limner.data.picture_store.PictureStore`."""

    sizes: Tensor
    """Height and width of each picture, int64 (N, 2)."""
    names: Sequence[str]
    """Name of each picture, for messages."""
    num_channels: int
    """Number of channels of every picture."""
    fingerprint: str
    """Text that changes whenever pixels or sizes change."""
    waits: bool
    """Whether reading may take long."""
    num_bytes: int
    """Memory that the pictures take."""
    background: str | None
    """Background "#rrggbb" behind transparent pixels; None if there were no such pixels."""

    def picture(self, i: int) -> Tensor:
        """Return picture number i, uint8 (C, H, W)."""

    def gather(self, indices: Tensor, boxes: Tensor, *, size: Sequence[int]) -> Tensor:
        """Return crops uint8 (B, C, h, w) with the top left corners `boxes` int64 (B, 2)."""

    def to(self, device: torch.device) -> "PictureReader":
        """Return the same pictures near a device."""


class PairedStore:
    """Targets, read like the pictures of a `PictureStore`, and the stored input of each.

    A target is `scale` times as high and wide as its input; up to `scale - 1` more rows at the
    bottom and columns at the right of a target are cut.

    Args:
        inputs: Pictures that a model reads.
        targets: Pictures that a model should make, as many.
        scale: Height of a target divided by the height of its input.

    Raises:
        UserError: If sizes do not fit the scale; the message names the pictures.
    """

    labels: Tensor | None = None
    device = torch.device("cpu")
    """Device of the indices that `gather` reads."""

    def __init__(self, inputs: PictureReader, targets: PictureReader, *, scale: int) -> None:
        self.inputs, self.targets, self.scale = inputs, targets, scale
        _refuse_sizes(inputs, targets, scale)
        self.sizes, self.names = inputs.sizes * scale, targets.names
        self.num_channels, self.background = targets.num_channels, targets.background
        self.waits = inputs.waits or targets.waits
        both = f"{inputs.fingerprint} -> {targets.fingerprint} x{scale}"
        self.fingerprint = hashlib.sha256(both.encode()).hexdigest()

    @property
    def num_bytes(self) -> int:
        """Memory that inputs and targets take."""
        return self.inputs.num_bytes + self.targets.num_bytes

    def __len__(self) -> int:
        return len(self.sizes)

    def picture(self, i: int) -> Tensor:
        """Return target number i, uint8 (C, H, W)."""
        height, width = self.sizes[i].tolist()
        return self.targets.picture(i)[:, :height, :width]

    def input(self, i: int) -> Tensor:
        """Return the input of target number i, uint8 (C', H / scale, W / scale)."""
        return self.inputs.picture(i)

    def gather(self, indices: Tensor, boxes: Tensor, *, size: Sequence[int]) -> Tensor:
        """Return a crop of each target, uint8 (B, C, h, w), see `PictureStore.gather`."""
        return self.targets.gather(indices, boxes, size=size)

    def gather_inputs(self, indices: Tensor, boxes: Tensor, *, size: Sequence[int]) -> Tensor:
        """Return the inputs of crops of the targets, uint8 (B, C', h / scale, w / scale).

        Args:
            indices: int64 (B,): numbers of the pairs.
            boxes: int64 (B, 2): top row and left column of each crop of a target, multiples of
                the scale.
            size: Height and width (h, w) of the crops of the targets, multiples of the scale.
        """
        small = [length // self.scale for length in size]
        return self.inputs.gather(indices, boxes // self.scale, size=small)

    def refuse_small(
        self, indices: Tensor, size: int, *, key: str = "crop_size", multiple: int = 1
    ) -> None:
        """Raise `UserError` if one of the targets is smaller than a square of this size."""
        refuse_small(self, indices, size, key=key, multiple=multiple)

    def to(self, device: torch.device) -> "PairedStore":
        """Return the same pairs near a device."""
        return PairedStore(self.inputs.to(device), self.targets.to(device), scale=self.scale)


AnyStore = PictureStore | PairedStore
"""Pictures, or pairs of pictures, behind an index."""


def open_pairs(
    pairs: PairedPictures, *, input_channels: int, num_channels: int, scale: int, **options: Any
) -> tuple[PairedStore, list[str]]:
    """Return the store of the pairs of a split, and the name of each pair.

    If one picture of a pair cannot be read, the pair is left out if `on_corrupt` is "skip".

    Args:
        pairs: Pairs of the split.
        input_channels: Number of channels of all inputs: 1 or 3.
        num_channels: Number of channels of all targets: 1 or 3.
        scale: Height of a target divided by the height of its input.
        options: Other arguments of `limner.data.picture_store.open_pictures`; its limit of memory
            holds for inputs and for targets.

    Raises:
        UserError: If pictures cannot be read, or if their sizes do not fit the scale.
    """

    def opened(pairs: PairedPictures) -> tuple[PictureStore, PictureStore]:
        inputs = open_pictures(pairs.inputs, input_channels, **options)
        return inputs, open_pictures(pairs.targets, num_channels, **options)

    inputs, targets = opened(pairs)
    kept = [range(len(pairs)) if s.numbers is None else s.numbers for s in (inputs, targets)]
    both = sorted(set(kept[0]) & set(kept[1]))
    if not both:
        raise UserError("No pair has an input and a target that can be read.")
    if len(both) < len(pairs):
        pairs = pairs.only(both)
        if list(kept[0]) != list(kept[1]):
            inputs, targets = opened(pairs)
    return PairedStore(inputs, targets, scale=scale), list(pairs.names)


def _only(pictures: Pictures, numbers: Sequence[int]) -> Pictures:
    read = pictures.read
    return dataclasses.replace(
        pictures,
        names=[pictures.names[i] for i in numbers],
        read=lambda i: read(numbers[i]),
        fingerprint=[pictures.fingerprint, list(numbers)],
    )


def _refuse_sizes(inputs: PictureReader, targets: PictureReader, scale: int) -> None:
    wrong = (targets.sizes // scale != inputs.sizes).any(dim=1).nonzero()[:, 0].tolist()
    if not wrong:
        return
    (height, width), (tall, wide) = (s.sizes[wrong[0]].tolist() for s in (inputs, targets))
    more = f" ({len(wrong) - 1:,} more pairs do not fit)" if wrong[1:] else ""
    ratio = max(1, round(tall / height))
    fits = scale != ratio and bool((targets.sizes // ratio == inputs.sizes).all())
    advice = f"data.scale={ratio} fits all pairs." if fits else "Resize or remove such pictures."
    due = "the" if scale == 1 else f"1/{scale} of the"
    small, large = printable(inputs.names[wrong[0]]), printable(targets.names[wrong[0]])
    raise UserError(
        f"data.scale={scale}: an input must have {due} height and width of its target,\n"
        f"but {small} has {width}x{height} pixels and {large} {wide}x{tall}{more}.\n{advice}"
    )
