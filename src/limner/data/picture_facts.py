"""Checks of the arguments of a data module of pictures, and the shapes that follow from them."""

__all__ = [
    "check_arguments", "check_degradation", "refuse_cutout", "refuse_other_facts",
    "shape_of_inputs",
]  # fmt: skip

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from limner.augmentations.degradations import Degradation
from limner.errors import UserError
from limner.interfaces import Augmentation, trait
from limner.randomness import PictureNoise, generator_for

MANY = 16
"""Number of images that a degradation must leave unchanged to count as none."""


def check_arguments(*, num_channels: int, store: str, **sizes: int) -> None:
    """Raise `UserError` for values that no pictures fit.

    Args:
        num_channels: Number of channels of the pictures.
        store: Kind of the store.
        sizes: Values that must be 1 or more, among them crop_size and scale.
    """
    for key, value in sizes.items():
        if value < 1:
            raise UserError(f"data.{key}={value}: must be 1 or more.")
    if num_channels not in (1, 3):
        raise UserError(f"data.num_channels={num_channels}: must be 1 (grey) or 3 (RGB).")
    crop_size, scale = sizes["crop_size"], sizes["scale"]
    if crop_size % scale != 0:
        raise UserError(
            f"data.crop_size={crop_size}: must be a multiple of data.scale={scale}, such as "
            f"{max(1, round(crop_size / scale)) * scale}."
        )
    if store == "streamed":
        raise UserError(
            "data.store=streamed: whole pictures are decoded once; choose auto, memory or mapped."
        )


def shape_of_inputs(
    *, num_channels: int, crop_size: int, scale: int, degradation: Degradation | None
) -> list:
    """Return (C, H, W) of the input of a crop, with its mask as a channel.

    Raises:
        UserError: If the degradation changes the size by another factor than the scale.
    """
    size = crop_size // scale
    if degradation is None:
        return [num_channels, size, size]
    factor = trait(degradation, Degradation, "factor")
    if factor != scale:
        raise UserError(
            f"data.scale={scale}: data.degradation makes inputs of 1/{factor} of the size:\n"
            f"choose data.scale={factor}, or another data/degradation."
        )
    return [num_channels + trait(degradation, Degradation, "adds_mask"), size, size]


def check_degradation(
    degradation: Degradation, *, image_shape: Sequence[int], input_shape: Sequence[int]
) -> None:
    """Raise `UserError` if inputs of crops have another shape than is stated, or equal the crops.

    The degradation `copy` may return its images, since a user chooses it for this.

    Args:
        degradation: The degradation, perhaps a class outside limner.
        image_shape: (C, H, W) of a crop.
        input_shape: (C, H, W) of its input, with its mask as a channel.
    """
    num_images = 2
    found = degradation(torch.zeros(num_images, *image_shape), draws=PictureNoise(0))
    parts = [found.input] if found.mask is None else [found.input, found.mask]
    shapes = [tuple(part.shape) for part in parts]
    channels, height, width = input_shape
    if [shape[0] for shape in shapes] != [num_images] * len(parts) or any(
        shape[2:] != (height, width) for shape in shapes
    ) or sum(shape[1] for shape in shapes) != channels:  # fmt: skip
        raise UserError(
            f"data.degradation returned {' and '.join(map(str, shapes))} for {num_images} images "
            f"{tuple(image_shape)}.\nBy data.scale and its attributes factor and adds_mask, "
            f"it must return {channels} channels of {height}x{width} in all."
        )
    kinds = [
        part.get("kind") for part in degradation.protocol().values() if isinstance(part, Mapping)
    ]
    if "copy" not in kinds and all(_is_copied(degradation, image_shape, n) for n in (2, MANY)):
        scale = image_shape[1] // height
        raise UserError(
            f"data.scale={scale} and data.degradation make inputs that equal their targets, so "
            "there\nis nothing to learn: choose data/degradation=noise or another, or (with "
            "resize) data.scale=2."
        )


def refuse_cutout(augmentation: Augmentation | None) -> None:
    """Raise `UserError` for an augmentation with a part that hides pixels of the targets."""
    parts = getattr(augmentation, "parts", {})
    hiding = [
        name
        for name, part in (parts.items() if isinstance(parts, Mapping) else ())
        if getattr(part, "hides_pixels", False) and not part.is_off
    ]
    if hiding:
        raise UserError(
            f"data.augmentation.parts.{hiding[0]} draws grey boxes into the targets, which this "
            f"model would learn:\nremove it with ~data.augmentation.parts.{hiding[0]}"
        )


def _is_copied(degradation: Degradation, image_shape: Sequence[int], num_images: int) -> bool:
    """Return whether the inputs of random images of 8 bits equal the images."""
    generator = generator_for(0, "degradation", num_images)
    images = torch.rand(num_images, *image_shape, generator=generator)
    images = (images * 255).round() / 127.5 - 1
    found = degradation(images, draws=PictureNoise(0))
    if found.mask is not None and not bool(found.mask.all()):
        return False
    return found.input.shape == images.shape and torch.allclose(found.input, images, atol=1e-3)


def refuse_other_facts(data: Any, **given: Any) -> None:
    """Raise `UserError` for a fact in the config that differs from the data's attribute.

    Args:
        data: Data module whose attributes are the facts.
        given: Value of each fact in the config; None before the data are open.
    """
    for key, value in given.items():
        true = getattr(data, key)
        if value not in (None, true):
            raise UserError(
                f"data.{key}={value}: it is {true}, by the other keys of data (crop_size,\n"
                "scale, degradation). Leave it null."
            )
