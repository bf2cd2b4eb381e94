"""A data set of whole pictures with inputs, as `limner.metrics.picture_scores` reads it."""

from types import SimpleNamespace

import torch


def smooth(height, width, seed=0):
    """Return a picture (3, H, W) of a few smooth waves, in [-1, 1]."""
    generator = torch.Generator().manual_seed(seed)
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    waves = torch.rand(3, 4, 2, generator=generator) * 0.4
    phases = waves[..., :1, None] * y + waves[..., 1:, None] * x
    return 0.9 * phases.sin().mean(1)


class FakePairs:
    """Pictures of different sizes, whose inputs are made by a function.

    Args:
        make: Function from a target (1, C, H, W) and its number to an input, or to an input and
            its mask.
        scale: Height of a target divided by the height of its input.
        kind: Kind of the degradation, for the protocol.
        sizes: Heights and widths of the pictures.
    """

    name, image_shape, split_seed, num_classes = "fake", [3, 32, 32], 0, 0

    def __init__(self, make, *, scale=1, kind="made up", sizes=((32, 44), (40, 36), (60, 24))):
        self.make, self.scale, self.kind, self.sizes = make, scale, kind, sizes
        self.num_reads = 0

    def pictures(self, split):
        """Return a store and the numbers of the pictures."""
        return SimpleNamespace(fingerprint="fake"), torch.arange(len(self.sizes))

    def whole_pictures(self, split, *, device):
        """Yield the batch of each picture."""
        self.num_reads += 1
        for number, size in enumerate(self.sizes):
            target = smooth(*size, seed=number)[None]
            made = self.make(target, number)
            parts = made if isinstance(made, tuple) else (made,)
            batch = dict(zip(("input", "mask"), parts, strict=False))
            yield {"image": target, **batch, "weight": torch.ones(1)}

    def protocol(self):
        """Return how inputs are made."""
        return {"scale": self.scale, "degradation": {"part": {"kind": self.kind}}}
