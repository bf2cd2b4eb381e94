"""Stacked MNIST: three random digits are the channels of an image, so there are 1,000 modes.

Metz et al. (2017), https://arxiv.org/abs/1611.02163; Lin et al. (2018), section 4.2,
https://arxiv.org/abs/1712.04086. The label of an image is its three digits as a number: 0 to 999.
An image is a pure function of (seed, number of the image), rendered when it is read.
"""

__all__ = ["StackedDigits"]

import hashlib
import json
from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor

from limner.data.digit_splits import DigitSplit, digit_splits
from limner.data.picture_texts import PictureTexts
from limner.data.shapes import SPLITS, STRIDE
from limner.data.sources import OpenedSource, Source
from limner.errors import UserError
from limner.randomness import hashed, seed_for

VERSION = 1  # part of the fingerprint: changes if the same arguments give other images
NUM_DIGITS = 3
"""Number of digits of an image."""
NUM_COLUMNS = 4
"""Number of random numbers per image; the last is spare."""
BLACK = (0, 0, 0)


class StackedDigits:
    """Source of images whose channels are random digits.

    Training, validation and test images show different digits: validation digits are held out of
    the training digits, and test digits are the test split of the digits' source.

    Args:
        digits: Source of grey pictures of digits with labels, white on black.
        digit_size: Height and width of a digit. Larger images have a black margin.
        num_train: Number of training images.
        num_validation: Number of validation images.
        num_test: Number of test images.
        held_out: Share in (0, 1) of the training digits that only validation images show.
        seed: Seed of the images, not of the run.
    """

    def __init__(
        self,
        *,
        digits: Source,
        digit_size: int,
        num_train: int,
        num_validation: int,
        num_test: int,
        held_out: float,
        seed: int,
    ) -> None:
        self.sizes = {"train": num_train, "validation": num_validation, "test": num_test}
        for split, size in self.sizes.items():
            if not (split == "train") <= size < STRIDE // NUM_COLUMNS:
                raise UserError(
                    f"data.source.num_{split}={size}: must be {int(split == 'train')} or more."
                )
        if not 0 < held_out < 1:
            raise UserError(f"data.source.held_out={held_out}: must be above 0 and below 1.")
        self.digits, self.digit_size = digits, digit_size
        self.held_out, self.seed = held_out, seed

    def open_stores(self, image_shape: Sequence[int] | None, *, with_labels: bool) -> OpenedSource:
        """Return the stores of the splits; the first call decodes the digits.

        Raises:
            UserError: If the images have not three channels, or are smaller than a digit; or if
                the digits have no labels.
        """
        least = self.digit_size
        if image_shape is None or image_shape[0] != NUM_DIGITS or min(image_shape[1:]) < least:
            shown = "null" if image_shape is None else list(image_shape)
            raise UserError(
                f"data.image_shape={shown}: stacked digits have 3 channels and {least} pixels or "
                f"more\non each side, such as data.image_shape=[3,32,32]."
            )
        splits = digit_splits(
            self.digits, size=self.digit_size, with_labels=True, split_seed=self.seed,
            validation_fraction=self.held_out, test_fraction=self.held_out, background=BLACK,
        )  # fmt: skip
        for split, found in splits.items():
            if found.labels is None:
                raise UserError("data.source.digits has no labels: modes are labels of digits.")
            if self.sizes[split] and not len(found.labels):
                raise UserError(
                    f"data.source.num_{split}={self.sizes[split]}: there are no digits for this "
                    "split.\nChoose 0, or another data.source.held_out."
                )
        stores = {
            split: StackedDigitsStore(
                splits[split], image_shape, first=STRIDE * number, size=self.sizes[split],
                seed=self.seed, with_labels=with_labels,
            )
            for number, split in enumerate(SPLITS)
        }  # fmt: skip
        classes = [f"{n:0{NUM_DIGITS}}" for n in range(10**NUM_DIGITS)] if with_labels else []
        return OpenedSource(list(image_shape), classes, stores, stores["train"].fingerprint)


class StackedDigitsStore:
    """Store that stacks digits on request, on any device.

    Args:
        digits: Digits to choose from, with labels.
        image_shape: (C, H, W), with one digit per channel.
        first: Number of the first image.
        size: Number of images.
        seed: Seed of the images.
        with_labels: Whether the images have labels.
    """

    waits = False
    background: str | None = None
    about = PictureTexts()
    texts: Tensor | None = None

    def __init__(
        self,
        digits: DigitSplit,
        image_shape: Sequence[int],
        *,
        first: int,
        size: int,
        seed: int,
        with_labels: bool,
    ) -> None:
        self.digits, self.image_shape = digits, tuple(image_shape)
        self.first, self.size = first, size
        self._seed = seed_for(seed, "stacked digits")
        key = [VERSION, digits.fingerprint, self.image_shape, first, size, seed, with_labels]
        self.fingerprint = hashlib.sha256(json.dumps(key).encode()).hexdigest()
        places = torch.tensor([10**i for i in reversed(range(self.image_shape[0]))])
        labels = (self.shown(torch.arange(size)) * places).sum(1) if with_labels else None
        self.labels: Tensor | None = labels

    def __len__(self) -> int:
        return self.size

    @property
    def num_bytes(self) -> int:
        """Memory that the digits take on a device."""
        return self.digits.images.nbytes

    @property
    def device(self) -> torch.device:
        """Device of the digits."""
        return self.digits.images.device

    def to(self, device: torch.device) -> Self:
        """Return a store that stacks on `device`."""
        moved = object.__new__(type(self))
        images, labels, fingerprint = self.digits
        digits = DigitSplit(images.to(device), labels.to(device), fingerprint)
        own = None if self.labels is None else self.labels.to(device)
        moved.__dict__ |= vars(self) | {"digits": digits, "labels": own}
        return moved

    def gather(self, indices: Tensor) -> Tensor:
        """Stack the images, uint8 (B, C, H, W), at int64 `indices` (B,)."""
        channels, height, width = self.image_shape
        size = self.digits.images.shape[1]
        top, left = (height - size) // 2, (width - size) // 2
        black = (len(indices), channels, height, width)
        images = torch.zeros(black, dtype=torch.uint8, device=self.device)
        chosen = self.digits.images[self._chosen(indices)]
        images[:, :, top : top + size, left : left + size] = chosen
        return images

    def shown(self, indices: Tensor) -> Tensor:
        """Return the digits 0 to 9 of each image, int64 (B, C)."""
        return self.digits.labels[self._chosen(indices)]

    def _chosen(self, indices: Tensor) -> Tensor:
        """Return the number of the picture in each channel, int64 (B, C)."""
        numbers = (self.first + indices.to(self.device))[:, None] * NUM_COLUMNS
        columns = torch.arange(self.image_shape[0], device=self.device)
        drawn = hashed(numbers + columns + self._seed)  # 24 bits
        return drawn * len(self.digits.images) >> 24
