"""The grids of images within pictures that training has drawn."""

from pathlib import Path

import numpy as np
from PIL import Image

from limner.files.pictures import grid_box


def grid_of(path: Path) -> np.ndarray:
    """Return the pixels (H, W, C) of a picture's grid, without its title and labels."""
    picture = Image.open(path)
    return np.asarray(picture.crop(grid_box(picture)))
