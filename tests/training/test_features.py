"""The features of a frozen network are computed once, and training stays the same."""

import logging

import pytest
import torch
from PIL import Image

import limner
from limner.networks.efficientnet_lite import EfficientNetLite0
from support.runs import last_checkpoint

WORDS = [
    "model=classifier", "network=lite0", "network.size=32", "accelerator=cpu", "logger=none",
    "data.batch_size=8", "trainer.max_epochs=3", "data=image_folder",
]  # fmt: skip


@pytest.fixture
def train(tmp_path, monkeypatch):
    """Return a function that trains on 20 images.

    It returns the weights, and the number of images that passed through the pretrained network.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LIMNER_CACHE", str(tmp_path / "cache"))
    generator = torch.Generator().manual_seed(0)
    for i in range(20):
        folder = tmp_path / "images" / f"class_{i % 2}"
        folder.mkdir(parents=True, exist_ok=True)
        pixels = torch.randint(256, (8, 8, 3), dtype=torch.uint8, generator=generator)
        Image.fromarray(pixels.numpy()).save(folder / f"{i}.png")
    features, counted = EfficientNetLite0.features, []

    def counting(self, images):
        counted.append(len(images))
        return features(self, images)

    monkeypatch.setattr(EfficientNetLite0, "features", counting)

    def trained(*words):
        counted.clear()
        run = limner.train(*WORDS, "data.path=images", *words)
        seen = sum(counted)
        saved = torch.load(last_checkpoint(run.folder), weights_only=True)
        return saved["state_dict"], seen

    return trained


def test_features_of_a_frozen_network_are_computed_once(train):
    """Further runs read them from the cache, and weights are equal up to rounding."""
    cached, num_images = train("hydra.run.dir=cached")
    assert num_images == 20
    again, num_images = train("hydra.run.dir=again")
    assert num_images == 0
    plain, num_images = train("hydra.run.dir=plain", "network.cache_features=false")
    assert num_images > 3 * 16
    for name, weight in plain.items():
        assert torch.equal(cached[name], again[name]), name
        torch.testing.assert_close(cached[name], weight, rtol=1e-4, atol=1e-5, msg=name)


@pytest.mark.parametrize("word", ["data/augmentation=flip", "network.frozen=false"])
def test_features_are_computed_in_each_update_if_they_change(train, word, tmp_path):
    _, num_images = train(word, "trainer.max_epochs=1")
    assert num_images >= 16
    assert not (tmp_path / "cache" / "features").exists()


def test_augmentation_is_named_as_the_reason_for_repeated_work(train, caplog):
    with caplog.at_level(logging.INFO):
        train("data/augmentation=flip", "trainer.max_epochs=1")
    assert "data/augmentation=none computes them once" in caplog.text
