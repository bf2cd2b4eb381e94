"""The classifier of the data's labels, whose features replace Inception's on unusual images."""

import pytest
import torch

from limner.config.build import build
from limner.console import Bar
from limner.metrics import classifier
from limner.metrics.weights import weights_hash
from limner.pixels import to_float
from limner.randomness import generator_for
from support.runs import JUDGE


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


@pytest.mark.slow
def test_classifier_learns_the_data(prepared):
    features, _ = prepared("metrics.features.num_updates=500")
    protocol = features.protocol()
    assert protocol["classifier_accuracy"] > 0.93
    assert len(protocol["weights_sha256"]) == 64


def test_classifier_is_trained_once_and_reproducibly(prepared, monkeypatch):
    first, data = prepared(JUDGE)
    monkeypatch.setattr(type(first), "_train", None)
    second, _ = prepared(JUDGE, "seed=7", "model=gan")
    assert first.protocol() == second.protocol()
    images = data.split("test")[0].gather(torch.arange(9))
    seen = first(images)
    assert torch.equal(seen.features, second(images).features)
    assert seen.features.shape == (9, first.num_features)
    assert seen.logits.shape == (9, 10)


def as_published(features, train):
    """Train a classifier by the loop that was used when scores were first published."""
    network, (store, indices) = features._network, train
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(features.seed)
        for module in network.modules():
            if hasattr(module, "reset_parameters"):
                module.reset_parameters()
    optimizer = torch.optim.Adam(network.parameters(), lr=features.learning_rate)
    generator = generator_for(features.seed, "classifier")
    network.requires_grad_(True).train()
    for update in range(features.num_updates):
        at = torch.randint(len(indices), (features.batch_size,), generator=generator)
        batch = indices[at]
        logits = network(to_float(store.gather(batch)))
        for group in optimizer.param_groups:
            group["lr"] = features.learning_rate * (1 - update / features.num_updates)
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(logits, store.labels[batch]).backward()
        optimizer.step()
    return weights_hash(network.state_dict())


def test_classifier_is_bit_equal_to_the_published_one(prepared):
    features, data = prepared("metrics.features.num_updates=30")
    assert features.protocol()["weights_sha256"] == as_published(features, data.reference("train"))


@pytest.mark.parametrize("num_images", [1617, 50_000, 60_000])
def test_classifier_trains_as_long_as_published_on_the_known_data_sets(composed, num_images):
    features = build(composed("data=digits", "metrics=classifier"), "metrics").features
    assert features._num_updates(num_images) == features.num_updates == 1500


def test_cache_key_of_the_published_digits_classifier_is_unchanged(composed, monkeypatch):
    keys = []

    def note(kind, key, build):
        keys.append((kind, key[-1]))
        raise KeyboardInterrupt

    monkeypatch.setattr(classifier, "cached_folder", note)
    made = composed("data=digits", "metrics=classifier")
    data = build(made, "data")
    data.open()
    with pytest.raises(KeyboardInterrupt):
        build(made, "metrics").features.prepare(data)
    assert keys == [("classifiers", [1500, 128, 2e-3, 0])]


@pytest.mark.slow
def test_classifier_takes_less_time_on_few_images_and_still_learns_them(prepared):
    features, _ = prepared("data.test_fraction=0.95", "data.validation_fraction=0.01")
    assert features._num_updates(20) == 50
    assert features._num_updates(90) == 141
    assert features._accuracy > 0.8
    short, _ = prepared("metrics.features.num_updates=7")
    assert short._num_updates(20) == 7


def test_classifier_shows_a_bar_with_its_accuracy(prepared, monkeypatch, tmp_path):
    monkeypatch.setenv("LIMNER_CACHE", str(tmp_path))
    seen = []
    monkeypatch.setattr(Bar, "update", lambda self, *told: seen.append(told))
    prepared("metrics.features.num_updates=25")
    assert [told[0] for told in seen] == [10, 20, 25]
    assert all(0 <= told[1]["accuracy"] <= 1 for told in seen[:2])
