"""Small classifiers read images of any size."""

import pytest
import torch
from torch.nn.functional import avg_pool2d

from limner.networks.cnn import Classifier, Discriminator, SmallClassifier

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


@pytest.mark.parametrize("condition", ["none", "concat", "projection", "auxiliary"])
def test_discriminator_reads_its_condition(condition):
    network = Discriminator(
        image_shape=(3, 13, 18), width=4, max_width=8, num_features=6, norm="none",
        spectral_norm=True, num_classes=None if condition == "none" else 5, condition=condition,
    ).eval()  # fmt: skip
    images, labels = torch.randn(4, 3, 13, 18), torch.tensor([0, 1, 2, 3])
    given = {} if condition == "none" else {"labels": labels}
    logits = network(images, **given)
    assert logits.shape == ((4, 6) if condition == "auxiliary" else (4,))
    assert network.features(images, **given).shape == (4, 6)
    if condition in ("concat", "projection"):
        assert (network(images, labels=labels + 1) != logits).all()
