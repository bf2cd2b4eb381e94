"""Files and arrays in, batches out."""

from limner.data.module import ImageDataModule
from limner.data.sources import Digits, ImageFolder, TorchvisionSource

__all__ = ["Digits", "ImageDataModule", "ImageFolder", "TorchvisionSource"]
