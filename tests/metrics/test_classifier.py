"""The classifier of the data's labels, whose features serve where Inception means little."""

import pytest
import torch

from limner.config.build import build


@pytest.fixture
def prepared(composed):
    def make(*overrides):
        made = composed("data=digits", "metrics=classifier", *overrides)
        data = build(made, "data")
        data.open()
        features = build(made, "metrics").features
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
