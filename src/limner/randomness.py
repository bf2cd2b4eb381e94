"""Random numbers as a pure function of (seed, what for, when, and which image or process).

Those of an update depend on nothing but the run's seed and the update's number, so a resumed run
draws exactly what the uninterrupted one would have drawn, whatever ran in between (validation,
pictures, scores). Those that belong to images, `Noise`, do not depend on the number of processes
either; what torch draws by itself, such as dropout, is seeded by the process's number too.
"""

__all__ = ["Noise", "generator_for", "seed_for", "seed_torch", "uniform_labels"]

import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor


class Noise:
    """Random numbers for each image of an optimizer step, the same on any number of processes.

    Every process draws the numbers of all images of the step, from the same seed, and takes the
    rows of its own. They lie as the images do, see `limner.data.batches`: those of rank 0, then
    those of rank 1, and so on. A model whose step goes over its images in parts draws for all of
    them first, and cuts the numbers as it cuts the images.

    A model keeps one in its attribute `noise`, and training starts it before each update; before
    that it draws from torch's own generator for the images at hand. Drawn in float32, whatever the
    precision, so that runs which differ in it alone begin alike; the same numbers on devices of
    one kind. Nothing here waits for the device. It costs what one process would draw: little for
    codes, but noise as large as the images, on very many processes, would want another way.
    """

    def __init__(self) -> None:
        self._seed: int | None = None
        self._rank, self._world_size = 0, 1
        self._part, self._num_parts = 0, 1
        self._generator: torch.Generator | None = None

    def start(self, seed: int, *, rank: int, world_size: int) -> None:
        """Begins an update. All processes give the same seed, and draw in the same order."""
        self._seed, self._rank, self._world_size = seed, rank, world_size
        self.begin_part(0, num_parts=1)

    def begin_part(self, part: int, *, num_parts: int) -> None:
        """Begins the update again, for one of equal parts of each process's images.

        A model whose whole step is done for one part after the other sees each draw for the
        images at hand only; they get the rows that they would get as a part of the whole.
        """
        self._part, self._num_parts = part, num_parts
        if self._generator is not None:
            self._generator.manual_seed(self._seed)

    def normal(self, images: Tensor, *shape: int) -> Tensor:
        """N(0, 1) numbers (B, *shape) for B images, of their device and type.

        Args:
            images: (B, ...): all that this process has in the optimizer step, of which every
                process has as many.
            shape: Of the numbers for one image.
        """
        return self._draw(torch.randn, images, shape)

    def uniform(self, images: Tensor, *shape: int) -> Tensor:
        """Numbers in [0, 1), as `normal`."""
        return self._draw(torch.rand, images, shape)

    def __getstate__(self) -> dict[str, Any]:
        """A copy draws its update from the beginning: not every generator can be copied."""
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


def seed_for(seed: int, stream: str, *position: int) -> int:
    """A 63-bit seed for one place in one stream of random numbers.

    Args:
        seed: The run's seed.
        stream: What the numbers are for, e.g. "order" or "step"; streams are independent.
        position: Where in the stream: epoch, update, rank, chunk ...; each at least 0, and as
            many everywhere in a stream: a 0 at the end makes no difference.
    """
    words = np.random.SeedSequence([seed, zlib.crc32(stream.encode()), *position])
    return int(words.generate_state(1, np.uint64)[0] >> 1)


def generator_for(seed: int, stream: str, *position: int) -> torch.Generator:
    """A CPU generator that stands at `seed_for(...)`; the same numbers for every device."""
    return torch.Generator().manual_seed(seed_for(seed, stream, *position))


def seed_torch(seed: int, device: torch.device) -> None:
    """Seeds torch's own generators of the CPU and of `device`.

    As `torch.manual_seed`, which seeds every kind of device: where CUDA is not in use it notes
    down the whole stack each time, and so takes a hundred times as long.
    """
    torch.default_generator.manual_seed(seed)
    if device.type != "cpu":
        torch.get_device_module(device).manual_seed(seed)


def uniform_labels(
    num_images: int, num_classes: int | None, *, generator: torch.Generator | None
) -> Tensor | None:
    """Classes of images to draw, each as likely: int64 (num_images,); None without classes."""
    if num_classes is None:
        return None
    return torch.randint(num_classes, (num_images,), generator=generator)
