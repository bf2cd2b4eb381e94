"""From a config to objects, to a trained model, to scores."""

__all__ = ["starts_processes", "train"]

import importlib.metadata
import logging
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning as L
import torch
from omegaconf import DictConfig, OmegaConf
from rich import get_console

from limner.callbacks.checkpoints import AtomicCheckpointIO, check_last
from limner.callbacks.epochs import EpochEnds, FitLoop
from limner.callbacks.guards import Interrupts, SeedUpdates
from limner.callbacks.log import Log
from limner.callbacks.rollbacks import Rollback, Rollbacks, seed_after
from limner.callbacks.scores import Scores, entry, write_scores
from limner.checkpoint_files import newest_or_refuse
from limner.choosing import choose_metrics
from limner.config import build, check, composed
from limner.console import quieten, scores_table
from limner.device_counts import DeviceCounts, fitting_batch_size
from limner.errors import UserError
from limner.fitting import fit
from limner.loggers import ToleratedLogger
from limner.tolerance import Tolerance

log = logging.getLogger(__name__)

PACKAGES = ("limner", "torch", "torchvision", "lightning", "hydra-core", "torchmetrics", "numpy")
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
ON_DIVERGENCE = ("stop", "rollback")


def train(config: DictConfig) -> float | None:
    """Trains what the config says, in the folder `config.run_dir`.

    Args:
        config: A composed config, whose `run_dir` exists. With `resume` set, training goes on from
            the newest whole checkpoint there.

    Returns:
        The objective's value at the end, or None if the metrics name none.

    Raises:
        UserError: If the config, the data or the machine does not allow it; or if all was done,
            but the last checkpoint could not be written.
        Interrupted: If a signal stopped it.
    """
    quieten()
    check(config)
    _check_values(config)
    run_dir = Path(config.run_dir)
    L.seed_everything(config.seed, verbose=False)

    last = newest_or_refuse(run_dir) if config.resume is not None else None
    data = _open_data(config, last)
    config.data.image_shape, config.data.num_classes = data.image_shape, data.num_classes
    choose_metrics(config, data)
    check(config)
    trainer = fit(
        _Prepare(config, data),
        data=data,
        run_dir=run_dir,
        last=last,
        on_divergence=config.on_divergence,
        max_rollbacks=config.max_rollbacks,
    )
    objective = _finish(trainer, config, run_dir)
    check_last(trainer)
    return objective


def starts_processes(config: DictConfig) -> bool:
    """Whether Lightning would start the other processes of this run by running its command."""
    outside = "TORCHELASTIC_RUN_ID" in os.environ or "SLURM_NTASKS" in os.environ
    return _num_processes(config) > 1 and not outside


class _Prepare:
    """Makes what is trained, as often as training begins; the first time it is recorded."""

    def __init__(self, config: DictConfig, data: L.LightningDataModule) -> None:
        self.config, self.data, self.is_recorded = config, data, False

    def __call__(
        self, past: Sequence[Rollback], interrupts: Interrupts
    ) -> tuple[L.Trainer, L.LightningModule]:
        config, run_dir = self.config, Path(self.config.run_dir)
        seed = seed_after(config.seed, len(past))
        self.data.seed = seed
        torch.manual_seed(seed)  # the weights do not depend on what was done before
        model = build(config, "model")
        _check_two_players(config, model)
        counts = DeviceCounts(sync_batchnorm=bool(config.trainer.get("sync_batchnorm")))
        own = [SeedUpdates(seed=seed), counts, Rollbacks(past), EpochEnds()]
        trainer = _trainer(config, model, own, interrupts)
        if trainer.is_global_zero and not self.is_recorded:
            _record(config, trainer, run_dir)
            log.info("%s", self.data.describe())
            log.info("%s on %s, in %s", _describe(model), _device(trainer), _shown(run_dir))
        self.is_recorded = True
        for logger in trainer.loggers:
            logger.log_hyperparams(composed(config))
        return trainer, model


def _check_values(config: DictConfig) -> None:
    """Raises `UserError` for what the types allow and this machine or limner does not."""
    if config.seed < 0:
        raise UserError(f"seed={config.seed}: must be 0 or more.")
    if config.on_divergence not in ON_DIVERGENCE:
        raise UserError(f"on_divergence={config.on_divergence}: choose stop or rollback.")
    if config.max_rollbacks < 1:
        raise UserError(
            f"max_rollbacks={config.max_rollbacks}: must be 1 or more; on_divergence=stop never "
            "goes back."
        )
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


def _open_data(config: DictConfig, last: Path | None) -> L.LightningDataModule:
    """The data, opened; of a run that goes on, the same images, as many in each step."""
    saved = {} if last is None else torch.load(last, "cpu", weights_only=True, mmap=True)
    config.data.batch_size = fitting_batch_size(
        config.data.batch_size,
        saved=saved.get("limner", {}),
        num_processes=_num_processes(config),
    )
    data = build(config, "data")
    data.open()
    if (images := saved.get(type(data).__qualname__)) is not None:
        data.load_state_dict(images)  # Lightning asks too, but after the folder was written to
    return data


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
    config: DictConfig,
    model: L.LightningModule,
    own: Sequence[L.Callback],
    interrupts: Interrupts,
) -> L.Trainer:
    """One with the callbacks of the config between our `own` and `interrupts`."""
    callbacks = build(config, "callbacks") or {}
    scores = [build(config, "metrics")] if "_target_" in config.metrics else []
    loggers = [
        ToleratedLogger(logger, name) for name, logger in (build(config, "logger") or {}).items()
    ]
    trainer = build(
        config,
        "trainer",
        callbacks=[*own, *scores, *callbacks.values(), interrupts],
        strategy=_strategy(config, model),
        logger=loggers or False,
        plugins=[AtomicCheckpointIO()],
        default_root_dir=config.run_dir,
        enable_checkpointing=True,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    trainer.fit_loop = FitLoop(trainer)
    return trainer


def _record(config: DictConfig, trainer: L.Trainer, run_dir: Path) -> None:
    """config.yaml and environment.txt: all that is needed to do the run again."""
    (run_dir / "config.yaml").write_text(OmegaConf.to_yaml(OmegaConf.create(composed(config))))
    lines = [
        f"command: {shlex.join(sys.argv)}",
        f"commit: {_commit() or 'not from a git clone'}",
        f"python: {platform.python_version()} on {platform.platform()}",
        f"device: {_device(trainer)}, {os.cpu_count()} cores",
        *(f"{name}: {importlib.metadata.version(name)}" for name in PACKAGES),
    ]
    with open(run_dir / "environment.txt", "a") as file:
        file.write("\n".join(lines) + "\n\n")


def _finish(trainer: L.Trainer, config: DictConfig, run_dir: Path) -> float | None:
    """Prints the scores, writes them where no callback has, and returns the objective."""
    if not trainer.is_global_zero:
        return None
    values = {k: float(v) for k, v in trainer.callback_metrics.items() if k.startswith("val/")}
    entries: dict[str, Any] = {}
    writing = Tolerance("Writing scores.json", OSError)
    for callback in trainer.callbacks:
        if isinstance(callback, Log) and callback.first_update == trainer.global_step:
            # nothing was left to train; maybe the run was stopped just before this
            values = {k: v for k, v in callback.latest.items() if k.startswith("val/")} | values
        if isinstance(callback, Scores):
            entries, writing = dict(callback.latest), callback.writing
    protocol = {"data": config.data.name, "split": "validation", "update": trainer.global_step}
    for name in sorted(n for n in values if n.removesuffix("_std") not in entries):
        entries[name] = entry(trainer, values[name], std=None, protocol=protocol)
    if entries:
        with writing():
            write_scores(run_dir, entries)
        get_console().print(scores_table(entries))
        log.info("How each was made: %s", _shown(run_dir / "scores.json"))
    if (run_dir / "final.png").exists():
        log.info("Samples: %s", _shown(run_dir / "final.png"))
    objective = config.metrics.objective
    return None if objective is None else values.get(objective.name)


def _describe(model: L.LightningModule) -> str:
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    return f"{type(model).__name__} of {trained:,} parameters"


def _commit() -> str:
    """The commit of the clone that runs, or nothing."""
    clone = Path(__file__).parents[2]
    if not (clone / ".git").exists():
        return ""
    command = ["git", "-C", str(clone), "describe", "--always", "--dirty"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    except OSError:  # no git
        return ""


def _device(trainer: L.Trainer) -> str:
    device = trainer.strategy.root_device
    name = device.type
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
    return f"{trainer.world_size} x {name}" if trainer.world_size > 1 else name


def _shown(path: Path) -> str:
    """A path as short as it can be typed from here."""
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)
