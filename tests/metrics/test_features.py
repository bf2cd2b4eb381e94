"""Feature networks: the classifier of the data's labels, and Inception with random weights."""

import pytest
import torch
from torch_fidelity.feature_extractor_inceptionv3 import (
    URL_INCEPTION_V3,
    FeatureExtractorInceptionV3,
)

from limner import config
from limner.metrics.inception import InceptionFeatures


@pytest.fixture
def prepared(composed):
    def make(*overrides):
        made = composed("data=digits", "metrics=classifier", *overrides)
        data = config.build(made, "data")
        data.open()
        features = config.build(made, "metrics").features
        features.prepare(data)
        return features, data

    return make


def test_the_classifier_learns_the_data(prepared):
    features, _ = prepared()
    protocol = features.protocol()
    assert protocol["classifier_accuracy"] > 0.93
    assert len(protocol["weights_sha256"]) == 64


def test_the_classifier_is_trained_once_and_is_the_same(prepared, monkeypatch):
    first, data = prepared()
    monkeypatch.setattr(type(first), "_train", None)
    second, _ = prepared("seed=7", "model=gan")
    assert first.protocol() == second.protocol()
    images = data.split("test")[0].gather(torch.arange(9))
    seen = first(images)
    assert torch.equal(seen.features, second(images).features)
    assert seen.features.shape == (9, first.num_features)
    assert seen.logits.shape == (9, 10)


@pytest.fixture
def inception(monkeypatch) -> InceptionFeatures:
    """With the random weights that the network starts with."""
    monkeypatch.setattr(
        "torch_fidelity.feature_extractor_inceptionv3.load_state_dict_from_url",
        lambda *arguments, **options: {},
    )
    monkeypatch.setattr(FeatureExtractorInceptionV3, "load_state_dict", lambda self, state: None)
    torch.manual_seed(0)
    features = InceptionFeatures()
    features.prepare(real=None)
    return features


def test_inception_sees_grey_and_colour(inception):
    grey = torch.randint(0, 256, (2, 1, 20, 20), dtype=torch.uint8)
    seen = inception(grey)
    assert seen.features.shape == (2, 2048)
    assert seen.logits.shape == (2, 1008)
    assert torch.equal(seen.features, inception(grey.expand(-1, 3, -1, -1)).features)
    assert "TensorFlow" in inception.protocol()["resize"]


def test_inceptions_file_is_the_published_one():
    assert URL_INCEPTION_V3.endswith("weights-inception-2015-12-05-6726825d.pth")
