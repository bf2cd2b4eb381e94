"""A run that is ready for training: everything is checked, and nothing is written yet."""

__all__ = ["Run", "prepare"]

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning as L
import torch
from omegaconf import DictConfig, OmegaConf

from limner.callbacks.rollbacks import Rollback, rollbacks_of, seed_after
from limner.callbacks.signals import StopOnSignal, stopping_at_once
from limner.config.auto_metrics import choose_metrics
from limner.config.build import build, check, composed
from limner.config.facts import (
    fill_facts,
    keep_commit,
    refuse_unfit_inputs,
    refuse_unlabelled,
)
from limner.config.groups import check_groups
from limner.console import quieten, shown
from limner.errors import Interrupted, UserError
from limner.files.plain import NotPlainError, read_yaml
from limner.launch.environment import check_started
from limner.models.adversarial_checks import BatchNormError
from limner.pretrained.first_stage import adopt, check_shape
from limner.pretrained.initial_weights import advice_without, read_initial_weights, start_from
from limner.pretrained.trained_model import TrainedModel
from limner.runs.checkpoints import refuse_odd, update_of
from limner.runs.folder import RunFolder
from limner.runs.newest_checkpoint import newest_or_refuse
from limner.runs.records import write_records
from limner.runs.status import StatusFile
from limner.training.auto_weights import fit_weights
from limner.training.batch_size import fitting_batch_size
from limner.training.compilation import compile_training
from limner.training.image_size import judge_image_size
from limner.training.left_out import unfit_baselines, unvalidated
from limner.training.length import Length, refuse_endless
from limner.training.opening import opening, zero_rate
from limner.training.own_parts import try_own_parts
from limner.training.performance import keep_freed_memory, layout_for
from limner.training.progress import Progress
from limner.training.style_pictures import read_style_pictures
from limner.training.trainer import make_trainer, num_processes
from limner.training.unread_classes import refuse_unread_classes
from limner.training.validation import (
    advice_on_norm,
    refuse_length,
    refuse_model,
    refuse_parts,
    refuse_values,
)
from limner.version import refuse_newer, refuse_other_format

log = logging.getLogger(__name__)


class Run:
    """Config, data, model, trainer and folder of a run, made by `prepare`.

    Args:
        config: The complete and checked config.
        data: The opened data.
        first_stage: Trained model that this run builds on, or None.
        initial: Trained model whose network this run starts from, or None.
        last: Checkpoint from which training resumes; None to train from the start.
        past: Rollbacks before that checkpoint, in order.
        length: Length of training in updates.
        progress: Progress of the run, updated during training.
    """

    trainer: L.Trainer | None
    model: L.LightningModule | None

    def __init__(
        self,
        config: DictConfig,
        *,
        data: L.LightningDataModule,
        first_stage: TrainedModel | None,
        initial: TrainedModel | None,
        last: Path | None,
        past: Sequence[Rollback],
        length: Length,
        progress: Progress,
    ) -> None:
        self.config, self.data = config, data
        self.first_stage, self.initial = first_stage, initial
        self.last, self.past, self.length, self.progress = last, past, length, progress
        self.folder = RunFolder(Path(config.run_dir))
        self.status = StatusFile(self.folder.path, may_write=self.folder.is_ours)
        self.interrupts = StopOnSignal()
        self.build(past)

    def build(self, past: Sequence[Rollback]) -> None:
        """Build `trainer` and `model`. This is repeated after each rollback.

        Args:
            past: Rollbacks until now; their number changes the random numbers of training.
        """
        config = self.config
        seed = seed_after(config.seed, len(past))
        self.data.seed = seed
        self.model = self._build_model(seed)
        if self.first_stage is not None:
            self.model.first_stage.load_state_dict(self.first_stage.module.state_dict())
        if self.last is None:  # else the checkpoint contains the pictures
            read_style_pictures(self.model)
        if self.initial is not None:
            start_from(self.initial, self.model, config)
        refuse_model(config, self.model, self.data, num_processes=num_processes(config))
        refuse_unread_classes(config, self.model)
        fit_weights(self.model, self.data, num_processes=num_processes(config))
        try_own_parts(config, self.model, image_shape=self.data.image_shape)
        self.trainer = make_trainer(
            config,
            self.model,
            folder=self.folder,
            status=self.status,
            past=past,
            interrupts=self.interrupts,
        )
        for callback in self.trainer.callbacks:
            if hasattr(callback, "refuse"):  # scores
                callback.refuse(self.model, self.data)
        layout = layout_for(
            config.channels_last,
            device=self.trainer.strategy.root_device,
            precision=self.trainer.precision,
        )
        self.model.to(memory_format=layout)
        self.data.layout = layout  # two tensors in different layouts are slow to subtract
        compile_training(self.model, config.compile)

    def _build_model(self, seed: int) -> L.LightningModule:
        """Build the model, and build it again if the length of training changes.

        The length depends on the number of batches of an update, which the built model states.
        The schedules of the model read the length.
        """
        while True:
            torch.manual_seed(seed)  # initial weights must not depend on earlier random draws
            try:
                model = build(self.config, "model")
            except BatchNormError as error:
                raise UserError(f"{error}:\n{advice_on_norm(self.config)}") from error
            if not self.length.fill(getattr(model, "batches_per_update", 1)):
                return model

    def record(self) -> None:
        """Write the records of the run that are known before training, in the first process."""
        if not self.trainer.is_global_zero:
            return
        device = _describe_device(self.trainer)
        self.status.begin(update=0 if self.last is None else update_of(self.last))
        written = OmegaConf.to_yaml(OmegaConf.create(composed(self.config)))
        write_records(self.folder.path, config=written, device=device)
        self.folder.begin()
        for line in opening(
            self.config,
            self.model,
            self.data,
            device=device,
            num_processes=num_processes(self.config),
            folder=self.folder.path,
            update=None if self.last is None else update_of(self.last),
        ):
            log.info("%s", line)
        advice = advice_without(self.model) if self.last is None else None
        for warning in (
            zero_rate(self.config),
            advice,
            unvalidated(self.config, self.model, self.data),
            unfit_baselines(self.config, self.data, "validation"),
        ):
            if warning is not None:
                log.warning(warning)  # an argument would lose its line breaks


def prepare(config: DictConfig, progress: Progress | None = None) -> Run:
    """Check a config, open its data, and build its model and trainer; change nothing on disk.

    Args:
        config: A composed config whose `run_dir` exists. If `resume` is set, training resumes from
            the newest complete checkpoint there.
        progress: Progress object to update during training; None if the caller needs none.

    Raises:
        UserError: If the config, the data or the machine does not allow the run.
        Interrupted: If a signal arrives meanwhile.
    """
    try:
        with stopping_at_once():
            return _prepare(config, progress)
    except KeyboardInterrupt:
        raise Interrupted("Stopped before training, which has changed nothing.") from None


def _prepare(config: DictConfig, progress: Progress | None) -> Run:
    quieten()
    keep_freed_memory()
    run_dir = Path(config.run_dir)
    check_groups(config)
    first_stage = adopt(config, run_dir)
    refuse_values(config)
    refuse_endless(config)
    check(config)
    refuse_unfit_inputs(config)
    check_started(num_processes(config), num_nodes=config.trainer.num_nodes)
    build(config, "gradients")  # checks the values
    last = newest_or_refuse(run_dir) if config.resume is not None else None
    saved = {} if last is None else torch.load(last, "cpu", weights_only=True, mmap=True)
    if last is not None:
        refuse_odd(saved, last)
        made_by = saved.get("limner", {})
        refuse_newer(made_by.get("version"), shown(last))
        refuse_other_format(made_by.get("format", 1), shown(last))
    refuse_length(config, saved)
    L.seed_everything(config.seed, verbose=False)
    chosen = config.data.get("image_shape")
    if last is not None:  # a resumed run keeps the size and the commit that it started with
        before = _data_before(run_dir)
        if chosen is None:
            chosen = config.data.image_shape = before.get("image_shape")
        keep_commit(config, before)
    data = _open_data(config, saved)
    past = rollbacks_of(saved) if saved else []
    length = Length(config, data, num_processes=num_processes(config), saved=saved)
    length.fill()
    del saved
    fill_facts(config, data)
    refuse_unlabelled(config)
    if first_stage is not None:
        check_shape(first_stage, data.image_shape)
    choose_metrics(config, data)
    check(config)
    run = Run(
        config,
        data=data,
        first_stage=first_stage,
        initial=read_initial_weights(config) if last is None else None,
        last=last,
        past=past,
        length=length,
        progress=Progress() if progress is None else progress,
    )
    if chosen is None:
        judge_image_size(run.model, data.image_shape)
    return run


def _data_before(run_dir: Path) -> Mapping[str, Any]:
    """Return the facts of the data in the records of a run; {} if there are none."""
    try:
        found = read_yaml(run_dir / "config.yaml")["data"]
    except (NotPlainError, KeyError, TypeError):
        return {}
    return found if isinstance(found, Mapping) else {}


def _open_data(config: DictConfig, saved: Mapping[str, Any]) -> L.LightningDataModule:
    """Open the data; a resumed run keeps its images and their number in each step."""
    config.data.batch_size = fitting_batch_size(
        config.data.batch_size,
        saved=saved.get("limner", {}),
        num_processes=num_processes(config),
    )
    refuse_parts(config)
    data = build(config, "data")
    data.open()
    if (images := saved.get(type(data).__qualname__)) is not None:
        data.load_state_dict(images)  # Lightning does this too late, after the first files
    return data


def _describe_device(trainer: L.Trainer) -> str:
    device = trainer.strategy.root_device
    name = device.type
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
    return f"{trainer.world_size} x {name}" if trainer.world_size > 1 else name
