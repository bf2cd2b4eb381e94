"""Seeds as a pure function of (seed, what for, when, who).

The random numbers of an update depend on nothing but the run's seed, the update's number and the
rank, so a resumed run draws exactly what the uninterrupted one would have drawn, whatever ran in
between (validation, pictures, scores).
"""

__all__ = ["generator_for", "seed_for"]

import zlib

import numpy as np
import torch


def seed_for(seed: int, stream: str, *position: int) -> int:
    """A 63-bit seed for one place in one stream of random numbers.

    Args:
        seed: The run's seed.
        stream: What the numbers are for, e.g. "order" or "step"; streams are independent.
        position: Where in the stream: epoch, update, rank, chunk ...; each at least 0.
    """
    words = np.random.SeedSequence([seed, zlib.crc32(stream.encode()), *position])
    return int(words.generate_state(1, np.uint64)[0] >> 1)


def generator_for(seed: int, stream: str, *position: int) -> torch.Generator:
    """A CPU generator that stands at `seed_for(...)`; the same numbers for every device."""
    return torch.Generator().manual_seed(seed_for(seed, stream, *position))
