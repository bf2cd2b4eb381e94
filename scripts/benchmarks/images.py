"""Images of noise, in one file that all opponents read."""

__all__ = ["MadeUpImages", "SavedImages", "labels", "load_images", "picture", "save_images"]

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

NUM_CLASSES = 10


def save_images(path: Path, image_shape: Sequence[int], *, num_images: int) -> None:
    """Write uint8 noise (num_images, C, H, W), the same every time."""
    noise = np.random.default_rng(0).integers(0, 256, (num_images, *image_shape), dtype=np.uint8)
    np.save(path, noise)


def load_images(path: str) -> np.ndarray:
    """Return uint8 images (N, C, H, W)."""
    return np.load(path)


class SavedImages:
    """The images of a file of `save_images`, as a source of limner.

    Args:
        path: Path of the .npy file.
    """

    def __init__(self, *, path: str) -> None:
        self.path = path

    def pictures(self) -> dict:
        """Return all images as training images with artificial labels."""
        from limner.data.sources import Pictures  # the other opponents import this module too

        images = np.load(self.path, mmap_mode="r")
        stat = Path(self.path).stat()
        return {
            "train": Pictures(
                names=[f"image {i}" for i in range(len(images))],
                read=lambda i: picture(images[i]),
                labels=labels(len(images)),
                classes=[str(i) for i in range(NUM_CLASSES)],
                fingerprint=[self.path, stat.st_size, stat.st_mtime_ns],
                sizes=[stat.st_size],
            )
        }


def picture(image: np.ndarray) -> Image.Image:
    """Return a picture of one uint8 image (C, H, W)."""
    return Image.fromarray(image[0] if len(image) == 1 else image.transpose(1, 2, 0))


def labels(num_images: int) -> list[int]:
    """Return an artificial class for each image."""
    return [i % NUM_CLASSES for i in range(num_images)]


class MadeUpImages:
    """Any number of synthetic pictures, each made when it is read.

    Args:
        path: Path that identifies the pictures; no file is read.
        num_images: Number of pictures.
        size: Height and width in pixels.
    """

    def __init__(self, *, path: str, num_images: int, size: int) -> None:
        self.path, self.num_images, self.size = path, num_images, size

    def pictures(self) -> dict:
        """Return all pictures as training images without labels."""
        from limner.data.sources import Pictures

        block = np.random.default_rng(0).integers(0, 256, (self.size, self.size, 3), np.uint8)
        return {
            "train": Pictures(
                names=[f"image {i}" for i in range(self.num_images)],
                read=lambda i: Image.fromarray(block + np.uint8(i % 256)),
                labels=None,
                classes=[],
                fingerprint=[self.path, self.num_images, self.size],
                sizes=[],
            )
        }
