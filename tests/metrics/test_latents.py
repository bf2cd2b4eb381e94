"""Codes that carry information, and codes without information."""

import pytest
import torch

from limner.metrics.latents import active_units, latent_means, linear_probe
from limner.pixels import to_float


class Coder:
    """A model whose mean code is the first pixels of the image."""

    def encode(self, images):
        return images.flatten(1)[:, :3]

    def log_weights(self, images, *, num_samples, generator):
        raise NotImplementedError


def test_active_units_are_units_whose_mean_varies_with_the_image():
    means = torch.randn(1000, 5, generator=torch.manual_seed(0))
    means *= torch.tensor([1.0, 0.2, 0.05, 0.0, 0.09])
    means += torch.tensor([0.0, 1.0, 5.0, 9.0, 0.0])
    assert active_units(means) == 2
    assert active_units(means, threshold=0.001) == 4


def test_latent_means_returns_the_means_of_all_batches_in_order():
    images = torch.randint(0, 256, (10, 1, 3, 3), dtype=torch.uint8)
    found = latent_means(Coder(), ((part, None) for part in images.split(4)))
    assert torch.equal(found, to_float(images).flatten(1)[:, :3])


def test_linear_probe_finds_information_only_when_there_is_some():
    random = torch.manual_seed(0)
    labels = torch.randint(3, (600,), generator=random)
    signal = torch.nn.functional.one_hot(labels, 3) + 0.1 * torch.randn(600, 3, generator=random)
    noise = torch.randn(600, 3, generator=random)

    def probed(means):
        return linear_probe(
            train_means=means[:400], train_labels=labels[:400],
            test_means=means[400:], test_labels=labels[400:],
        )  # fmt: skip

    assert probed(signal) == 1
    assert probed(1e4 * signal + 1e6) == 1
    assert probed(noise) == pytest.approx(1 / 3, abs=0.12)
