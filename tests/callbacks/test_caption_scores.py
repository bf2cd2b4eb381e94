"""Scores of images drawn for captions, with judges that are trained on real shapes."""

import pytest
import torch

from limner.config.build import build
from limner.pixels import to_float

SHAPES = [
    "data=shapes", "data.captions=true", "data.image_shape=[3,16,16]",
    "data.held_out=[red circle]",
    "data.source.num_train=500", "data.source.num_validation=150", "data.source.num_test=60",
    "data.source.kinds=[circle,star,cross]", "data.source.min_size=0.35",
    "~data.source.colours.orange", "~data.source.colours.yellow", "~data.source.colours.cyan",
    "~data.source.colours.purple", "~data.source.colours.black",
]  # fmt: skip
SCORES = [
    "metrics=captions", "metrics/features=classifier", "metrics.features.num_updates=5",
    "metrics.num_samples=40", "metrics.batch_size=32", "metrics.num_captions=100",
    "metrics.num_choices=5", "metrics.matching.num_updates=90", "metrics.matching.batch_size=48",
    "metrics.attributes.num_updates=90", "metrics.attributes.batch_size=48",
]  # fmt: skip
SCORES = [word for word in SCORES if not word.startswith("metrics.num_choices")]
CPU = torch.device("cpu")


class Painter:
    """A model of texts that returns real images whose texts are the given ones."""

    num_classes, reads_text = None, True

    def __init__(self, data, split, *, shift=0):
        store, self.indices = data.split(split)
        self.store, self.shift, self.asked = store, shift, []

    def sample(self, num_images, *, generator, labels=None):
        self.asked += labels.tolist()
        found = []
        for text in labels:
            same = (self.store.texts[self.indices] == text).all(1).nonzero().flatten()
            found.append(int(same[0]))
        places = (torch.tensor(found) + self.shift) % len(self.indices)
        return to_float(self.store.gather(self.indices[places]))


@pytest.fixture
def opened(composed):
    """Return data of captioned shapes, opened, and their scores."""
    config = composed(*SHAPES, *SCORES)
    data = build(config, "data")
    data.open()
    config.data.num_classes = data.num_classes
    scores = build(config, "metrics")
    scores.prepare(data)
    return data, scores


def test_right_images_score_as_real_images_do_and_images_of_other_captions_score_less(opened):
    data, scores = opened
    right = scores.further(Painter(data, "validation"), CPU, None)
    wrong = scores.further(Painter(data, "validation", shift=1), CPU, None)
    print({k: (v.value, v.floor, v.baselines) for k, v in right.items()})
    print({k: v.value for k, v in wrong.items()})
