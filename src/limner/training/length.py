"""Refuses lengths and intervals of training that Lightning would ignore, or end at once."""

__all__ = ["refuse_intervals", "refuse_unreachable"]

from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Timer
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from omegaconf import DictConfig, OmegaConf

from limner.errors import UserError

UNLIMITED = (None, -1)


def refuse_intervals(config: DictConfig) -> None:
    """Raise `UserError` for a length of nothing, a minimum above a maximum, or a clock's interval.

    Args:
        config: The config, whose types were checked.
    """
    given = OmegaConf.to_container(config.trainer)
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
            "share of an epoch; by the clock no two runs would be validated at the same updates."
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
    """Raise `UserError` for limits and intervals that do not fit the number of images.

    Args:
        config: The config.
        data: The data, opened.
        model: The model, which may take several batches for an update.
        num_processes: Processes that share each update.
    """
    if num_processes < 1:
        return  # Lightning says why
    given = OmegaConf.to_container(config.trainer)
    per_update = config.data.batch_size * num_processes * getattr(model, "batches_per_update", 1)
    updates = _limited("train", given, len(data.split("train")[1]) // per_update)
    num_images = len(data.split("validation")[1])
    in_a_share = -(-num_images // num_processes)
    batches = min(-(-in_a_share // config.data.batch_size), num_images // num_processes)
    batches = _limited("val", given, batches)
    if updates == 0:
        return  # the data say why
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
            f"epoch has {updates}), so make it smaller or those larger."
        )


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
        raise UserError(f"trainer.max_time={max_time}: must be longer than nothing.")


def _limited(kind: str, given: dict[str, Any], num_batches: int) -> int:
    """Return how many of an epoch's batches are taken; raise `UserError` if a share has none."""
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
