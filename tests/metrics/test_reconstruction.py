"""Originals and reconstructions go in pairs."""

import torch

from limner.interfaces import Features
from limner.metrics.reconstruction import reconstructed_features, reconstructed_pairs


class Darker:
    def reconstruct(self, images):
        return images - 2 * 10 / 255


def test_pairs_are_bytes_of_the_same_images():
    images = torch.randint(10, 256, (7, 1, 4, 4), dtype=torch.uint8)
    pairs = list(reconstructed_pairs(Darker(), images.split(3)))
    originals, reconstructions = (torch.cat(parts) for parts in zip(*pairs, strict=True))
    assert torch.equal(originals, images)
    assert torch.equal(reconstructions, images - 10)


def test_features_are_those_of_each_of_the_two():
    images = torch.randint(10, 256, (7, 1, 4, 4), dtype=torch.uint8)
    pairs = reconstructed_pairs(Darker(), images.split(3))
    seen = list(reconstructed_features(pairs, lambda x: Features(x.flatten(1).float(), x)))
    assert [len(real.features) for real, _ in seen] == [3, 3, 1]
    assert all((real.features - made.features == 10).all() for real, made in seen)
