"""Squares of one colour with captions, and networks that learn them in a second."""

from typing import NamedTuple

import torch
from torch import nn

from limner.data.vocabulary import Vocabulary, split_words
from limner.metrics.attributes import AttributeJudge
from limner.metrics.matching import MatchingJudge

COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255), "white": (255,) * 3}
LENGTH = 5
SHAPES = [
    "data=shapes", "data.captions=true", "data.image_shape=[3,16,16]",
    "data.held_out=[red circle]", "data.source.num_train=300", "data.source.num_validation=60",
    "data.source.num_test=40", "data.source.kinds=[circle,cross]", "data.source.min_size=0.35",
    "~data.source.colours.orange", "~data.source.colours.yellow", "~data.source.colours.cyan",
    "~data.source.colours.purple", "~data.source.colours.black",
]  # fmt: skip
"""Overrides for few small shapes with captions."""
SCORES = [
    "metrics=captions", "metrics/features=classifier", "metrics.features.num_updates=2",
    "metrics.num_samples=40", "metrics.batch_size=32", "metrics.num_captions=50",
    "metrics.matching.num_updates=40", "metrics.matching.batch_size=32",
    "metrics.matching.network.width=4", "metrics.attributes.network.width=4",
    "metrics.attributes.num_updates=40", "metrics.attributes.batch_size=32",
]  # fmt: skip
"""Overrides for scores of captions whose judges are trained in a second."""


class Squares:
    """Store of N images 3x8x8 of one colour each, with captions such as "a red square".

    Args:
        num_images: N; the colours follow one another.
        colours: Names of the colours.
    """

    def __init__(self, num_images=40, colours=tuple(COLOURS)):
        self.names = [colours[i % len(colours)] for i in range(num_images)]
        self.captions = [f"A {name} square" for name in self.names]
        pixels = torch.tensor([COLOURS[name] for name in self.names], dtype=torch.uint8)
        noise = torch.arange(num_images)[:, None, None, None] % 3
        self.images = (pixels[:, :, None, None].expand(-1, -1, 8, 8) // 2 + noise).byte()
        self.fingerprint = f"{num_images} squares of {' '.join(colours)}"
        self.labels = None
        self.tokenizer = Vocabulary(["a", "square", *COLOURS])
        self.texts = torch.tensor([self.tokenizer.encode(c, LENGTH) for c in self.captions])

    def __len__(self):
        return len(self.names)

    def gather(self, indices):
        return self.images[indices]


class Shown(NamedTuple):
    """Attributes of images."""

    colour: list[str]
    size: torch.Tensor


class Colours(Squares):
    """The same images with their colours as attributes."""

    def attributes(self, indices):
        return Shown([self.names[i] for i in indices], torch.ones(len(indices)))


class Pooled(nn.Module):
    """Network from the mean colour of an image to vectors (B, 8)."""

    num_features = 8

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(3, 16), nn.ReLU(), nn.Linear(16, 8))

    def forward(self, images):
        return self.layers(images.mean((2, 3)))

    features = forward


def matching(**changes):
    """Return a judge of captions that is trained in a second."""
    settings = {"num_choices": 3, "num_updates": 80, "batch_size": 16, "learning_rate": 0.01}
    return MatchingJudge(network=Pooled(), word_features=8, seed=0, **(settings | changes))


def attributes(**changes):
    """Return a judge of attributes that is trained in a second."""
    settings = {"num_updates": 80, "batch_size": 16, "learning_rate": 0.01, "seed": 0}
    return AttributeJudge(network=Pooled(), **(settings | changes))


def words_of(store):
    """Return the words of each caption of a store."""
    return [split_words(text) for text in store.captions]
