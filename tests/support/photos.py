"""Small photos, cut out of the pictures that scikit-image ships."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from skimage import data

PICTURES = ("cat", "coffee", "rocket", "astronaut")


def photos(num_images: int, *, size: int, seed: int = 0) -> torch.Tensor:
    """Return random parts of the pictures, uint8 (num_images, 3, size, size)."""
    random, found = np.random.default_rng(seed), []
    pictures = [getattr(data, name)() for name in PICTURES]
    for i in range(num_images):
        picture = pictures[i % len(pictures)]
        top, left = (random.integers(side - 2 * size) for side in picture.shape[:2])
        found.append(picture[top : top + 2 * size : 2, left : left + 2 * size : 2])
    return torch.from_numpy(np.stack(found)).permute(0, 3, 1, 2).contiguous()


def write_photos(folder: Path, num_images: int, *, sizes: Sequence[tuple[int, int]]) -> Path:
    """Write photos as PNG files, whose heights and widths are `sizes` in turn."""
    folder.mkdir()
    largest = max(side for size in sizes for side in size)
    for i, photo in enumerate(photos(num_images, size=largest)):
        height, width = sizes[i % len(sizes)]
        pixels = photo[:, :height, :width].permute(1, 2, 0).contiguous().numpy()
        Image.fromarray(pixels).save(folder / f"{i:02d}.png")
    return folder
