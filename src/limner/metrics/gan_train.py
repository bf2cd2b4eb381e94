"""GAN-train and GAN-test: usefulness of labelled samples for training, and their label accuracy.

Shmelkov, Schmid and Alahari (2018), "How good is my GAN?", section 3,
https://arxiv.org/abs/1807.09499:

    GAN-train  accuracy on real test images of a classifier trained on samples; it falls if the
               samples are poor or lack variety
    GAN-test   accuracy on samples of a classifier trained on real images; it falls if the samples
               are poor; it is above GAN-base if the samples are easier than real images, e.g.
               samples of a model that memorised the training images
    GAN-base   accuracy on real test images of the classifier trained on real images

The classifier (`judge`) and its training are always the same, for comparable accuracies: five
epochs of Adam in batches of 64, with a learning rate that falls linearly from 1e-3 to 0. Each
accuracy is the mean of three trainings from different initial weights.
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
    """Accuracy over the trainings from different initial weights, in [0, 1]."""

    mean: float
    std: float


class GanTrain(NamedTuple):
    """The accuracies GAN-train, GAN-test and GAN-base."""

    gan_train: Accuracy
    gan_test: Accuracy
    gan_base: Accuracy


def judge(image_shape: Sequence[int], num_classes: int) -> nn.Sequential:
    """Return a classifier of images (B, C, H, W), with logits (B, num_classes).

    It has two convolutional layers and a linear layer. A convolutional layer is a 3x3 convolution
    (to 32, then 64 channels), ReLU, and 2x2 max pooling.
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
    """Train classifiers on samples and on as many real images, and test them.

    Args:
        samples: Generated images, with the labels for which they were drawn, and indices (N,).
        train: Real images to train on, and their indices. If there are more than N, N images
            spread evenly over the indices are used.
        test: Real images to test on, and their indices.
        image_shape: (C, H, W), with H and W at least 4.
        num_classes: Number of classes, at least 2.
        device: Device of the classifiers.

    Raises:
        UserError: If images have no labels, or a set is empty.
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
