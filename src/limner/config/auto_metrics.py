"""Choose the scores of a run with `metrics=auto`, by its device and its data."""

__all__ = ["choose_metrics"]

import logging
import math

import torch
from omegaconf import DictConfig, OmegaConf

from limner.interfaces import RealImages
from limner.metrics.classifier import ClassifierFeatures, refuse_unlabelled

log = logging.getLogger(__name__)


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
    common = {k: v for k, v in config.metrics.items() if k not in ("choices", "objective")}
    on_gpu = config.trainer.accelerator != "cpu" and torch.cuda.is_available()
    labelled, colours = data.num_classes > 1, data.image_shape[0] in (1, 3)
    name = "inception" if on_gpu and colours else "classifier" if labelled else "none"
    if name == "none":
        config.metrics = {"objective": None}
        log.info(
            "metrics=none, since there is no GPU for Inception and there are no labels for "
            "a classifier."
        )
        return
    config.metrics = {**common, **config.metrics.choices[name]}
    seconds = _scoring_seconds(config.metrics, data, name)
    log.info(
        "metrics=%s: about %.0f s for the first scoring, plus the time to draw samples.",
        name,
        seconds,
    )


def _scoring_seconds(metrics: DictConfig, data: RealImages, name: str) -> float:
    """Estimate the seconds of one scoring, by Inception on a GPU or a classifier on two cores."""
    num_images = metrics.num_samples + len(data.reference("train")[1])
    if name == "inception":
        return max(1, num_images / 2000)
    features, size = metrics.features, math.prod(data.image_shape[1:]) / 28**2
    training = features.num_updates * features.batch_size / 4800
    return max(1, size * (training + num_images / 15000))
