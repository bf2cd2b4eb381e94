"""A trained run as the first stage of another model, such as the autoencoder of a latent prior.

`model.first_stage` is the folder of a run, an export, or a repository of the hub. Before the
second model is built, the config of the first model replaces this name. The second run then
contains the weights and the config of the first model, and no longer needs its files.
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
from limner.pretrained.refusals import refuse_foreign
from limner.pretrained.safe_build import build, read_config
from limner.pretrained.trained_model import TrainedModel


def adopt(config: DictConfig, folder: Path | None) -> TrainedModel | None:
    """Insert the config of the first stage, and its facts, into the config of a run.

    Args:
        config: Config of a run. It is changed if its model names a first stage. This function
            imports the class of the model, so an untrusted config must be checked before.
        folder: Folder of the run, whose first stage is kept if the run has started; None for a
            config without a run.

    Returns:
        The first stage with its trained weights. None if there is no first stage, or if the
        checkpoints of the run contain its weights.

    Raises:
        UserError: If the first stage does not exist, is damaged, or does not fit this model.
    """
    model = config.model
    if "first_stage" not in model or OmegaConf.is_missing(model, "first_stage"):
        return None
    if not isinstance(source := model.first_stage, str):
        return None
    trained, trust = None, list(config.trust)
    if folder is not None and (folder / "config.yaml").is_file():
        saved = read_config(folder / "config.yaml").get("model")
        node: Any = saved.get("first_stage") if isinstance(saved, Mapping) else None
        if not isinstance(node, Mapping) or "_target_" not in node:
            raise UserError(f"{folder / 'config.yaml'}: there is no model.first_stage in it.")
        node = migrate(node)
        refuse_foreign({"model": {"first_stage": node}}, str(folder), trust=trust)
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
    """Raise UserError if the first stage was trained on images of another shape."""
    if list(first_stage.image_shape) != list(image_shape):
        raise UserError(
            f"model.first_stage={first_stage.source} was trained on images of "
            f"{list(first_stage.image_shape)}; data.image_shape is {list(image_shape)}."
        )
