"""The length of training in updates, and checks of lengths and intervals.

Schedules read the length as `${num_updates}`. The length is known once the data are open, and is
then written into the config: the updates of trainer.max_epochs epochs, or trainer.max_steps,
whichever is less.
"""

__all__ = ["Length", "refuse_endless", "refuse_intervals", "refuse_unreachable"]

import logging
from collections.abc import Iterator, Mapping
from typing import Any

import lightning as L
from hydra.utils import get_object
from lightning.pytorch.callbacks import Timer
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from omegaconf import DictConfig, OmegaConf

from limner.data.batches import images_per_epoch
from limner.errors import UserError

log = logging.getLogger(__name__)

UNLIMITED = (None, -1)
LENGTH, STEPS = "${num_updates}", "${trainer.max_steps}"
"""References to the length of training in a config; the second needs a trainer.max_steps."""


class Length:
    """The length of a run in updates; `fill` writes it into the config as `num_updates`.

    Args:
        config: The config of the run.
        data: The opened data.
        num_processes: Number of processes that share each update.
        saved: Checkpoint from which training resumes; empty for a new run.
    """

    def __init__(
        self,
        config: DictConfig,
        data: L.LightningDataModule,
        *,
        num_processes: int,
        saved: Mapping[str, Any],
    ) -> None:
        self._config = config
        self._images = images_per_epoch(data) // max(1, num_processes)
        self._is_resumed = bool(saved)
        self._recorded = saved.get("limner", {}).get("num_updates")
        _read_length(config)

    def fill(self, batches_per_update: int | None = None) -> bool:
        """Write the length into the config, and return whether this changed it.

        Args:
            batches_per_update: Number of batches that the model takes for an update. None before
                the model is built; then its class or `model.num_discriminator_steps` decides.

        Raises:
            UserError: If the new length would change a schedule of the resumed run.
        """
        if batches_per_update is None:
            batches_per_update = _batches_per_update(self._config)
        before, length = self._config.num_updates, self._in_updates(batches_per_update)
        steps = self._config.trainer.get("max_steps")
        if self._is_resumed and steps not in UNLIMITED and self._recorded in (None, steps):
            length = steps  # earlier versions used max_steps even if max_epochs came sooner
        readers = [key for key, text in _texts(self._config) if LENGTH in text]
        if readers and self._recorded not in (None, length):
            raise UserError(
                f"{readers[0]} follows the length of training, which was {self._recorded} updates "
                f"and is now {length}: this would make another run. To keep the schedule: "
                f"{readers[0]}={self._recorded}. For a new run, leave out resume=."
            )
        self._config.num_updates = length
        if readers and before is None and (given := self._config.trainer.get("max_time")):
            log.info(
                "%s ends at update %s; trainer.max_time=%s may end training before that.",
                readers[0], length, given,
            )  # fmt: skip
        return before != length

    def _in_updates(self, batches_per_update: int) -> int | None:
        given = OmegaConf.to_container(self._config.trainer)
        per_update = self._config.data.batch_size * batches_per_update
        # the data raise the error later if an epoch has no update
        updates = max(1, _limited("train", given, self._images // per_update))
        limits = [] if given.get("max_steps") in UNLIMITED else [given["max_steps"]]
        if given.get("max_epochs") not in UNLIMITED:
            limits.append(updates * given["max_epochs"])
        return min(limits, default=None)


def refuse_endless(config: DictConfig) -> None:
    """Raise UserError for a schedule that needs the length of a training without a limit.

    Args:
        config: The config, before the check of its types.
    """
    given = OmegaConf.to_container(config.trainer)
    if all(given.get(name) in UNLIMITED for name in ("max_epochs", "max_steps")):
        for key, text in _texts(config):
            if LENGTH in text or STEPS in text:
                raise UserError(
                    f"{key} follows the length of training, which has no limit in updates.\n"
                    f"Set trainer.max_steps=N or trainer.max_epochs=N, or {key}=N itself."
                )


def refuse_intervals(config: DictConfig) -> None:
    """Raise UserError for a length of 0, a minimum above its maximum, or an interval in time.

    Args:
        config: The config, after the check of its types.
    """
    given = OmegaConf.to_container(config.trainer)
    if config.num_updates is not None:
        raise UserError(
            f"num_updates={config.num_updates}: it is filled in when a run starts. To choose the "
            "length of training: trainer.max_steps=N or trainer.max_epochs=N."
        )
    for name in ("max_epochs", "max_steps"):
        if (length := given.get(name)) not in UNLIMITED and length < 1:
            raise UserError(
                f"trainer.{name}={length}: must be 1 or more, or -1 for no such limit."
            )
    if given.get("max_epochs") is None and given.get("max_steps") in UNLIMITED:
        raise UserError(
            "trainer.max_epochs=null: Lightning would take 1000; choose a number of epochs, or -1 "
            "for no limit."
        )
    if given.get("limit_train_batches") == 0:
        raise UserError(
            f"trainer.limit_train_batches={given['limit_train_batches']}: must leave an update in "
            "an epoch; 1.0 takes them all. To score without training: limner evaluate run=RUN."
        )
    for name in ("limit_train_batches", "limit_val_batches"):
        limit = given.get(name)
        if limit is not None and (limit < 0 or (isinstance(limit, float) and limit > 1)):
            raise UserError(
                f"trainer.{name}={limit}: must be a share from 0.0 to 1.0, or a whole number of "
                "batches."
            )
    _refuse_no_time(given.get("max_time"))
    if (every := given.get("check_val_every_n_epoch")) is not None and every < 1:
        raise UserError(
            f"trainer.check_val_every_n_epoch={every}: must be 1 or more. To validate nothing: "
            "trainer.limit_val_batches=0."
        )
    interval = given.get("val_check_interval")
    if interval is not None and not isinstance(interval, int | float):
        raise UserError(
            f"trainer.val_check_interval={interval}: must be a whole number of updates, or a "
            "share of an epoch; with an interval in time, two runs would be validated at "
            "different updates."
        )
    if interval is not None and interval <= 0:
        raise UserError(
            f"trainer.val_check_interval={interval}: must be above 0. To validate nothing: "
            "trainer.limit_val_batches=0."
        )
    for unit in ("epochs", "steps"):
        least, most = given.get(f"min_{unit}"), given.get(f"max_{unit}")
        if least is not None and most not in UNLIMITED and least > most:
            raise UserError(
                f"trainer.min_{unit}={least}: must be at most trainer.max_{unit}={most}, which "
                "ends training."
            )


def refuse_unreachable(
    config: DictConfig, data: L.LightningDataModule, model: L.LightningModule, num_processes: int
) -> None:
    """Raise UserError for limits and intervals that do not fit the number of images.

    Args:
        config: The config.
        data: The opened data.
        model: The model, which may take several batches for an update.
        num_processes: Number of processes that share each update.
    """
    if num_processes < 1:
        return  # Lightning raises the error
    given = OmegaConf.to_container(config.trainer)
    per_update = config.data.batch_size * num_processes * getattr(model, "batches_per_update", 1)
    updates = _limited("train", given, images_per_epoch(data) // per_update)
    num_images = len(data.split("validation")[1])
    size = getattr(data, "evaluation_batch_size", lambda _: config.data.batch_size)(model)
    in_a_share = -(-num_images // num_processes)
    batches = min(-(-in_a_share // size), num_images // num_processes)
    batches = _limited("val", given, batches)
    if updates == 0:
        return  # the data raise the error
    interval, every = given.get("val_check_interval"), given.get("check_val_every_n_epoch", 1)
    if batches and every is not None and isinstance(interval, int) and interval > updates:
        raise UserError(
            f"trainer.val_check_interval={interval}: must be at most the {updates} updates of an "
            "epoch. To count updates over epochs: +trainer.check_val_every_n_epoch=null."
        )
    epochs, steps = (
        float("inf") if given.get(name) in UNLIMITED else given[name]
        for name in ("max_epochs", "max_steps")
    )
    least = max((given.get("min_epochs") or 0) * updates, given.get("min_steps") or 0)
    if least > min(epochs * updates, steps):
        name = "epochs" if (given.get("min_epochs") or 0) * updates == least else "steps"
        raise UserError(
            f"trainer.min_{name}={given[f'min_{name}']}: training ends after "
            f"{min(epochs * updates, steps)} updates (trainer.max_epochs, trainer.max_steps; an "
            f"epoch has {updates}). Decrease trainer.min_{name}, or increase the length."
        )


def _read_length(config: DictConfig) -> None:
    """Replace references to a trainer.max_steps without a limit by references to the length."""
    if config.trainer.get("max_steps") in UNLIMITED:
        for key, text in list(_texts(config)):
            if STEPS in text:
                OmegaConf.update(config, key, text.replace(STEPS, LENGTH))


def _texts(config: DictConfig) -> Iterator[tuple[str, str]]:
    """Yield (dotted key, text as written) for every text outside of the config's trainer."""

    def visit(node: Mapping[str, Any], path: str) -> Iterator[tuple[str, str]]:
        for key, value in node.items():
            if isinstance(value, dict):
                yield from visit(value, f"{path}{key}.")
            elif isinstance(value, str):
                yield f"{path}{key}", value

    written = OmegaConf.to_container(config)
    return visit({key: value for key, value in written.items() if key != "trainer"}, "")


def _batches_per_update(config: DictConfig) -> int:
    """Return the number of batches of an update, for a model that is not built yet."""
    steps = OmegaConf.select(config, "model.num_discriminator_steps", default=1)
    number = getattr(get_object(config.model._target_), "batches_per_update", steps)
    return number if isinstance(number, int) and number >= 1 else 1


def _refuse_no_time(max_time: Any) -> None:
    if max_time is None:
        return
    try:
        seconds = Timer(max_time).time_remaining()
    except (MisconfigurationException, TypeError) as error:
        raise UserError(
            f"trainer.max_time={max_time}: must be DAYS:HOURS:MINUTES:SECONDS, as 00:01:30:00, or "
            "{hours: 1.5}."
        ) from error
    if seconds <= 0:
        raise UserError(f"trainer.max_time={max_time}: must be above 0.")


def _limited(kind: str, given: dict[str, Any], num_batches: int) -> int:
    """Return the number of batches used of an epoch; raise UserError if a share leaves none."""
    name = f"limit_{kind}_batches"
    limit = given.get(name)
    if limit is None:
        return num_batches
    left = min(num_batches, limit) if isinstance(limit, int) else int(num_batches * limit)
    if left == 0 and limit > 0 and num_batches > 0:
        raise UserError(
            f"trainer.{name}={limit}: leaves none of the {num_batches} batches of an epoch; "
            f"choose a share of {1 / num_batches:.2g} or more, or a whole number."
        )
    return left
