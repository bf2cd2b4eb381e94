"""Codes that say something, and codes that do not."""

import pytest
import torch

from limner.metrics.latents import active_units, latent_means, linear_probe
from limner.pixels import to_float


class Coder:
    """The mean code is the first pixels of the image."""

    def encode(self, images):
        return images.flatten(1)[:, :3]

    def log_weights(self, images, *, num_samples, generator):
        raise NotImplementedError


def test_units_are_active_where_their_mean_moves_with_the_image():
    means = torch.randn(1000, 5, generator=torch.manual_seed(0))
    means *= torch.tensor([1.0, 0.2, 0.05, 0.0, 0.09])
    means += torch.tensor([0.0, 1.0, 5.0, 9.0, 0.0])
    assert active_units(means) == 2
    assert active_units(means, threshold=0.001) == 4


def test_means_of_all_batches_in_order():
    images = torch.randint(0, 256, (10, 1, 3, 3), dtype=torch.uint8)
    found = latent_means(Coder(), ((part, None) for part in images.split(4)))
    assert torch.equal(found, to_float(images).flatten(1)[:, :3])


def test_a_probe_reads_what_is_there_and_nothing_else():
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
