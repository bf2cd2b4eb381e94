"""Digits of 4x4 pixels that a linear classifier learns in a moment: digit d lights pixel d."""

import numpy as np
from PIL import Image
from torch import nn

from limner.data import StackedDigits
from limner.data.sources import Pictures


class LitDigits:
    """Source of digits: number i of a split has the label i mod 10 and a level of its own.

    Levels of training digits are 100 + i, and of test digits 230 + i.
    """

    def __init__(self, *, with_test=True, with_labels=True):
        self.with_test, self.with_labels = with_test, with_labels

    def pictures(self):
        def split(first, number):
            def read(i):
                pixels = np.zeros(16, np.uint8)
                pixels[i % 10] = first + i
                return Image.fromarray(pixels.reshape(4, 4))

            labels = [i % 10 for i in range(number)]
            return Pictures(
                names=[str(i) for i in range(number)], read=read,
                labels=labels if self.with_labels else None,
                classes=[str(i) for i in range(10)] if self.with_labels else [],
                fingerprint=["lit", first], sizes=[first],
            )  # fmt: skip

        return {"train": split(100, 100)} | ({"test": split(230, 20)} if self.with_test else {})


class Linear(nn.Module):
    """Classifier of images (B, 1, H, W) into ten classes, with the pixels as features."""

    def __init__(self, num_pixels=16):
        super().__init__()
        self.num_features, self.head = num_pixels, nn.Linear(num_pixels, 10)

    def features(self, images):
        return images.flatten(1)

    def forward(self, images):
        return self.head(self.features(images))


def stacked(**changes):
    """Return a source of stacked lit digits."""
    usual = {
        "digits": LitDigits(), "digit_size": 4, "num_train": 400, "num_validation": 30,
        "num_test": 50, "held_out": 0.2, "seed": 0,
    }  # fmt: skip
    return StackedDigits(**usual | changes)
