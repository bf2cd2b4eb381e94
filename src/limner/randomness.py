"""Random numbers as a pure function of the seed, the purpose, the time, and the image or process.

The random numbers of an update depend only on the run's seed and the number of the update. So a
resumed run draws exactly the same numbers as an uninterrupted run, whatever ran in between
(validation, pictures, scores). The random numbers for images (`Noise`) do not depend on the number
of processes either. The random numbers that torch draws by itself, for example for dropout, also
depend on the rank.
"""

__all__ = [
    "Noise", "PictureNoise", "generator_for", "hashed", "seed_for", "seed_torch",
    "uniform_labels",
]  # fmt: skip

import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor


class Noise:
    """Random numbers for each image of an optimizer step, the same on any number of processes.

    Every process draws the numbers of all images of the step from the same seed, and takes the
    rows of its own images. The order of the rows is the order of the images, see
    `limner.data.batches`: first the images of rank 0, then the images of rank 1, and so on. A
    model that splits its images into micro-batches within a step first draws the numbers for all
    images, and then splits the numbers in the same way.

    A model has a `Noise` in its attribute `noise`, and training calls `start` before each update.
    Without `start`, the numbers come from torch's own generator, for the given images only. The
    numbers are drawn in float32 and then converted, so that runs which differ only in their
    precision begin with the same numbers. Devices of the same kind give the same numbers. No
    method waits for the device. Each process draws the numbers of all processes. This is fast
    for codes, but slow for noise as large as the images on very many processes.
    """

    def __init__(self) -> None:
        self._seed: int | None = None
        self._rank, self._world_size = 0, 1
        self._part, self._num_parts = 0, 1
        self._generator: torch.Generator | None = None

    def start(self, seed: int, *, rank: int, world_size: int) -> None:
        """Begin an update.

        All processes pass the same seed, and draw in the same order.

        Args:
            seed: Seed of the update.
            rank: Rank of this process, in [0, world_size).
            world_size: Number of processes.
        """
        self._seed, self._rank, self._world_size = seed, rank, world_size
        self.begin_part(0, num_parts=1)

    def begin_part(self, part: int, *, num_parts: int) -> None:
        """Begin the update again for one of several equal micro-batches of each process's images.

        With gradient accumulation, a model draws for the images of one micro-batch at a time.
        These images get the same rows as in a draw for all images.

        Args:
            part: Index of the micro-batch, in [0, num_parts).
            num_parts: Number of micro-batches in an optimizer step.
        """
        self._part, self._num_parts = part, num_parts
        if self._generator is not None:
            self._generator.manual_seed(self._seed)

    def normal(self, images: Tensor, *shape: int) -> Tensor:
        """Draw N(0, 1) numbers (B, *shape) for B images, on their device and with their dtype.

        Args:
            images: Images (B, ...) of this process in the current optimizer step or micro-batch.
                B is the same in every process.
            shape: Shape of the numbers for one image.
        """
        return self._draw(torch.randn, images, shape)

    def uniform(self, images: Tensor, *shape: int) -> Tensor:
        """Draw uniform numbers in [0, 1); the arguments are the same as for `normal`."""
        return self._draw(torch.rand, images, shape)

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the generator, which may not be copyable; a copy begins its update again."""
        return {**self.__dict__, "_generator": None}

    def _draw(self, draw: Callable[..., Tensor], images: Tensor, shape: tuple[int, ...]) -> Tensor:
        num, device = len(images), images.device
        place, num_places = (
            self._rank * self._num_parts + self._part, self._world_size * self._num_parts,
        )  # fmt: skip
        numbers = draw(
            num * num_places, *shape, device=device, generator=self._generator_on(device)
        )
        mine = numbers[place * num : (place + 1) * num]
        return mine.to(images.dtype)

    def _generator_on(self, device: torch.device) -> torch.Generator | None:
        if self._seed is None:
            return None
        if self._generator is None or self._generator.device != device:
            self._generator = torch.Generator(device).manual_seed(self._seed)
        return self._generator


class PictureNoise:
    """Random numbers for images that are computed once, the same on every kind of device.

    The numbers are drawn on the CPU and copied, which is too slow for training.

    Args:
        seed: Seed of the numbers.
    """

    def __init__(self, seed: int) -> None:
        self._generator = torch.Generator().manual_seed(seed)

    def normal(self, images: Tensor, *shape: int) -> Tensor:
        """Draw N(0, 1) numbers (B, *shape) for B images, on their device and with their dtype."""
        return torch.randn(len(images), *shape, generator=self._generator).to(images)

    def uniform(self, images: Tensor, *shape: int) -> Tensor:
        """Draw uniform numbers in [0, 1); the arguments are the same as for `normal`."""
        return torch.rand(len(images), *shape, generator=self._generator).to(images)


def seed_for(seed: int, stream: str, *position: int) -> int:
    """Return a 63-bit seed for one position in one stream of random numbers.

    Args:
        seed: Seed of the run.
        stream: Purpose of the numbers, such as "order" or "step"; streams are independent.
        position: Position in the stream, such as epoch, update, rank or chunk, each at least 0.
            All positions of a stream need the same length, since a 0 at the end makes no
            difference.
    """
    # For numpy, (3, 0) and (3, 0, 0) are one seed (test_streams_and_positions_are_independent).
    words = np.random.SeedSequence([seed, zlib.crc32(stream.encode()), *position])
    return int(words.generate_state(1, np.uint64)[0] >> 1)


def generator_for(seed: int, stream: str, *position: int) -> torch.Generator:
    """Return a CPU generator with the seed `seed_for(...)`, for the same numbers on any device."""
    return torch.Generator().manual_seed(seed_for(seed, stream, *position))


def seed_torch(seed: int, device: torch.device) -> None:
    """Seed torch's own generators of the CPU and of `device`.

    `torch.manual_seed` would seed every kind of device. If CUDA is not in use, it records the
    whole call stack each time, which takes a hundred times as long.
    """
    torch.default_generator.manual_seed(seed)  # test_seed_torch_equals_torch_manual_seed
    if device.type != "cpu":
        torch.get_device_module(device).manual_seed(seed)


def uniform_labels(
    num_images: int, num_classes: int | None, *, generator: torch.Generator | None
) -> Tensor | None:
    """Draw the class of each image from a uniform distribution.

    Args:
        num_images: Number of labels.
        num_classes: Number of classes; None for a model without classes.
        generator: Generator on the CPU; None for torch's own.

    Returns:
        Labels int64 (num_images,) in [0, num_classes); None without classes.
    """
    if num_classes is None:
        return None
    return torch.randint(num_classes, (num_images,), generator=generator)


def hashed(numbers: Tensor) -> Tensor:
    """Return 24 random bits of each int64 number, by SplitMix64's mixing function.

    The bits are the same on every device.

    Steele et al. (2014), https://doi.org/10.1145/2660193.2660195
    """
    x = numbers * _signed(0x9E3779B97F4A7C15)
    x = (x ^ _shifted(x, 30)) * _signed(0xBF58476D1CE4E5B9)
    x = (x ^ _shifted(x, 27)) * _signed(0x94D049BB133111EB)
    return _shifted(x, 40)


def _shifted(x: Tensor, places: int) -> Tensor:
    """Shift to the right, filling with zeros from the left."""
    return (x >> places) & ((1 << (64 - places)) - 1)


def _signed(number: int) -> int:
    return number - (1 << 64)
