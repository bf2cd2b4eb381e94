"""Warnings about what a run or an evaluation leaves out."""

__all__ = ["unfit_baselines", "unvalidated"]

from typing import Any

from omegaconf import DictConfig, OmegaConf

from limner.config.schema import CONFIG_DIR
from limner.interfaces import Samples
from limner.metrics.baseline_scores import fitting_for


def unfit_baselines(config: DictConfig, data: Any, split: str) -> str | None:
    """Return a warning about chosen baselines that do not fit the data; None if all fit.

    The defaults of the options of `metrics` name baselines of several tasks, so those that do not
    fit are not mentioned.

    Args:
        config: Config of a run.
        data: Opened data.
        split: Split of the pictures that are scored.
    """
    asked = OmegaConf.select(config, "metrics.baselines")
    if asked is None or not getattr(data, "has_inputs", False):
        return None
    usual = [OmegaConf.load(file).get("baselines") for file in (CONFIG_DIR / "metrics").glob("*")
             if file.suffix == ".yaml"]  # fmt: skip
    left = [name for name in asked if name not in fitting_for(data, split, asked)]
    if not left or asked in usual:
        return None
    does = "it does" if len(left) == 1 else "they do"
    return f"metrics.baselines: {', '.join(left)} left out; {does} not fit these data."


def unvalidated(config: DictConfig, model: object, data: Any) -> str | None:
    """Return a warning if no image is held out for validation; None otherwise.

    Args:
        config: Config of a run.
        model: The model.
        data: Opened data; for a module of two domains, both are looked at.
    """
    fraction = config.data.get("validation_fraction")
    if fraction is None or not hasattr(data, "split"):
        return None
    parts = [data.domain(letter, "validation") for letter in "ab"] if hasattr(
        data, "domain"
    ) else [data.split("validation")]  # fmt: skip
    if all(len(indices) for _, indices in parts):
        return None
    kinds = ("reads_input", "reads_domains", "reads_frames")
    changes = not isinstance(model, Samples) and any(getattr(model, k, False) for k in kinds)
    return (
        f"data.validation_fraction={fraction}: no image is held out, so nothing is validated"
        + (" or scored." if changes else ".")
    )
