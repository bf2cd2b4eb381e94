"""Lightning's Trainer, with the callbacks, loggers and loops of limner."""

__all__ = ["make_trainer", "num_processes"]

from collections.abc import Sequence

import lightning as L
import torch
from omegaconf import DictConfig, OmegaConf

from limner.callbacks.checkpoint_io import AtomicCheckpointIO
from limner.callbacks.clipping import Clipping
from limner.callbacks.epochs import TrackEpochEnd
from limner.callbacks.heartbeat import Heartbeat
from limner.callbacks.learning_rates import LearningRates, SecondBetas
from limner.callbacks.measured import Measured
from limner.callbacks.process_counts import ProcessCounts
from limner.callbacks.provenance import Provenance
from limner.callbacks.rollbacks import Rollback, Rollbacks, seed_after
from limner.callbacks.signals import SeedPerUpdate, StopOnSignal
from limner.config.build import build
from limner.loggers import ToleratedLogger
from limner.models.lightning_internals import FitLoop, GradientAccumulation
from limner.runs.folder import RunFolder
from limner.runs.status import StatusFile
from limner.schedules import Interval
from limner.training.batch_size import DeviceCounts
from limner.training.further_processes import cluster, watch_others
from limner.training.performance import Unprofiled, skip_gpu_checks
from limner.training.validation import refuse_other_precision, refuse_sharding


def make_trainer(
    config: DictConfig,
    model: L.LightningModule,
    *,
    folder: RunFolder,
    status: StatusFile,
    past: Sequence[Rollback],
    interrupts: StopOnSignal,
) -> L.Trainer:
    """Make the trainer of a run.

    Args:
        config: The run's config.
        model: The model to train.
        folder: The run folder.
        status: The status.json of the run.
        past: Rollbacks until now, in order.
        interrupts: Callback that stops training on a signal.
    """
    profiler = {} if "profiler" in config.trainer else {"profiler": Unprofiled()}
    trainer = build(
        config,
        "trainer",
        **profiler,
        callbacks=[
            *_our_callbacks(config, folder, status, past),
            *([Clipping(config.gradients.max_norm)] if _is_clipped(config, model) else []),
            *([build(config, "metrics")] if "_target_" in config.metrics else []),
            *(build(config, "callbacks") or {}).values(),
            interrupts,
        ],
        logger=_loggers(config) or False,
        plugins=[AtomicCheckpointIO(folder), *cluster()],
        default_root_dir=config.run_dir,
        enable_checkpointing=True,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    refuse_sharding(trainer)
    trainer.fit_loop = FitLoop(trainer)
    _let_intervals_grow(trainer, config.interval_growth)
    if model.automatic_optimization and config.gradients.accumulate > 1:
        loop = GradientAccumulation(trainer, accumulate=config.gradients.accumulate)
        trainer.fit_loop.epoch_loop.automatic_optimization = loop
    refuse_other_precision(config.trainer.precision, trainer)
    watch_others(trainer, tell=status.fail)
    skip_gpu_checks()
    return trainer


def _let_intervals_grow(trainer: L.Trainer, growth: float) -> None:
    """Let the intervals of validation, and of callbacks with an `interval`, grow."""
    trainer.fit_loop.epoch_loop.validated_epochs = Interval(every=1, growth=growth)
    for callback in trainer.callbacks:
        if isinstance(interval := getattr(callback, "interval", None), Interval):
            callback.interval = Interval(every=interval.every, growth=growth)


def num_processes(config: DictConfig) -> int:
    """Return the number of processes that a config sets, on all nodes together."""
    devices, num_nodes = config.trainer.devices, config.trainer.num_nodes
    if OmegaConf.is_list(devices):
        return len(devices) * num_nodes
    if str(devices) in ("auto", "-1"):
        on_cpu = config.trainer.accelerator == "cpu"
        return num_nodes if on_cpu else max(1, torch.cuda.device_count()) * num_nodes
    return int(devices) * num_nodes


def _our_callbacks(
    config: DictConfig, folder: RunFolder, status: StatusFile, past: Sequence[Rollback]
) -> list[L.Callback]:
    """Make the callbacks that every run has, for any config."""
    rates = build(config, "lr_schedule")
    # runs of earlier versions have no such key
    betas = build(config, "beta2_schedule") if config.get("beta2_schedule") is not None else None
    return [
        SeedPerUpdate(seed=seed_after(config.seed, len(past))),
        Provenance(num_updates=config.num_updates),
        ProcessCounts(num_processes=num_processes(config)),
        DeviceCounts(sync_batchnorm=bool(config.trainer.get("sync_batchnorm"))),
        Heartbeat(status=status, folder=folder),
        Rollbacks(past),
        Measured(),
        TrackEpochEnd(),
        *([] if rates is None else [LearningRates(rates)]),
        *([] if betas is None else [SecondBetas(betas)]),
    ]


def _is_clipped(config: DictConfig, model: L.LightningModule) -> bool:
    """Return whether a callback clips the gradients; limner's own models clip by themselves."""
    return model.automatic_optimization and config.gradients.max_norm is not None


def _loggers(config: DictConfig) -> list[ToleratedLogger]:
    made = build(config, "logger") or {}
    return [ToleratedLogger(logger, name) for name, logger in made.items()]
