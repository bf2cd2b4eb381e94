"""From a config to objects, to a trained model, to scores."""

__all__ = ["starts_processes", "train"]

import json
import logging
import math
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from omegaconf import DictConfig, OmegaConf
from rich import get_console

from limner.callbacks.checkpoints import AtomicCheckpointIO
from limner.callbacks.guards import Interrupts, SeedUpdates
from limner.callbacks.heartbeat import Heartbeat
from limner.callbacks.process_counts import ProcessCounts
from limner.callbacks.provenance import Provenance
from limner.config import build, check, composed
from limner.console import scores_table
from limner.errors import UserError
from limner.interfaces import RealImages
from limner.launchers import check_started, started_outside
from limner.records import write_records
from limner.status import StatusFile
from limner.version import refuse_newer

log = logging.getLogger(__name__)

REFUSED = {
    "accumulate_grad_batches": "choose a larger data.batch_size.",
    "overfit_batches": "trainer.limit_train_batches=N takes N batches of each epoch.",
    "reload_dataloaders_every_n_epochs": "the data are opened once.",
    "callbacks": "they are chosen by callbacks.NAME=...",
    "logger": "loggers are chosen by logger=[...]",
    "plugins": "limner brings its own.",
    "default_root_dir": "the run folder is hydra.run.dir=DIR",
    "enable_progress_bar": "`~callbacks.progress` takes the bar away.",
    "enable_checkpointing": "`~callbacks.checkpoints` takes checkpoints away.",
    "enable_model_summary": "the number of parameters is always said.",
    "num_sanity_val_steps": "there are none.",
    "fast_dev_run": "trainer.max_steps=1 does the same.",
}
"""Arguments of Lightning's Trainer that would be overridden, or break the counting of updates."""
QUIET = (
    "lightning.pytorch.utilities.rank_zero",
    "lightning.pytorch.accelerators.cuda",
    "lightning.fabric",
    "lightning.pytorch",
)


def train(config: DictConfig, record: Callable[[], None]) -> float | None:
    """Trains what the config says, in the folder `config.run_dir`.

    Args:
        config: A composed config, whose `run_dir` exists. With `resume` set, training goes on from
            the last checkpoint there.
        record: Called once nothing stands in the way of training any more, in the first process:
            until then nothing in the folder is changed.

    Returns:
        The objective's value at the end, or None if the metrics name none.

    Raises:
        UserError: If the config, the data or the machine does not allow it.
        Interrupted: If a signal stopped it.
    """
    _quieten()
    check(config)
    _check_values(config)
    num_processes = _num_processes(config)
    check_started(num_processes, num_nodes=config.trainer.num_nodes)
    run_dir = Path(config.run_dir)
    L.seed_everything(config.seed, verbose=False)

    last = run_dir / "checkpoints" / "last.ckpt" if config.resume is not None else None
    saved = {} if last is None else torch.load(last, "cpu", weights_only=True, mmap=True)
    refuse_newer(saved.get("limner", {}).get("version"), _shown(last or run_dir))
    _check_length(config, saved)
    update = saved.get("global_step", 0)
    del saved
    data = build(config, "data")
    data.open()
    config.data.image_shape, config.data.num_classes = data.image_shape, data.num_classes
    choose_metrics(config, data)
    check(config)
    torch.manual_seed(config.seed)  # the weights do not depend on what was done before
    model = build(config, "model")
    _check_two_players(config, model)
    scores = build(config, "metrics") if "_target_" in config.metrics else None
    status = StatusFile(run_dir)
    more = [Provenance(), ProcessCounts(num_processes=num_processes), Heartbeat(status=status)]
    trainer = _trainer(config, model, [*more, scores] if scores else more)

    with status.kept():
        if trainer.is_global_zero:
            record()
            status.begin(update=update)
            written = OmegaConf.to_yaml(OmegaConf.create(composed(config)))
            write_records(run_dir, config=written, device=_device(trainer))
            log.info("%s", data.describe())
            log.info("%s on %s, in %s", _describe(model), _device(trainer), _shown(run_dir))
        for logger in trainer.loggers:
            logger.log_hyperparams(composed(config))
        try:
            trainer.fit(model, datamodule=data, ckpt_path=last, weights_only=True)
        except MisconfigurationException as error:
            raise UserError(str(error)) from error
        except (Exception, KeyboardInterrupt) as error:
            error.began = trainer.global_step > 0  # then the run folder is worth keeping
            raise
        return _finish(trainer, config, scores, began_at=update)


def starts_processes(config: DictConfig) -> bool:
    """Whether Lightning would start the other processes of this run by running its command."""
    return _num_processes(config) > 1 and started_outside() == 0


def choose_metrics(config: DictConfig, data: RealImages) -> None:
    """Replaces `metrics=auto` by what suits this machine and this data set, and says so."""
    if "choices" not in config.metrics:
        return
    common = {k: v for k, v in config.metrics.items() if k not in ("choices", "objective")}
    on_gpu = config.trainer.accelerator != "cpu" and torch.cuda.is_available()
    labelled, colours = data.num_classes > 1, data.image_shape[0] in (1, 3)
    name = "inception" if on_gpu and colours else "classifier" if labelled else "none"
    if name == "none":
        config.metrics = {"objective": None}
        log.info("metrics=none: no GPU for Inception, and no labels for a classifier.")
        return
    config.metrics = {**common, **config.metrics.choices[name]}
    seconds = _scoring_seconds(config.metrics, data, name)
    log.info("metrics=%s: about %.0f s for the first scoring, beside drawing.", name, seconds)


def _scoring_seconds(metrics: DictConfig, data: RealImages, name: str) -> float:
    """A guess, by the rates of Inception on a GPU and of the classifier on two CPU cores."""
    num_images = metrics.num_samples + len(data.reference("train")[1])
    if name == "inception":
        return max(1, num_images / 2000)
    features, size = metrics.features, math.prod(data.image_shape[1:]) / 28**2
    training = features.num_updates * features.batch_size / 4800
    return max(1, size * (training + num_images / 15000))


def _check_values(config: DictConfig) -> None:
    """Raises `UserError` for what the types allow and this machine or limner does not."""
    if config.seed < 0:
        raise UserError(f"seed={config.seed}: must be 0 or more.")
    for key, instead in REFUSED.items():
        if key in config.trainer:
            raise UserError(f"trainer.{key} does not fit here: {instead}")
    accelerator = config.trainer.accelerator
    available = {
        "gpu": torch.cuda.is_available(),
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if not available.get(accelerator, True):
        raise UserError(
            f"trainer.accelerator={accelerator}: this machine has none that torch can use.\n"
            "Choose accelerator=cpu, or accelerator=auto to take what there is."
        )
    if "fsdp" in str(config.trainer.strategy) and accelerator == "cpu":
        raise UserError("accelerator=fsdp shards over GPUs; on CPUs there is accelerator=ddp_cpu.")


def _check_length(config: DictConfig, saved: Mapping[str, Any]) -> None:
    """Raises `UserError` if a run is further than it is to be trained."""
    epochs, updates = config.trainer.get("max_epochs"), config.trainer.get("max_steps")
    if updates not in (None, -1) and saved.get("global_step", 0) > updates:
        raise UserError(
            f"trainer.max_steps={updates}: the run is at update {saved['global_step']} already."
        )
    if epochs not in (None, -1) and saved.get("epoch", -1) >= epochs:
        raise UserError(f"trainer.max_epochs={epochs}: the run is in epoch {saved['epoch'] + 1}.")


def _check_two_players(config: DictConfig, model: L.LightningModule) -> None:
    """Raises `UserError` for what Lightning cannot do for two optimizers."""
    if model.automatic_optimization:
        return
    if str(config.trainer.precision) in ("16", "16-mixed"):
        raise UserError(
            f"trainer.precision={config.trainer.precision}: a GAN's two optimizers share no loss "
            "scaler; choose bf16-mixed, which needs none, or 32-true."
        )
    if config.trainer.get("gradient_clip_val") is not None:
        raise UserError("trainer.gradient_clip_val does not fit a GAN: it has two optimizers.")


def _num_processes(config: DictConfig) -> int:
    devices, num_nodes = config.trainer.devices, config.trainer.num_nodes
    if OmegaConf.is_list(devices):
        return len(devices) * num_nodes
    if str(devices) in ("auto", "-1"):
        on_cpu = config.trainer.accelerator == "cpu"
        return num_nodes if on_cpu else max(1, torch.cuda.device_count()) * num_nodes
    return int(devices) * num_nodes


def _strategy(config: DictConfig, model: L.LightningModule) -> str:
    """Those of a GAN must be told that each player's turn leaves out the other's parameters."""
    strategy = config.trainer.strategy
    if strategy == "auto" and _num_processes(config) > 1:
        strategy = "ddp"
    if strategy == "ddp" and not model.automatic_optimization:
        return "ddp_find_unused_parameters_true"
    return strategy


def _trainer(
    config: DictConfig, model: L.LightningModule, more: Sequence[L.Callback]
) -> L.Trainer:
    callbacks = build(config, "callbacks") or {}
    own = [SeedUpdates(seed=config.seed), *more]
    loggers = list((build(config, "logger") or {}).values())
    return build(
        config,
        "trainer",
        callbacks=[*own, *callbacks.values(), Interrupts()],
        strategy=_strategy(config, model),
        logger=loggers or False,
        plugins=[AtomicCheckpointIO()],
        default_root_dir=config.run_dir,
        enable_checkpointing=True,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )


def _finish(
    trainer: L.Trainer, config: DictConfig, scores: Any | None, *, began_at: int
) -> float | None:
    """Prints the scores, writes them where no callback has, and returns the objective."""
    values = {k: float(v) for k, v in trainer.callback_metrics.items() if k.startswith("val/")}
    if not trainer.is_global_zero:
        return None
    if config.resume is not None and trainer.global_step == began_at:
        log.info("Nothing to do: the run is at update %d.", trainer.global_step)
    run_dir = Path(config.run_dir)
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
    device = trainer.strategy.root_device
    name = device.type
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
    return f"{trainer.world_size} x {name}" if trainer.world_size > 1 else name


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
        ".*Total length of `list` across ranks is zero.*",  # no validation images
        ".*The `srun` command is available.*",  # limner.launchers says it where it matters
    ):
        warnings.filterwarnings("ignore", message)
