"""Moving MNIST: digits that move in a square, bounce off its borders and pass through each other.

Srivastava et al. (2015), https://arxiv.org/abs/1502.04681. A sequence is a pure function of (seed,
number of the sequence), rendered when it is read. Where digits overlap, the brighter pixel counts.
"""

__all__ = ["MovingDigits"]

import hashlib
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import torch
from torch import Tensor

from limner.data.digit_splits import digit_splits
from limner.data.moving_paths import MOST, bouncing, path_draws
from limner.data.published_sequences import published_sequences
from limner.data.sequence_store import OpenedSequences, SequenceSettings, SequenceStore
from limner.data.shapes import STRIDE
from limner.data.sources import Source
from limner.errors import UserError
from limner.randomness import seed_for

VERSION = 1  # part of the fingerprint: changes if the same arguments give other sequences
TEST_SEED = 0
"""Seed of the test sequences, which are the same for every `data.source.seed`."""


class MovingDigits:
    """Source of sequences of moving digits.

    Training, validation and test sequences show different digits: validation digits are held out
    of the training digits, and test digits are the test split of the digits' source.

    Args:
        digits: Source of grey pictures of digits, white on black.
        digit_size: Height and width of a digit.
        num_digits: Number of digits in each sequence, from 1 to 16.
        step: Way of a digit between two frames, as a share of the room that it can move in.
        num_train: Number of training sequences in an epoch.
        num_validation: Number of validation sequences.
        num_test: Number of test sequences.
        seed: Seed of the training and validation sequences, not of the run.
        test_file: Path of the published test set, mnist_test_seq.npy, to test on instead; or None.
    """

    def __init__(
        self,
        *,
        digits: Source,
        digit_size: int,
        num_digits: int,
        step: float,
        num_train: int,
        num_validation: int,
        num_test: int,
        seed: int,
        test_file: str | None,
    ) -> None:
        check_sizes(train=num_train, validation=num_validation, test=num_test)
        if not 1 <= num_digits <= MOST:
            raise UserError(f"data.num_digits={num_digits}: must be from 1 to {MOST}.")
        if not 0 < step <= 1:
            raise UserError(f"data.source.step={step}: must be above 0 and at most 1.")
        self.digits, self.digit_size, self.num_digits = digits, digit_size, num_digits
        self.step, self.seed, self.test_file = step, seed, test_file
        self.sizes = {"train": num_train, "validation": num_validation, "test": num_test}

    def open_sequences(self, settings: SequenceSettings) -> OpenedSequences:
        """Return the stores of the splits; the first call decodes the digits.

        Raises:
            UserError: If the frames are too small for a digit, or a split has no digits.
        """
        _, height, width = settings.image_shape
        if min(height, width) <= self.digit_size:
            raise UserError(
                f"data.image_size={height}: must be above {self.digit_size}, the size of a digit."
            )
        stores: dict[str, SequenceStore] = {}
        splits = digit_splits(
            self.digits, size=self.digit_size, with_labels=False,
            validation_fraction=settings.validation_fraction,
            test_fraction=settings.validation_fraction, split_seed=settings.split_seed,
            background=settings.background,
        )  # fmt: skip
        for number, (split, (digits, _, fingerprint)) in enumerate(splits.items()):
            stores[split] = MovingDigitsStore(
                digits, num_digits=self.num_digits, step=self.step,
                frame_shape=settings.image_shape, num_frames=settings.num_frames,
                first=STRIDE * number, size=self.sizes[split],
                seed=TEST_SEED if split == "test" else self.seed, fingerprint=fingerprint,
            )  # fmt: skip
            if self.sizes[split] and not len(digits):
                raise UserError(
                    f"data.source.num_{split}={self.sizes[split]}: there are no digits for this "
                    "split.\nChoose 0, or another data.validation_fraction."
                )
        if self.test_file is not None:
            stores["test"] = published_sequences(Path(self.test_file).expanduser(), settings)
        return OpenedSequences(stores, stores["train"].fingerprint, None)


class MovingDigitsStore:
    """Store that renders moving digits on request, on any device.

    Args:
        digits: uint8 (N, D, D): digits to choose from.
        num_digits: Number K of digits in each sequence.
        step: Way of a digit between two frames, as a share of the room that it can move in.
        frame_shape: (C, H, W) of a frame; each channel shows the same.
        num_frames: Number T of frames.
        first: Number of the first sequence.
        size: Number of sequences of an epoch.
        seed: Seed of the sequences.
        fingerprint: Text that changes with the digits.
    """

    waits, endless, num_bytes = False, True, 0
    labels: Tensor | None = None
    background: str | None = None

    def __init__(
        self,
        digits: Tensor,
        *,
        num_digits: int,
        step: float,
        frame_shape: Sequence[int],
        num_frames: int,
        first: int,
        size: int,
        seed: int,
        fingerprint: str,
    ) -> None:
        self.digits, self.num_digits, self.step = digits, num_digits, step
        self.frame_shape, self.num_frames = tuple(frame_shape), num_frames
        self.first, self.size = first, size
        self.device = torch.device("cpu")
        self.lengths = torch.full((size,), num_frames)
        self._seed = seed_for(seed, "moving digits")
        key = [VERSION, fingerprint, num_digits, step, self.frame_shape, num_frames, first, size]
        self.fingerprint = hashlib.sha256(json.dumps([*key, seed]).encode()).hexdigest()

    def __len__(self) -> int:
        return self.size

    def to(self, device: torch.device) -> Self:
        """Return a store that renders on `device`."""
        moved = object.__new__(type(self))
        moved.__dict__ |= vars(self) | {"device": device, "digits": self.digits.to(device)}
        return moved

    def gather(self, indices: Tensor, starts: Tensor | None = None) -> Tensor:
        """Render the frames, uint8 (B, T, C, H, W), at int64 `indices` (B,).

        `starts` has no effect, since a sequence has T frames.
        """
        num, length = len(indices), self.num_frames
        channels, height, width = self.frame_shape
        size = self.digits.shape[1]
        drawn = path_draws(self.first + indices.to(self.device), self.num_digits, seed=self._seed)
        chosen = (drawn[..., 0] * len(self.digits)).long().clamp(max=len(self.digits) - 1)
        drawn = drawn.double()
        room = drawn.new_tensor([width - size, height - size])
        places = bouncing(
            drawn[..., 1:3], 2 * math.pi * drawn[..., 3], self.step, num_frames=length
        )
        left, top = (places * room).long().unbind(-1)
        rows = torch.arange(size, device=self.device)
        frames = torch.zeros(num, length, height, width, dtype=torch.uint8, device=self.device)
        firsts = torch.arange(num * length, device=self.device).view(num, length) * height * width
        for k in range(self.num_digits):
            corner = firsts + top[:, k] * width + left[:, k]
            pixels = corner[..., None, None] + (rows[:, None] * width + rows)
            digit = self.digits[chosen[:, k]][:, None]
            frames.put_(pixels, torch.maximum(frames.take(pixels), digit))
        return frames[:, :, None].expand(-1, -1, channels, -1, -1)


def check_sizes(**sizes: int) -> None:
    """Raise `UserError` for a number of sequences of a split that is too small or too large."""
    for split, size in sizes.items():
        if not (split == "train") <= size < STRIDE // 4:
            raise UserError(
                f"data.source.num_{split}={size}: must be {int(split == 'train')} or more."
            )
