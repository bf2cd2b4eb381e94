"""A run as the first stage of another model, which is trained on what that run has learned.

`model.first_stage` is the folder of a run, an export, or a repository of the hub. Before the
second model is built, the first one's own config takes that word's place, so the second run holds
all of it, weights and config, and needs the first one's files no more.
"""

__all__ = ["adopt", "check_shape"]

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hydra.utils import get_object
from omegaconf import DictConfig, OmegaConf

from limner.errors import UserError
from limner.pretrained.load import load
from limner.pretrained.migrations import migrate
from limner.pretrained.safe_build import build, read_config
from limner.pretrained.trained_model import TrainedModel


def adopt(config: DictConfig, folder: Path) -> TrainedModel | None:
    """Puts the first stage's config, and what is to be known of it, into that of a run.

    Args:
        config: Of a run; changed, if its model has a first stage that is named. The class of its
            model is imported: of a stranger's config, it has been judged before.
        folder: Of the run. If it has begun, what it began with is taken.

    Returns:
        The first stage with its trained weights; None if there is none, or if the run's
        checkpoints hold them.

    Raises:
        UserError: If there is no such run, it is damaged, or no first stage for this model.
    """
    model = config.model
    if "first_stage" not in model or OmegaConf.is_missing(model, "first_stage"):
        return None
    if not isinstance(source := model.first_stage, str):
        return None
    trained, trust = None, list(config.trust)
    if (folder / "config.yaml").is_file():
        saved = read_config(folder / "config.yaml").get("model")
        node: Any = saved.get("first_stage") if isinstance(saved, Mapping) else None
        if not isinstance(node, Mapping) or "_target_" not in node:
            raise UserError(f"{folder / 'config.yaml'}: there is no model.first_stage in it.")
        node = migrate(node)
        module = build(node, "model.first_stage", trust=trust)
    else:
        trained = load(source, device="cpu", trust=trust)
        node, module = migrate(trained.config["model"]), trained.module
    try:
        facts = get_object(model._target_).facts(module)
    except ValueError as error:
        raise UserError(f"model.first_stage={source}: {error}") from error
    OmegaConf.update(config, "model.first_stage", node, merge=False)
    for key, value in facts.items():
        OmegaConf.update(config, key, value)
    return trained


def check_shape(first_stage: TrainedModel, image_shape: list[int]) -> None:
    """Raises `UserError` if the first stage was trained on images of another shape."""
    if list(first_stage.image_shape) != list(image_shape):
        raise UserError(
            f"model.first_stage={first_stage.source} was trained on images of "
            f"{list(first_stage.image_shape)}; data.image_shape is {list(image_shape)}."
        )
