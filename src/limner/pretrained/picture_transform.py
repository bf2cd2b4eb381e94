"""A trained network as a function of pictures of any size, in tiles."""

__all__ = [
    "TILE", "PictureNetwork", "PictureTransform", "Pictures", "Transforms", "choices_of",
    "transformed",
]  # fmt: skip

import itertools
import logging
from collections.abc import Iterator, Mapping, Sequence
from os import PathLike
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from limner.data.decode import MODES
from limner.errors import UserError
from limner.files.pictures import MAX_PIXELS
from limner.files.plain import NotPlainError
from limner.interfaces import trait
from limner.pretrained.activation_memory import ActivationMemory
from limner.pretrained.picture_input import picture_input, stacked_views
from limner.pretrained.tiling import Tile, tiles, transformed_tiles, work_of

TILE = 256
"""Height and width of a tile in pixels of the input."""
MUCH_WORK = 10
"""Number of times that tiles may read each pixel, on average, without a warning."""

log = logging.getLogger(__name__)

Picture = np.ndarray | Image.Image
Pictures = Picture | Sequence[Picture]


class PictureNetwork(Protocol):
    """A network that maps a picture of any size to a picture.

    Numbers of pixels are counted in the input.
    """

    scale: int
    """Height of the output divided by the height of the input."""
    overlap: int | None = None
    """Largest distance in pixels from which an input pixel changes an output pixel; None if each
    output pixel depends on the whole picture."""
    multiple: int = 1
    """Number of pixels by which an input may be shifted so that the output is shifted alike."""

    def __call__(self, inputs: Tensor) -> Tensor:
        """Return pictures (B, C, scale * H, scale * W) of inputs (B, C_in, H, W)."""


@runtime_checkable
class Transforms(Protocol):
    """A model that maps a picture of any size to another picture.

    A model that does several things has an attribute `choices`: the values of each further
    argument of `transform`, by its name, such as {"direction": ("ab", "ba")}. If there is a
    direction, `network` has a network for each.
    """

    network: PictureNetwork | Mapping[str, PictureNetwork]

    def transform(self, inputs: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return pictures (B, C, scale * H, scale * W) in [-1, 1], with the EMA weights.

        Args:
            inputs: Pictures float32 (B, C, H, W); [-1, 1] is the range of files.
            mask: 1 where a pixel is known, 0 in a hole, (B, 1, H, W), for models that read it.
        """


def choices_of(module: Transforms) -> list[dict[str, str]]:
    """Return each combination of the choices of a model; [{}] for a model without choices."""
    choices: Mapping[str, Sequence[str]] = getattr(module, "choices", {})
    return [
        dict(zip(choices, values, strict=True)) for values in itertools.product(*choices.values())
    ]


class PictureTransform:
    """A function that maps one picture, uint8 (H, W, C), to one picture.

    For a model of several views, a picture may have the channels of N views, (H, W, N * C).

    Args:
        module: Model in evaluation mode.
        facts: Facts of the data that the model was trained on: `image_shape` and, if the shape of
            the input differs, `input_shape`.
        choices: Value of each choice of the model, such as {"direction": "ab"}; None as a value
            is the same as no value. A choice with only one value may be left out.

    Attributes:
        scale: Height of the output divided by the height of the input.
        channels: Number of channels of the input, without the mask.
        needs_mask: Whether the model fills holes, and reads where they are.
        num_views: Number of views that the model was trained on; None for a model of one picture.

    Raises:
        UserError: If a choice is missing, or the model has no such choice.
    """

    def __init__(
        self, module: Transforms, facts: Mapping[str, Any], choices: Mapping[str, str | None]
    ) -> None:
        self.module, self.choices = module, _checked_choices(module, choices)
        direction = self.choices.get("direction")
        network = module.network if direction is None else module.network[direction]
        self.scale: int = network.scale
        self.overlap: int | None = trait(network, PictureNetwork, "overlap")
        self.multiple: int = trait(network, PictureNetwork, "multiple")
        self.out_channels: int = facts["image_shape"][0]
        in_channels: int = (facts.get("input_shape") or facts["image_shape"])[0]
        self.needs_mask = in_channels == self.out_channels + 1
        self.channels = in_channels - self.needs_mask
        reads_views = getattr(network, "reads_views", False)
        self.num_views: int | None = facts.get("num_views", 1) if reads_views else None
        self._memory = ActivationMemory(self._try)
        self._warned: set[int | None] = set()

    def __call__(
        self, picture: np.ndarray, mask: np.ndarray | None, *, tile: int | None
    ) -> np.ndarray:
        """Return the output, uint8 (scale * H, scale * W, C), of a checked picture."""
        height, width, _ = picture.shape
        output = np.empty((self.scale * height, self.scale * width, self.out_channels), np.uint8)
        found = self.tiles(height, width, tile=tile)
        for rows, columns, pixels in self.run(picture, mask, found):
            output[rows, columns] = pixels
        return output

    def check_size(self, height: int, width: int) -> None:
        """Raise UserError if a picture or its output has too many pixels."""
        for size, what in ((1, "it has"), (self.scale, f"x{self.scale} would give")):
            if height * width * size**2 > MAX_PIXELS:
                raise UserError(
                    f"{what} {width * size} x {height * size} pixels; the limit is {MAX_PIXELS:,}"
                )

    def tiles(self, height: int, width: int, *, tile: int | None) -> list[Tile]:
        """Return the tiles of a picture, after a check of the sizes and of the memory.

        Raises:
            UserError: If the input or the output has too many pixels, or if a tile or a whole
                picture needs more memory than there is.
        """
        if tile is not None and tile < 1:
            raise UserError(f"tile={tile}: must be 1 or more, or null for whole pictures.")
        self.check_size(height, width)
        found = tiles(height, width, tile=tile, overlap=self.overlap, multiple=self.multiple)
        if (work := work_of(found)) > MUCH_WORK and tile not in self._warned:
            self._warned.add(tile)
            log.warning(
                "tile=%s: the parts that are read around the tiles (%s pixels on each side) make\n"
                "this %.0f times the work of the whole picture; choose a larger tile.",
                tile, self.overlap, work,
            )  # fmt: skip
        sizes = [[part.stop - part.start for part in each[2:]] for each in found]
        self._memory.check(
            *max(sizes, key=lambda size: size[0] * size[1]),
            device=self.device,
            advice="This network reads whole pictures: scale the picture down."
            if self.overlap is None
            else "Choose a smaller tile=.",
        )
        return found

    def run(
        self, picture: np.ndarray, mask: np.ndarray | None, found: list[Tile]
    ) -> Iterator[tuple[slice, slice, np.ndarray]]:
        """Yield the output of each tile, see `transformed_tiles`."""
        self.module.eval()  # a user may have trained the module meanwhile
        return transformed_tiles(
            self.apply, picture, found, scale=self.scale, mask=mask, device=self.device
        )

    def apply(self, inputs: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the result of the model's `transform` with the choices."""
        more = {} if mask is None else {"mask": mask}
        if self.num_views is not None:
            inputs = inputs.unflatten(1, (-1, self.channels))
        return self.module.transform(inputs, **more, **self.choices)

    @property
    def device(self) -> torch.device:
        """Device of the model."""
        return next(self.module.parameters()).device

    def _try(self, side: int) -> None:
        channels = self.channels * (self.num_views or 1)
        inputs = torch.zeros(1, channels, side, side, device=self.device)
        known = torch.ones(1, 1, side, side, device=self.device) if self.needs_mask else None
        self.apply(inputs, known)


def transformed(
    transform: PictureTransform, images: Pictures, mask: Pictures | None, *, tile: int | None
) -> Any:
    """Return the output of one or several pictures, see `TrainedModel.transform`."""
    is_batch = isinstance(images, np.ndarray) and images.ndim == 4
    if not is_batch and isinstance(images, np.ndarray | Image.Image | str | PathLike):
        return transform(*_checked(transform, images, mask), tile=tile)
    masks = [None] * len(images) if mask is None else list(mask)
    if len(images) == 0:
        raise UserError("There are no images in this array or list.")
    if len(masks) != len(images):
        raise UserError(f"There are {len(masks)} masks for {len(images)} images.")
    if transform.num_views is not None:
        views = stacked_views([_checked(transform, image, None)[0] for image in images])
        return transform(views, None, tile=tile)
    checked = [_checked(transform, *pair) for pair in zip(images, masks, strict=True)]
    outputs = [transform(*each, tile=tile) for each in checked]
    return np.stack(outputs) if is_batch else outputs


def _checked_choices(module: Transforms, choices: Mapping[str, str | None]) -> dict[str, str]:
    """Return the choices that are given, after a check against the choices that the model has."""
    given = {name: value for name, value in choices.items() if value is not None}
    there: Mapping[str, Sequence[str]] = getattr(module, "choices", {})
    kind = type(module).__name__
    for name, value in given.items():
        if name not in there:
            raise UserError(f"{name}={value}: this {kind} has no {name} to choose.")
    for name, values in there.items():
        if len(values) == 1:
            given.setdefault(name, values[0])
        if given.get(name) not in values:
            value, known = given.get(name, "null"), " or ".join(values)
            raise UserError(f"{name}={value}: this {kind} needs {name}={known}.")
    return given


def _checked(
    transform: PictureTransform, image: Picture, mask: Picture | None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the pixels uint8 (H, W, C) and the mask bool (H, W) of a picture."""
    if mask is not None and not transform.needs_mask:
        raise UserError("This model reads no mask: it was not trained on pictures with holes.")
    if isinstance(image, str | PathLike):
        raise UserError(
            "A picture is a numpy array or a PIL image, not a path; pass "
            f"PIL.Image.open({str(image)!r})."
        )
    if isinstance(image, Image.Image):
        pixels, transparent = _of_pil(transform, image, has_mask=mask is not None)
        mask = transparent if mask is None else mask
    else:
        given = np.asarray(image)
        pixels = given[..., None] if given.ndim == 2 else given
        fits = pixels.dtype == np.uint8 and pixels.ndim == 3
        if not fits or pixels.shape[2] not in (*MODES, transform.channels):
            raise UserError(
                f"Pictures for this model are uint8 (H, W, {transform.channels}), not "
                f"{given.dtype} {given.shape}."
            )
        if pixels.size == 0:
            raise UserError(f"A picture has no pixels: {given.shape}.")
        if pixels.shape[2] != transform.channels:
            picture = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
            pixels, transparent = _of_pil(transform, picture, has_mask=mask is not None)
            mask = transparent if mask is None else mask
    if not transform.needs_mask:
        return pixels, None
    if mask is None:
        raise UserError("This model fills holes: mask= must state 0 for each pixel in a hole.")
    known = np.asarray(mask)
    if known.shape != pixels.shape[:2] or known.dtype not in (np.uint8, np.bool_):
        raise UserError(
            f"The mask of this picture is bool or uint8 {pixels.shape[:2]}, not "
            f"{known.dtype} {known.shape}."
        )
    return pixels, known != 0


def _of_pil(
    transform: PictureTransform, picture: Image.Image, *, has_mask: bool
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the pixels of a PIL picture, and its mask if the model needs one from it."""
    if transform.channels not in MODES:
        raise UserError(f"This model reads {transform.channels} channels: pass arrays.")
    reads_alpha = transform.needs_mask and not has_mask
    try:
        made = picture_input(picture, channels=transform.channels, needs_mask=reads_alpha)
    except UserError as error:
        raise UserError(f"A picture does not fit: {error}. Pass mask= instead.") from error
    except NotPlainError as error:
        raise UserError(f"A picture {error}.") from error
    if made.alpha is not None and not has_mask:
        raise UserError(
            "A picture has transparent pixels, which this model does not read: convert it "
            "first, such as by picture.convert('RGB')."
        )
    return made.pixels, made.mask
