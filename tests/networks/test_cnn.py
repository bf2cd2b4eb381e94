"""Small classifiers read images of any size."""

import pytest
import torch
from torch.nn.functional import avg_pool2d

from limner.networks.cnn import Classifier, SmallClassifier

SIZES = {"num_classes": 3, "width": 4, "max_width": 8, "num_features": 5}


@pytest.mark.parametrize(
    ("height", "width", "factor"), [(16, 16, 1), (31, 64, 1), (32, 32, 2), (50, 70, 3)]
)
def test_small_classifier_reads_the_means_of_squares_of_pixels(height, width, factor):
    made = SmallClassifier(image_shape=[3, height, width], max_size=16, **SIZES).eval()
    plain = Classifier(image_shape=made.image_shape, **SIZES).eval()
    plain.load_state_dict(made.state_dict())
    images = torch.rand(2, 3, height, width) * 2 - 1
    assert made.factor == factor
    assert torch.equal(made(images), plain(avg_pool2d(images, factor)))
    assert made.features(images).shape == (2, 5)


def test_small_classifier_states_its_factor():
    """The key of cached weights has the description of the network."""
    texts = {
        str(SmallClassifier(image_shape=[3, 32, 32], max_size=size, **SIZES)) for size in (16, 32)
    }
    assert len(texts) == 2
