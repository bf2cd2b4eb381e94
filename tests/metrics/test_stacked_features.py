import json
from types import SimpleNamespace

import pytest
import torch

from limner.errors import UserError
from limner.metrics.modes import ModeCounts, mode_coverage
from limner.metrics.stacked_features import StackedDigitFeatures
from support import fakes
from support.fakes import Store
from support.lit_digits import Linear, stacked


def features(**changes):
    usual = {
        "network": Linear(), "num_channels": 3, "num_updates": 100, "batch_size": 64,
        "learning_rate": 0.05, "seed": 0,
    }  # fmt: skip
    return StackedDigitFeatures(**usual | changes)


def real(**changes):
    stores = stacked(**changes).open_stores([3, 4, 4], with_labels=False).stores

    def split(name):
        return stores[name], torch.arange(len(stores[name]))

    return SimpleNamespace(name="lit", reference=split, originals=split)


@pytest.fixture
def prepared():
    made = features()
    made.prepare(real())
    return made


def test_stacked_features_name_the_mode_of_images_that_training_did_not_show(prepared):
    store, indices = real().reference("test")
    found = prepared(store.gather(indices))
    assert found.features.shape == (50, 48)
    assert found.logits.shape == (50, 1000)
    places = torch.tensor([100, 10, 1])
    right = (store.shown(indices) * places).sum(1)
    assert (found.logits.argmax(1) == right).float().mean() > 0.95
    assert prepared.protocol()["classifier_accuracy"] > 0.95


def test_stacked_logits_are_the_logarithm_of_a_product_of_probabilities(prepared):
    images = real().reference("test")[0].gather(torch.arange(4))
    logits = prepared(images).logits
    assert torch.allclose(logits.exp().sum(1), torch.ones(4), atol=1e-4)
    p = logits.exp().view(4, 10, 10, 10)
    channel = [p.sum((2, 3)), p.sum((1, 3)), p.sum((1, 2))]
    product = torch.einsum("ba,bc,bd->bacd", *channel)
    assert torch.allclose(p, product, atol=1e-4)


def test_stacked_features_count_the_modes_of_real_images(prepared):
    data = real(num_train=5000)
    store, indices = data.reference("train")
    counts = ModeCounts(num_classes=prepared.num_logits)
    counts.update(prepared(store.gather(indices)).logits)
    shown = (store.shown(indices) * torch.tensor([100, 10, 1])).sum(1).bincount(minlength=1000)
    assert mode_coverage(counts.compute()) == pytest.approx(mode_coverage(shown), rel=0.05)


def test_stacked_features_are_trained_once(prepared, monkeypatch):
    monkeypatch.setattr("limner.metrics.judges.fit_network", None)
    again = features()
    again.prepare(real())
    assert again.protocol() == prepared.protocol()


def test_untrained_stacked_features_state_a_low_accuracy():
    made = features(num_updates=1, learning_rate=1e-6)
    made.prepare(real())
    assert made.protocol()["classifier_accuracy"] < 0.3


def test_stacked_features_refuse_images_without_digits():
    store = Store(20)
    data = SimpleNamespace(name="cats", reference=lambda split: (store, torch.arange(20)))
    with pytest.raises(UserError, match="data=cats has none:\nfor the classes of labelled"):
        features().prepare(data)


@pytest.mark.parametrize("name", ["num_updates", "batch_size"])
def test_stacked_features_refuse_counts_below_1(name):
    with pytest.raises(UserError, match=f"metrics.features.{name}=0"):
        features(**{name: 0})


def test_gan_on_stacked_mnist_has_the_scores_of_modes(run, tmp_path):
    fakes.mnist(tmp_path / "mnist")
    result = run(
        "model=gan", "network=mlp", "data=stacked_mnist", f"data.root={tmp_path}/mnist",
        "data.source.num_train=200", "data.source.num_validation=20", "data.source.num_test=20",
        "metrics.num_samples=60", "metrics.features.num_updates=2", "trainer.max_steps=2",
        "metrics.features.network.width=4", "accelerator=cpu", "logger=csv",
    )  # fmt: skip
    assert result.code == 0, result.err
    found = json.loads((result.only_run() / "scores.json").read_text())
    assert set(found) == {"val/modes_digits", "val/mode_kl_digits", "val/fid_digits"}
    assert 1 <= found["val/modes_digits"]["value"] <= 60
    assert found["val/modes_digits"]["floor"] >= 1
    protocol = found["val/modes_digits"]["protocol"]
    assert protocol["num_modes"] == 1000
    assert 0 <= protocol["classifier_accuracy"] <= 1
