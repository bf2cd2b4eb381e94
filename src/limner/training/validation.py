"""Checks of config values that have the right type but do not work.

A value may fail on this machine, in Lightning or in limner.
"""

__all__ = [
    "advice_on_norm",
    "refuse_length",
    "refuse_model",
    "refuse_other_precision",
    "refuse_parts",
    "refuse_sharding",
    "refuse_values",
]

import math
import re
from collections.abc import Mapping
from typing import Any

import lightning as L
import torch
from lightning.pytorch.strategies import DeepSpeedStrategy, FSDPStrategy, ModelParallelStrategy
from omegaconf import DictConfig, OmegaConf

from limner.config.facts import refuse_kind_of_data
from limner.config.ranges import check_seed
from limner.config.unread import unread
from limner.data import (
    ImageDataModule,
    PictureDataModule,
    SequenceDataModule,
    UnpairedDataModule,
)
from limner.data.batches import images_per_epoch, refuse_few_images
from limner.errors import UserError
from limner.training.compilation import COMPILE_MODES
from limner.training.conditions import refuse_condition, refuse_lone_texts
from limner.training.length import refuse_intervals, refuse_unreachable

REFUSED = {
    "accumulate_grad_batches": "gradients.accumulate=N accumulates over N micro-batches.",
    "gradient_clip_val": "gradients.max_norm=... clips, whatever the model.",
    "gradient_clip_algorithm": "gradients.max_norm=... clips by the norm.",
    "overfit_batches": "trainer.limit_train_batches=N takes N batches of each epoch.",
    "reload_dataloaders_every_n_epochs": "the data are opened once.",
    "callbacks": "callbacks are chosen by callbacks.NAME=...",
    "logger": "loggers are chosen by logger=[...]",
    "plugins": "limner has its own plugins.",
    "default_root_dir": "the run folder is hydra.run.dir=DIR",
    "enable_progress_bar": "`~callbacks.progress` takes the bar away.",
    "enable_checkpointing": "`~callbacks.checkpoints` takes checkpoints away.",
    "enable_model_summary": "the number of parameters is always printed.",
    "num_sanity_val_steps": "limner runs no sanity validation.",
    "fast_dev_run": "trainer.max_steps=1 does the same.",
}
"""Arguments of Lightning's Trainer that have no effect here or break the counting of updates."""
PRECISION_NAMES = {"64": "64-true", "32": "32-true", "16": "16-mixed", "bf16": "bf16-mixed"}
"""Short names of precisions in Lightning, with their full names."""
SHARDING = (FSDPStrategy, DeepSpeedStrategy, ModelParallelStrategy)
"""Strategies of Lightning that split the weights or the optimizer's state over the devices."""
ON_DIVERGENCE = ("stop", "rollback")


def refuse_values(config: DictConfig) -> None:
    """Raise UserError for values of the right type that this machine or limner cannot use."""
    check_seed("seed", config.seed)
    _refuse_devices(config)
    if config.on_divergence not in ON_DIVERGENCE:
        raise UserError(f"on_divergence={config.on_divergence}: choose stop or rollback.")
    if config.max_rollbacks < 1:
        raise UserError(
            f"max_rollbacks={config.max_rollbacks}: must be 1 or more; on_divergence=stop never "
            "goes back."
        )
    if not 0 <= config.interval_growth < math.inf:
        raise UserError(
            f"interval_growth={config.interval_growth}: must be 0 or more; 0: constant intervals."
        )
    if config.channels_last not in (True, False, "auto"):
        raise UserError(f"channels_last={config.channels_last}: choose true, false or auto.")
    if config.compile not in (None, *COMPILE_MODES):
        raise UserError(
            f"compile={config.compile}: choose one of {', '.join(COMPILE_MODES)}, or null."
        )
    _refuse_objective(config)
    for key, instead in REFUSED.items():
        if key in config.trainer:
            raise UserError(f"trainer.{key} does not fit here: {instead}")
    refuse_condition(config)
    accelerator = config.trainer.accelerator
    available = {
        "gpu": torch.cuda.is_available(),
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if not available.get(accelerator, True):
        raise UserError(
            f"trainer.accelerator={accelerator}: torch finds no such device on this machine.\n"
            "Choose accelerator=cpu, or accelerator=auto for the best device here."
        )
    _refuse_strategy(config.trainer.get("strategy"))


def _refuse_strategy(strategy: str | DictConfig | None) -> None:
    """Raise UserError for a strategy, as the config names it, that splits the weights."""
    name = strategy.get("_target_") if OmegaConf.is_dict(strategy) else strategy
    plain = str(name).lower().replace("_", "")
    for kind in SHARDING:
        if kind.__name__.lower().removesuffix("strategy") in plain:
            raise UserError(_advice_on_sharding(str(name)))


def _advice_on_sharding(name: str) -> str:
    return (
        f"trainer.strategy={name}: splits the model over the devices, but the\n"
        "checkpoints and averages of limner need whole weights; choose accelerator=ddp."
    )


def _refuse_objective(config: DictConfig) -> None:
    """Raise UserError for an objective without a direction, or whose name cannot be measured."""
    objective = (config.metrics or {}).get("objective")
    if objective is None:
        return
    given = objective if OmegaConf.is_dict(objective) else {}
    if not isinstance(given.get("name"), str) or given.get("mode") not in ("min", "max"):
        raise UserError(
            f"metrics.objective={objective}: must have a name, such as val/fid, and "
            "mode: min or max; null for none."
        )
    if not given["name"].startswith("val/"):
        raise UserError(
            f"metrics.objective.name={given['name']}: the names of measured values start with "
            "val/,\nsuch as val/loss or val/fid."
        )


def _refuse_devices(config: DictConfig) -> None:
    """Raise UserError for invalid numbers of nodes or devices."""
    num_nodes, devices = config.trainer.get("num_nodes", 1), config.trainer.get("devices", "auto")
    if not isinstance(num_nodes, int) or isinstance(num_nodes, bool) or num_nodes < 1:
        raise UserError(f"trainer.num_nodes={num_nodes}: must be a whole number, 1 or more.")
    if OmegaConf.is_list(devices):
        fits = len(devices) > 0 and all(type(index) is int and index >= 0 for index in devices)
    else:
        fits = re.fullmatch(r"auto|-1|0*[1-9]\d*", str(devices)) is not None
    if not fits:
        raise UserError(
            f"trainer.devices={devices}: must be a number, 1 or more, a list of devices such as "
            "[0,1], or auto."
        )


def refuse_parts(config: DictConfig) -> None:
    """Raise UserError if the batch, at its final size, does not make fit micro-batches."""
    batch_size, accumulate = config.data.batch_size, config.gradients.accumulate
    if batch_size % accumulate != 0:
        raise UserError(
            f"gradients.accumulate={accumulate}: must divide data.batch_size={batch_size}."
        )
    refuse_lone_texts(config)


def refuse_length(config: DictConfig, saved: Mapping[str, Any]) -> None:
    """Raise UserError for a length of 0, or a length that the resumed run has passed.

    Args:
        config: Config of the run.
        saved: Checkpoint from which training resumes; empty for a new run.
    """
    refuse_intervals(config)
    epochs, updates = config.trainer.get("max_epochs"), config.trainer.get("max_steps")
    if updates not in (None, -1) and saved.get("global_step", 0) > updates:
        raise UserError(
            f"trainer.max_steps={updates}: the run is at update {saved['global_step']} already."
        )
    if epochs not in (None, -1) and saved.get("epoch", -1) >= epochs:
        raise UserError(f"trainer.max_epochs={epochs}: the run is in epoch {saved['epoch'] + 1}.")


def refuse_model(
    config: DictConfig,
    model: L.LightningModule,
    data: L.LightningDataModule,
    *,
    num_processes: int,
) -> None:
    """Raise UserError for values that do not fit the model built from the config.

    Args:
        config: The config.
        model: The model, before its training.
        data: The opened data.
        num_processes: Number of processes that share each update.
    """
    _refuse_half_precision(config, model)
    _refuse_processes(model, num_processes)
    refuse_kind_of_data(model, data)
    if isinstance(data, PictureDataModule | UnpairedDataModule):
        data.refuse(model)
    kinds = ImageDataModule | PictureDataModule | SequenceDataModule | UnpairedDataModule
    if isinstance(data, kinds):
        refuse_few_images(
            images_per_epoch(data),
            batch_size=config.data.batch_size,
            batches_per_update=getattr(model, "batches_per_update", 1),
            num_processes=num_processes,
            what="sequences" if getattr(data, "has_frames", False) else "images",
        )
    refuse_unreachable(config, data, model, num_processes)


def advice_on_norm(config: DictConfig) -> str:
    """Return what to change about a discriminator's batch norm: a key that it reads, or its class.

    Args:
        config: Config of a GAN.
    """
    key = "network.discriminator_norm"
    if OmegaConf.select(config, key) not in (None, "layer") and not unread(config, [key]):
        return f"{key}=layer"
    node = OmegaConf.select(config, "model.discriminator")
    name = node.get("_target_") if OmegaConf.is_dict(node) else None
    if str(name).startswith("limner.") and "norm" in node:
        return "network.discriminator.norm=layer"
    return f"{name} must use another norm itself, such as torch.nn.GroupNorm."


def _refuse_processes(model: L.LightningModule, num_processes: int) -> None:
    """Raise UserError for several processes of a model without gradients."""
    if num_processes > 1 and not any(w.requires_grad for w in model.parameters()):
        raise UserError(
            f"{num_processes} processes: this {type(model).__name__} is fitted at once, without "
            "gradients; choose accelerator=cpu, or trainer.devices=1 on a GPU."
        )


def _refuse_half_precision(config: DictConfig, model: L.LightningModule) -> None:
    """Raise UserError for a precision that needs a loss scaler, unless Lightning optimizes."""
    if model.automatic_optimization:
        return
    if str(config.trainer.precision) in ("16", "16-mixed"):
        raise UserError(
            f"trainer.precision={config.trainer.precision}: limner's models step their optimizers "
            "without a loss scaler; choose bf16-mixed, which needs none, or 32-true."
        )


def refuse_sharding(trainer: L.Trainer) -> None:
    """Raise UserError if a strategy of another name splits the weights over the devices.

    Args:
        trainer: Trainer built from a config that `refuse_values` has accepted.
    """
    if isinstance(trainer.strategy, SHARDING):
        raise UserError(_advice_on_sharding(type(trainer.strategy).__name__))


def refuse_other_precision(precision: str | int, trainer: L.Trainer) -> None:
    """Raise UserError if Lightning computes in another precision than the config asks for.

    Args:
        precision: Precision in the config.
        trainer: Trainer built from that config.
    """
    asked = PRECISION_NAMES.get(str(precision), str(precision))
    if asked != trainer.precision:
        device = trainer.strategy.root_device.type
        raise UserError(
            f"trainer.precision={precision}: on this device ({device}) Lightning computes in "
            f"{trainer.precision} instead; choose trainer.precision={trainer.precision}, or "
            "32-true."
        )
