"""How much labelled samples teach, and how well they bear their labels.

Shmelkov, Schmid and Alahari (2018), "How good is my GAN?", section 3,
https://arxiv.org/abs/1807.09499:

    GAN-train  accuracy on real test images of a classifier that was trained on samples: falls
               where the samples are poor, or lack variety
    GAN-test   accuracy on samples of a classifier that was trained on real images: falls where the
               samples are poor; above GAN-base where they are easier than real images, as those
               of a model that learnt the training images by heart are
    GAN-base   accuracy on real test images of the classifier that was trained on real images
"""

__all__ = ["GanTrain", "gan_train"]

from typing import NamedTuple

from torch import Tensor, nn

from limner.errors import UserError
from limner.interfaces import ImageStore
from limner.metrics.training import accuracy, fit_classifier


class GanTrain(NamedTuple):
    """Accuracies in [0, 1]."""

    gan_train: float
    gan_test: float
    gan_base: float


def gan_train(
    network: nn.Module,
    *,
    samples: tuple[ImageStore, Tensor],
    train: tuple[ImageStore, Tensor],
    test: tuple[ImageStore, Tensor],
    num_updates: int,
    batch_size: int,
    learning_rate: float,
    seed: int,
) -> GanTrain:
    """Trains the classifier twice, with the same settings and seed, and tests it three times.

    The scores hang on the classifier and on the number of samples: they compare between models
    that were judged with the same ones.

    Args:
        network: The judge, see `fit_classifier`; ends with the weights of the real images.
        samples: Generated images with the labels that they were drawn for, and indices (N,).
        train: Real images to train on, likewise.
        test: Real images to test on, likewise.
        num_updates: Length of each training.
        batch_size: Images in an update.
        learning_rate: At the start; falls linearly to 0.
        seed: Of the initial weights and the order of the images.

    Raises:
        UserError: Where images have no labels, or a set is empty.
    """
    for name, (store, indices) in {"samples": samples, "train": train, "test": test}.items():
        if store.labels is None:
            raise UserError(f"GAN-train and GAN-test need labels, and the {name} have none.")
        if not len(indices):
            raise UserError(f"GAN-train and GAN-test need images, and there are no {name}.")
    setting = {
        "num_updates": num_updates,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "seed": seed,
    }
    fit_classifier(network, samples, **setting)
    trained_on_samples = accuracy(network, test)
    fit_classifier(network, train, **setting)
    return GanTrain(trained_on_samples, accuracy(network, samples), accuracy(network, test))
