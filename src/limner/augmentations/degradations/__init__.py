"""Degradations: what makes the input of a model that restores pictures, from the target.

A degradation changes each image of a batch on its device by the image's own random numbers, see
`limner.augmentations.degradations.protocols`.
"""

from limner.augmentations.degradations.blur import GaussianBlur
from limner.augmentations.degradations.composed import Degradations
from limner.augmentations.degradations.copy import Copy
from limner.augmentations.degradations.holes import Holes
from limner.augmentations.degradations.jpeg import JPEG
from limner.augmentations.degradations.low_light import LowLight
from limner.augmentations.degradations.noise import GaussianNoise
from limner.augmentations.degradations.protocols import Degradation, Degraded, Draws
from limner.augmentations.degradations.resizing import Downscale, Resize

__all__ = [
    "JPEG",
    "Copy",
    "Degradation",
    "Degradations",
    "Degraded",
    "Downscale",
    "Draws",
    "GaussianBlur",
    "GaussianNoise",
    "Holes",
    "LowLight",
    "Resize",
]
