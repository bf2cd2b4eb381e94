"""Originals and reconstructions are paired."""

import torch

from limner.metrics.reconstruction import reconstructed_pairs


class Darker:
    def reconstruct(self, images):
        return images - 2 * 10 / 255


def test_reconstruction_pairs_are_bytes_of_the_same_images():
    images = torch.randint(10, 256, (7, 1, 4, 4), dtype=torch.uint8)
    pairs = list(reconstructed_pairs(Darker(), ((part, None) for part in images.split(3))))
    originals, reconstructions = (torch.cat(parts) for parts in zip(*pairs, strict=True))
    assert torch.equal(originals, images)
    assert torch.equal(reconstructions, images - 10)


class DarkerByClass:
    def reconstruct(self, images, labels):
        return images - 2 * labels[:, None, None, None] / 255


def test_reconstruction_passes_the_classes_to_a_conditional_model():
    images = torch.randint(10, 256, (6, 1, 4, 4), dtype=torch.uint8)
    labels = torch.arange(6)
    batches = zip(images.split(4), labels.split(4), strict=True)
    made = torch.cat([after for _, after in reconstructed_pairs(DarkerByClass(), batches)])
    assert torch.equal(made, images - labels[:, None, None, None].byte())
