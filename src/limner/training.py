"""From a config to objects, to a trained model, to scores."""

__all__ = ["train"]

import importlib.metadata
import json
import logging
import os
import platform
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import lightning as L
import torch
from omegaconf import DictConfig, OmegaConf
from rich import get_console

from limner.callbacks.checkpoints import AtomicCheckpointIO
from limner.callbacks.guards import Interrupts, SeedUpdates
from limner.config import build, check, composed
from limner.console import scores_table
from limner.errors import UserError

log = logging.getLogger(__name__)

PACKAGES = ("limner", "torch", "torchvision", "lightning", "hydra-core", "torchmetrics", "numpy")
QUIET = (
    "lightning.pytorch.utilities.rank_zero",
    "lightning.pytorch.accelerators.cuda",
    "lightning.fabric",
    "lightning.pytorch",
)


def train(config: DictConfig) -> float | None:
    """Trains what the config says, in the folder `config.run_dir`.

    Args:
        config: A composed config, whose `run_dir` exists. With `resume` set, training goes on from
            the last checkpoint there.

    Returns:
        The objective's value at the end, or None if the metrics name none.

    Raises:
        UserError: If the config, the data or the machine does not allow it.
        Interrupted: If a signal stopped it.
    """
    _quieten()
    check(config)
    _check_devices(config)
    run_dir = Path(config.run_dir)
    L.seed_everything(config.seed, verbose=False)

    data = build(config, "data")
    data.open()
    config.data.image_shape, config.data.num_classes = data.image_shape, data.num_classes
    choose_metrics(config, labelled=data.num_classes > 1)
    check(config)
    torch.manual_seed(config.seed)  # the weights do not depend on what was done before
    model = build(config, "model")
    if not model.automatic_optimization and config.trainer.precision in ("16", "16-mixed"):
        raise UserError(
            f"trainer.precision={config.trainer.precision}: a GAN's two optimizers share no loss "
            "scaler; choose bf16-mixed, which needs none, or 32-true."
        )
    scores = build(config, "metrics") if "_target_" in config.metrics else None
    trainer = _trainer(config, model, scores)

    if trainer.is_global_zero:
        _record(config, run_dir)
        log.info("%s", data.describe())
        log.info("%s on %s, in %s", _describe(model), _device(trainer), _shown(run_dir))
    for logger in trainer.loggers:
        logger.log_hyperparams(composed(config))
    last = run_dir / "checkpoints" / "last.ckpt" if config.resume is not None else None
    try:
        trainer.fit(model, datamodule=data, ckpt_path=last, weights_only=True if last else None)
    except UserError as error:
        error.began = trainer.global_step > 0
        raise
    return _finish(trainer, config, run_dir, scores)


def choose_metrics(config: DictConfig, *, labelled: bool) -> None:
    """Replaces `metrics=auto` by what suits this machine and this data set, and says so."""
    if "choices" not in config.metrics:
        return
    common = {k: v for k, v in config.metrics.items() if k not in ("choices", "objective")}
    on_gpu = config.trainer.accelerator != "cpu" and torch.cuda.is_available()
    name = "inception" if on_gpu else "classifier" if labelled else "none"
    if name == "none":
        config.metrics = {"objective": None}
        log.info("metrics=none: no GPU for Inception, and no labels for a classifier.")
        return
    config.metrics = {**common, **config.metrics.choices[name]}
    rate = 2000 if on_gpu or name == "classifier" else 16
    seconds = config.metrics.num_samples / rate
    log.info("metrics=%s: about %.0f s for each scoring.", name, max(1, seconds))


def _check_devices(config: DictConfig) -> None:
    accelerator, available = config.trainer.accelerator, {
        "gpu": torch.cuda.is_available(),
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }  # fmt: skip
    if not available.get(accelerator, True):
        raise UserError(
            f"trainer.accelerator={accelerator}: this machine has none that torch can use.\n"
            "Choose accelerator=cpu, or accelerator=auto to take what there is."
        )
    if "fsdp" in str(config.trainer.strategy) and accelerator == "cpu":
        raise UserError("accelerator=fsdp shards over GPUs; on CPUs there is accelerator=ddp_cpu.")


def _trainer(config: DictConfig, model: L.LightningModule, scores: L.Callback | None) -> L.Trainer:
    strategy = config.trainer.strategy
    if strategy == "ddp" and not model.automatic_optimization:
        strategy = "ddp_find_unused_parameters_true"  # each player's turn leaves out the other's
    callbacks = build(config, "callbacks") or {}
    own = [SeedUpdates(seed=config.seed), *([scores] if scores else [])]
    loggers = list((build(config, "logger") or {}).values())
    try:
        return build(
            config,
            "trainer",
            callbacks=[*own, *callbacks.values(), Interrupts()],
            strategy=strategy,
            logger=loggers or False,
            plugins=[AtomicCheckpointIO()],
            default_root_dir=config.run_dir,
            enable_checkpointing=True,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
        )
    except L.pytorch.utilities.exceptions.MisconfigurationException as error:
        raise UserError(str(error)) from error


def _record(config: DictConfig, run_dir: Path) -> None:
    """config.yaml and environment.txt: all that is needed to do the run again."""
    (run_dir / "config.yaml").write_text(OmegaConf.to_yaml(OmegaConf.create(composed(config))))
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=Path(__file__).parent, capture_output=True, text=True, check=False,
    ).stdout.strip()  # fmt: skip
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else platform.processor()
    lines = [
        f"command: {' '.join(sys.argv)}",
        f"commit: {commit or 'not from a git clone'}",
        f"python: {platform.python_version()} on {platform.platform()}",
        f"device: {device or platform.machine()}, {os.cpu_count()} cores",
        *(f"{name}: {importlib.metadata.version(name)}" for name in PACKAGES),
    ]
    with open(run_dir / "environment.txt", "a") as file:
        file.write("\n".join(lines) + "\n\n")


def _finish(
    trainer: L.Trainer, config: DictConfig, run_dir: Path, scores: Any | None
) -> float | None:
    """Prints the scores, writes them where no callback has, and returns the objective."""
    values = {k: float(v) for k, v in trainer.callback_metrics.items() if k.startswith("val/")}
    if not trainer.is_global_zero:
        return None
    entries = dict(scores.latest) if scores else {}
    for name in sorted(n for n in values if n.removesuffix("_std") not in entries):
        protocol = {"data": config.data.name, "split": "validation", "update": trainer.global_step}
        entries[name] = {"value": values[name], "protocol": protocol}
    if entries:
        (run_dir / "scores.json").write_text(json.dumps(entries, indent=2) + "\n")
        get_console().print(scores_table(entries))
        log.info("How each was made: %s", _shown(run_dir / "scores.json"))
    if (run_dir / "final.png").exists():
        log.info("Samples: %s", _shown(run_dir / "final.png"))
    objective = config.metrics.objective
    return None if objective is None else values.get(objective.name)


def _describe(model: L.LightningModule) -> str:
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    return f"{type(model).__name__} of {trained:,} parameters"


def _device(trainer: L.Trainer) -> str:
    device = trainer.strategy.root_device.type
    return f"{trainer.world_size} x {device}" if trainer.world_size > 1 else device


def _shown(path: Path) -> str:
    """A path as short as it can be typed from here."""
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)


def _quieten() -> None:
    """Hides what the libraries say and a user of limner cannot act on."""
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    for message in (
        ".*does not have many workers.*",
        ".*is smaller than the logging interval.*",
        ".*LeafSpec.*",
        ".*treespec.*",
        ".*You defined a `validation_step`.*",
        ".*passed in a `val_dataloader`.*",
        ".*in eval mode at the start of training.*",  # the EMA is meant to be
        ".*It is recommended to use `self.log.*sync_dist=True.*",  # every rank has the sum already
        ".*Metric `InceptionScore` will save.*",
    ):
        warnings.filterwarnings("ignore", message)
