"""How much labelled samples teach, and how well they bear their labels.

Shmelkov, Schmid and Alahari (2018), "How good is my GAN?", section 3,
https://arxiv.org/abs/1807.09499:

    GAN-train  accuracy on real test images of a classifier that was trained on samples: falls
               where the samples are poor, or lack variety
    GAN-test   accuracy on samples of a classifier that was trained on real images: falls where the
               samples are poor; above GAN-base where they are easier than real images, as those
               of a model that learnt the training images by heart are
    GAN-base   accuracy on real test images of the classifier that was trained on real images

The judge is always the same, so that accuracies compare: `judge`, five epochs of Adam in batches
of 64 at a rate that falls linearly from 1e-3 to 0, the mean of three trainings from other weights.
"""

__all__ = ["Accuracy", "GanTrain", "gan_train", "judge"]

import statistics
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from limner.errors import UserError
from limner.interfaces import ImageStore
from limner.metrics.training import accuracy, fit_classifier

NUM_EPOCHS, BATCH_SIZE, LEARNING_RATE, NUM_SEEDS = 5, 64, 1e-3, 3
CHANNELS = (32, 64)


class Accuracy(NamedTuple):
    """Of the trainings from other weights, in [0, 1]."""

    mean: float
    std: float


class GanTrain(NamedTuple):
    """The three accuracies."""

    gan_train: Accuracy
    gan_test: Accuracy
    gan_base: Accuracy


def judge(image_shape: Sequence[int], num_classes: int) -> nn.Sequential:
    """Images (B, C, H, W) to logits (B, num_classes): two layers of convolution, and a linear one.

    Each layer is a 3x3 convolution, of 32 and of 64 channels, ReLU, and the maximum of 2x2 pixels.
    """
    channels, height, width = image_shape
    layers: list[nn.Module] = []
    for before, after in zip((channels, *CHANNELS), CHANNELS, strict=False):
        layers += [nn.Conv2d(before, after, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    num_features = CHANNELS[-1] * (height // 4) * (width // 4)
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(num_features, num_classes))


def gan_train(
    *,
    samples: tuple[ImageStore, Tensor],
    train: tuple[ImageStore, Tensor],
    test: tuple[ImageStore, Tensor],
    image_shape: Sequence[int],
    num_classes: int,
    device: torch.device,
) -> GanTrain:
    """Trains judges on samples and on as many real images, and tests them.

    Args:
        samples: Generated images with the labels that they were drawn for, and indices (N,).
        train: Real images to train on, likewise; of more than N those spread evenly are taken.
        test: Real images to test on, likewise.
        image_shape: (C, H, W), H and W at least 4.
        num_classes: At least 2.
        device: Of the judges.

    Raises:
        UserError: Where images have no labels, or a set is empty.
    """
    for name, (store, indices) in {"samples": samples, "train": train, "test": test}.items():
        if store.labels is None:
            raise UserError(f"GAN-train and GAN-test need labels, and the {name} have none.")
        if not len(indices):
            raise UserError(f"GAN-train and GAN-test need images, and there are no {name}.")
    store, indices = train
    num_images = min(len(indices), len(samples[1]))
    train = store, indices[torch.linspace(0, len(indices) - 1, num_images).long()]
    network = judge(image_shape, num_classes).to(device)
    found: dict[str, list[float]] = {name: [] for name in GanTrain._fields}
    for seed in range(NUM_SEEDS):
        _fit(network, samples, seed)
        found["gan_train"].append(accuracy(network, test))
        _fit(network, train, seed)
        found["gan_test"].append(accuracy(network, samples))
        found["gan_base"].append(accuracy(network, test))
    summary = {n: Accuracy(statistics.mean(v), statistics.stdev(v)) for n, v in found.items()}
    return GanTrain(**summary)


def _fit(network: nn.Module, data: tuple[ImageStore, Tensor], seed: int) -> None:
    num_updates = -(-NUM_EPOCHS * len(data[1]) // BATCH_SIZE)
    fit_classifier(
        network,
        data,
        num_updates=num_updates,
        batch_size=BATCH_SIZE,
        learning_rate=LEARNING_RATE,
        seed=seed,
    )
