"""From a config to objects, to a trained model, to scores."""

__all__ = ["train"]

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning as L
import torch
from omegaconf import DictConfig, OmegaConf

from limner.callbacks.checkpoint_io import AtomicCheckpointIO
from limner.callbacks.checkpoints import check_last
from limner.callbacks.clipping import Clipping
from limner.callbacks.epochs import EpochEnds, FitLoop
from limner.callbacks.gradient_accumulation import InParts
from limner.callbacks.heartbeat import Heartbeat
from limner.callbacks.learning_rates import LearningRates
from limner.callbacks.measured import Measured, measured_of
from limner.callbacks.process_counts import ProcessCounts
from limner.callbacks.provenance import Provenance
from limner.callbacks.rollbacks import Rollback, Rollbacks, seed_after
from limner.callbacks.scores import Scores, entry, write_scores
from limner.callbacks.signals import Interrupts, SeedUpdates
from limner.config.auto_metrics import choose_metrics
from limner.config.build import build, check, composed
from limner.console import print_all, quieten, scores_table, shown
from limner.launch.environment import check_started
from limner.loggers import ToleratedLogger
from limner.pretrained.first_stage import adopt, check_shape
from limner.pretrained.trained_model import Trained
from limner.runs.checkpoints import newest_or_refuse
from limner.runs.folder import RunFolder
from limner.runs.records import write_records
from limner.runs.status import StatusFile
from limner.training.batch_size import DeviceCounts, fitting_batch_size
from limner.training.end import check_files
from limner.training.fit import fit
from limner.training.further_processes import cluster, forget_others, others_told, watch_others
from limner.training.performance import (
    Unprofiled,
    compile_networks,
    keep_freed_memory,
    layout_for,
    skip_gpu_checks,
)
from limner.training.validation import (
    refuse_length,
    refuse_model,
    refuse_other_precision,
    refuse_parts,
    refuse_values,
)
from limner.version import refuse_newer, refuse_other_format
from limner.warn_once import WarnOnce

log = logging.getLogger(__name__)


def train(config: DictConfig, record: Callable[[], None]) -> float | None:
    """Trains what the config says, in the folder `config.run_dir`.

    Args:
        config: A composed config, whose `run_dir` exists. With `resume` set, training goes on from
            the newest whole checkpoint there.
        record: Called once nothing stands in the way of training any more, in the first process:
            until then nothing in the folder is changed.

    Returns:
        The objective's value at the end, or None if the metrics name none.

    Raises:
        UserError: If the config, the data or the machine does not allow it; or if all was done,
            but the last checkpoint could not be written.
        Interrupted: If a signal stopped it.
    """
    quieten()
    keep_freed_memory()
    first_stage = adopt(config, Path(config.run_dir))
    refuse_values(config)
    check(config)
    check_started(_num_processes(config), num_nodes=config.trainer.num_nodes)
    build(config, "gradients")  # refuses values that mean nothing
    run_dir = Path(config.run_dir)
    last = newest_or_refuse(run_dir) if config.resume is not None else None
    saved = {} if last is None else torch.load(last, "cpu", weights_only=True, mmap=True)
    refuse_newer(saved.get("limner", {}).get("version"), shown(last or run_dir))
    if saved:
        refuse_other_format(saved.get("limner", {}).get("format", 1), shown(last))
    refuse_length(config, saved)
    L.seed_everything(config.seed, verbose=False)

    data = _open_data(config, saved)
    del saved
    config.data.image_shape, config.data.num_classes = data.image_shape, data.num_classes
    if first_stage is not None:
        check_shape(first_stage, data.image_shape)
    choose_metrics(config, data)
    check(config)
    folder = RunFolder(run_dir)
    status = StatusFile(run_dir, may_write=folder.is_ours)
    with folder, status.kept(), others_told(run_dir):
        trainer = fit(
            _Prepare(config, data, first_stage, status, folder, record),
            data=data,
            run_dir=run_dir,
            last=last,
            on_divergence=config.on_divergence,
            max_rollbacks=config.max_rollbacks,
        )
        forget_others()
        with folder.ending():
            objective = _finish(trainer, config, run_dir)
            check_last(trainer)
        return objective


class _Prepare:
    """Makes what is trained, as often as training begins; the first time it is recorded."""

    def __init__(
        self,
        config: DictConfig,
        data: L.LightningDataModule,
        first_stage: Trained | None,
        status: StatusFile,
        folder: RunFolder,
        record: Callable[[], None],
    ) -> None:
        self.config, self.data, self.first_stage = config, data, first_stage
        self.status, self.folder, self.record = status, folder, record
        self.is_recorded = False

    def __call__(
        self, past: Sequence[Rollback], interrupts: Interrupts, update: int
    ) -> tuple[L.Trainer, L.LightningModule]:
        config = self.config
        seed = seed_after(config.seed, len(past))
        self.data.seed = seed
        torch.manual_seed(seed)  # the weights do not depend on what was done before
        model = build(config, "model")
        if self.first_stage is not None:
            model.first_stage.load_state_dict(self.first_stage.module.state_dict())
        refuse_model(config, model, self.data, num_processes=_num_processes(config))
        own = [
            SeedUpdates(seed=seed),
            Provenance(),
            ProcessCounts(num_processes=_num_processes(config)),
            DeviceCounts(sync_batchnorm=bool(config.trainer.get("sync_batchnorm"))),
            Heartbeat(status=self.status, folder=self.folder),
            Rollbacks(past),
            Measured(),
            EpochEnds(),
        ]
        if (schedule := build(config, "lr_schedule")) is not None:
            own.append(LearningRates(schedule))
        if model.automatic_optimization and (norm := config.gradients.max_norm) is not None:
            own.append(Clipping(norm))
        trainer = _trainer(config, model, self.folder, own, interrupts)
        refuse_other_precision(config.trainer.precision, trainer)
        watch_others(trainer, tell=self.status.fail)
        layout = layout_for(
            config.channels_last,
            device=trainer.strategy.root_device,
            precision=trainer.precision,
        )
        model.to(memory_format=layout)
        self.data.layout = layout
        compile_networks(model, config.compile)
        skip_gpu_checks()
        if trainer.is_global_zero and not self.is_recorded:
            self._record(trainer, model, update)
        self.is_recorded = True
        for logger in trainer.loggers:
            logger.log_hyperparams(composed(config))
        return trainer, model

    def _record(self, trainer: L.Trainer, model: L.LightningModule, update: int) -> None:
        run_dir = Path(self.config.run_dir)
        self.record()
        self.status.begin(update=update)
        written = OmegaConf.to_yaml(OmegaConf.create(composed(self.config)))
        write_records(run_dir, config=written, device=_device(trainer))
        self.folder.begin()
        log.info("%s", self.data.describe())
        log.info("%s on %s, in %s", _describe(model), _device(trainer), shown(run_dir))


def _open_data(config: DictConfig, saved: Mapping[str, Any]) -> L.LightningDataModule:
    """The data, opened; of a run that goes on, the same images, as many in each step."""
    config.data.batch_size = fitting_batch_size(
        config.data.batch_size,
        saved=saved.get("limner", {}),
        num_processes=_num_processes(config),
    )
    refuse_parts(config)
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
    strategy = config.trainer.strategy
    if strategy == "auto" and _num_processes(config) > 1:
        strategy = "ddp"
    if strategy == "ddp" and getattr(model, "has_unused_parameters", False):
        return "ddp_find_unused_parameters_true"
    return strategy


def _trainer(
    config: DictConfig,
    model: L.LightningModule,
    folder: RunFolder,
    own: Sequence[L.Callback],
    interrupts: Interrupts,
) -> L.Trainer:
    """One with the callbacks of the config between our `own` and `interrupts`."""
    callbacks = build(config, "callbacks") or {}
    scores = [build(config, "metrics")] if "_target_" in config.metrics else []
    loggers = [
        ToleratedLogger(logger, name) for name, logger in (build(config, "logger") or {}).items()
    ]
    profiler = {} if "profiler" in config.trainer else {"profiler": Unprofiled()}
    trainer = build(
        config,
        "trainer",
        **profiler,
        callbacks=[*own, *scores, *callbacks.values(), interrupts],
        strategy=_strategy(config, model),
        logger=loggers or False,
        plugins=[AtomicCheckpointIO(folder), *cluster()],
        default_root_dir=config.run_dir,
        enable_checkpointing=True,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    trainer.fit_loop = FitLoop(trainer)
    if model.automatic_optimization and config.gradients.accumulate > 1:
        loop = InParts(trainer, num_parts=config.gradients.accumulate)
        trainer.fit_loop.epoch_loop.automatic_optimization = loop
    return trainer


def _finish(trainer: L.Trainer, config: DictConfig, run_dir: Path) -> float | None:
    """Prints the scores, writes them where no callback has, and returns the objective."""
    if not trainer.is_global_zero:
        return None
    values = measured_of(trainer).at(trainer.global_step)
    entries: dict[str, Any] = {}
    writing = WarnOnce("Writing scores.json", OSError)
    for callback in trainer.callbacks:
        if isinstance(callback, Scores):
            entries = {name: each for name, each in callback.latest.items() if name in values}
            writing = callback.writing
    protocol = {"data": config.data.name, "split": "validation", "update": trainer.global_step}
    if (kind := config.data.get("binarisation")) is not None:
        protocol["binarisation"] = kind
    for name in sorted(n for n in values if n.removesuffix("_std") not in entries):
        entries[name] = entry(trainer, values[name], std=None, protocol=protocol)
    if entries:
        with writing():
            write_scores(run_dir, entries)
        print_all(scores_table(entries))
        log.info("How each was made: %s", shown(run_dir / "scores.json"))
    if (run_dir / "final.png").exists():
        log.info("Samples: %s", shown(run_dir / "final.png"))
    check_last(trainer)
    check_files(trainer, writing)
    if (objective := config.metrics.objective) is None:
        return None
    if values and objective.name not in values:
        log.warning("metrics.objective.name=%s is not measured by this run.", objective.name)
    return values.get(objective.name)


def _describe(model: L.LightningModule) -> str:
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    return f"{type(model).__name__} of {trained:,} parameters"


def _device(trainer: L.Trainer) -> str:
    device = trainer.strategy.root_device
    name = device.type
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
    return f"{trainer.world_size} x {name}" if trainer.world_size > 1 else name
