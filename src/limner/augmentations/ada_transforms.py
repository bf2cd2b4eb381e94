"""ADA's pixel blitting, geometric and colour transformations, each with probability p.

Karras et al. (2020), appendix B, https://arxiv.org/abs/2006.06676, defines more transformations.
This module has only the transformations with which the paper trains. Random numbers are used in a
fixed order, p is a tensor, and a transformation that is not applied takes its neutral value. So no
step waits for the device.

Blitting (flip, quarter turns, shift by whole pixels) copies pixels. The geometric transformations
interpolate between pixels with the filters of `limner.augmentations.warping`. The paper does both
in one lookup with filters that are not quite symmetric, so that a flip changes fine detail. Here a
flip keeps fine detail, and an image without a geometric transformation keeps its exact pixels.
"""

__all__ = ["NUM_DRAWS_COLOUR", "NUM_DRAWS_GEOMETRY", "change_colour", "colour_matrix", "move"]

import math
from typing import NamedTuple

import torch
from torch import Tensor

from limner.augmentations.matrices import rotation, scaling, translation
from limner.augmentations.random_columns import RandomColumns
from limner.augmentations.warping import fold, warp

NUM_DRAWS_GEOMETRY, NUM_DRAWS_COLOUR = 18, 10


def move(images: Tensor, *, uniform: Tensor, p: Tensor) -> Tensor:
    """Flip, turn, shift and scale images; pixels beyond the border are mirrored.

    Args:
        images: Images (B, C, H, W).
        uniform: Random numbers (B, NUM_DRAWS_GEOMETRY) from U[0, 1).
        p: Probability of each transformation, () in [0, 1].
    """
    height, width = images.shape[2:]
    draws = RandomColumns(uniform)
    blit = _draw_blit(draws, p, height=height, width=width)
    geometry = _draw_geometry(draws, p, height=height, width=width)
    x, y = (geometry.new_full((1,), (size - 1) / 2) for size in (width, height))
    source = (translation(x, y) @ geometry @ translation(-x, -y))[:, :2]
    source = torch.where(blit.swaps[:, None, None], source.flip(1), source)
    source = torch.cat([source[..., :2], source[..., 2:] + blit.offset[..., None]], dim=-1)
    is_moved = (geometry != torch.eye(3, device=geometry.device)).flatten(1).any(1)
    warped = warp(images.to(torch.promote_types(images.dtype, torch.float32)), source=source)
    warped = warped.to(images.dtype)
    return torch.where(is_moved[:, None, None, None], warped, blit(images))


def change_colour(images: Tensor, *, uniform: Tensor, p: Tensor) -> Tensor:
    """Change brightness, contrast, hue and saturation of images with 1 or 3 channels.

    The matrix of `colour_matrix` is applied to x + b, with brightness b.

    Args:
        images: Images (B, C, H, W) in [-1, 1].
        uniform: Random numbers (B, NUM_DRAWS_COLOUR) from U[0, 1).
        p: Probability of each transformation, () in [0, 1].
    """
    draws = RandomColumns(uniform)
    brightness = draws.maybe(p, 0.2 * draws.normal(), 0.0)
    contrast = draws.maybe(p, torch.exp2(0.5 * draws.normal()), 1.0)
    luma = draws.maybe(p, 1 - 2 * draws.integer(2), 1.0)
    hue = draws.maybe(p, draws.angle(), 0.0)
    saturation = draws.maybe(p, torch.exp2(draws.normal()), 1.0)
    images = images + brightness.to(images.dtype)[:, None, None, None]
    if images.shape[1] == 1:
        return images * (contrast * luma).to(images.dtype)[:, None, None, None]
    matrix = colour_matrix(contrast=contrast, luma=luma, hue=hue, saturation=saturation)
    return (matrix.to(images.dtype) @ images.flatten(2)).view_as(images)


def colour_matrix(*, contrast: Tensor, luma: Tensor, hue: Tensor, saturation: Tensor) -> Tensor:
    """Return the matrices (B, 3, 3) that change the colours (red, green, blue) of each image.

    Let P be the projection onto the grey axis and K the cross product with its unit vector. Then
    contrast c, luma flip f = +-1, hue angle h and saturation s together are the matrix

        c (f P + s (cos(h) (I - P) + sin(h) K))

    Each of the four acts separately on the grey axis and on the plane perpendicular to it.

    Args:
        contrast: Factor c of each image, (B,).
        luma: Factor f of each image, (B,): 1, or -1 for inverted brightness.
        hue: Angle h of each image in radians, (B,).
        saturation: Factor s of each image, (B,).
    """
    identity = torch.eye(3, device=contrast.device)
    grey = torch.full_like(identity, 1 / 3)
    across = (identity.roll(1, 0) - identity.roll(-1, 0)) / math.sqrt(3)
    luma, hue, saturation = (each[:, None, None] for each in (luma, hue, saturation))
    turned = torch.cos(hue) * (identity - grey) + torch.sin(hue) * across
    return contrast[:, None, None] * (luma * grey + saturation * turned)


class _Blit(NamedTuple):
    """Copy of whole pixels: pixel (x, y) comes from (x, y) + offset, or from (y, x) + offset.

    Positions are in the plane of an image and its mirror images. A flip of the plane is a shift by
    the image's width or height, and a quarter turn is a transposition and a shift.
    """

    swaps: Tensor
    """Whether x and y are swapped, (B,)."""
    offset: Tensor
    """Offset (x, y) in whole pixels, (B, 2)."""

    def __call__(self, images: Tensor) -> Tensor:
        height, width = images.shape[2:]
        x = torch.arange(width, device=images.device)
        y = torch.arange(height, device=images.device)[:, None]
        swaps, offset = self.swaps[:, None, None], self.offset.long()[..., None, None]
        columns = fold(torch.where(swaps, y, x) + offset[:, 0], width)
        rows = fold(torch.where(swaps, x, y) + offset[:, 1], height)
        pixels = (rows * width + columns).flatten(1)[:, None].expand(-1, images.shape[1], -1)
        return images.flatten(2).gather(2, pixels).view_as(images)


def _draw_blit(draws: RandomColumns, p: Tensor, *, height: int, width: int) -> _Blit:
    """Draw a flip along x, then quarter turns, then a shift.

    A quarter turn of an image whose height and width differ by an odd number would end between
    pixels; the shift is rounded to whole pixels.
    """
    flip = draws.maybe(p, draws.integer(2), 0.0) == 1
    quarters = draws.maybe(p, draws.integer(4), 0.0)
    x, y = ((draws.signed() * size / 8).round() for size in (width, height))
    x, y = draws.maybe_both(p, x, y)
    swaps = quarters % 2 == 1
    flips_x, flips_y = flip ^ (quarters >= 2), (quarters == 1) | (quarters == 2)
    x_offset = width * flips_x + torch.where(swaps, (width - height) // 2 - y, -x)
    y_offset = height * flips_y + torch.where(swaps, (height - width) // 2 - x, -y)
    return _Blit(swaps, torch.stack([x_offset, y_offset], 1))


def _draw_geometry(draws: RandomColumns, p: Tensor, *, height: int, width: int) -> Tensor:
    """Draw where each pixel comes from: (B, 3, 3), in pixels (x right, y down) around the centre.

    The matrix is the product of the inverse transformations, in their order.
    """
    turn = 1 - torch.sqrt(1 - p)  # of two turns, at least one happens with probability p
    scale = draws.maybe(p, torch.exp2(0.2 * draws.normal()), 1.0)
    before = draws.maybe(turn, draws.angle(), 0.0)
    stretch = draws.maybe(p, torch.exp2(0.2 * draws.normal()), 1.0)
    after = draws.maybe(turn, draws.angle(), 0.0)
    further_x, further_y = (draws.normal() * size / 8 for size in (width, height))
    further_x, further_y = draws.maybe_both(p, further_x, further_y)
    return (
        scaling(1 / scale, 1 / scale)
        @ rotation(-before)
        @ scaling(1 / stretch, stretch)
        @ rotation(-after)
        @ translation(-further_x, -further_y)
    )
