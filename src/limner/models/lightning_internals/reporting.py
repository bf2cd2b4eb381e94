"""Report losses to Lightning's callbacks and loggers (tests/models/test_plain_trainer.py)."""

__all__ = ["backward", "finish_update", "report_evaluation"]

from collections.abc import Mapping, Sequence

import lightning as L
from torch import Tensor

from limner.models.gradient_exchange import average_gradients
from limner.models.lightning_internals.counting import count_update
from limner.models.lightning_internals.fit_loop import FitLoop
from limner.processes import world_size


def backward(model: L.LightningModule, loss: Tensor, weights: Sequence[Tensor]) -> None:
    """Compute the gradients of a loss (), averaged over the processes that train together.

    DDP averages them if the model has one optimizer, else `average_gradients`.

    Args:
        model: The model, in its `training_step`.
        loss: Loss of this process.
        weights: Weights of the optimizer that steps next.
    """
    trainer = model.trainer
    if world_size() > 1 and len(trainer.optimizers) > 1:
        with trainer.strategy.block_backward_sync():
            _backward(model, loss)
        average_gradients(weights)
    else:
        _backward(model, loss)


def finish_update(model: L.LightningModule, values: dict[str, Tensor]) -> dict[str, Tensor]:
    """End an update: count it, report its values as `train/NAME`, and return them.

    The values are in `trainer.callback_metrics`, where ModelCheckpoint and EarlyStopping look.
    They stay tensors on the device, so nothing waits for them. In a run of limner the loggers get
    them from `limner.callbacks.log`; in another Trainer, from Lightning.

    Args:
        model: The model, in its `training_step`.
        values: Values () of the update by name, detached.
    """
    trainer = model.trainer
    named = {f"train/{name}": value for name, value in values.items()}
    if isinstance(trainer.fit_loop, FitLoop):
        trainer._logger_connector._callback_metrics.update(named)
    else:
        model.log_dict(named)
    count_update(model)
    return values


def report_evaluation(
    model: L.LightningModule,
    values: Mapping[str, Tensor],
    *,
    num_images: int | Mapping[str, int],
) -> None:
    """Report the values of a batch as `val/NAME`, or as `test/NAME` in `trainer.test`.

    Lightning averages them over the batches and processes. `trainer.validate` and `trainer.test`
    return the averages. While limner trains, its loggers get them from `limner.callbacks.log`.
    Call this function once for each batch.

    Args:
        model: The model, in its `validation_step` or `test_step`.
        values: Means () over the images of the batch, by name.
        num_images: Number of images in the batch, or the number for each name.
    """
    trainer = model.trainer
    stage = "test" if trainer.testing else "val"
    named = {f"{stage}/{name}": value for name, value in values.items()}
    numbers = num_images
    if isinstance(num_images, Mapping):
        numbers = {f"{stage}/{name}": number for name, number in num_images.items()}
    # Lightning averages the numbers of images over the processes, whole numbers with a wrong
    # rounding, so they are given as floats (tests/test_picture_runs.py, two processes)
    if trainer.state.fn != "fit" or not isinstance(trainer.fit_loop, FitLoop):
        for name, value in named.items():
            number = numbers[name] if isinstance(numbers, Mapping) else numbers
            model.log(name, value, batch_size=float(number), sync_dist=True)
        return
    means = trainer.fit_loop.epoch_loop.sum_up(named, numbers)
    for name, (mean, number) in means.items():  # one call to Lightning for each value is slow
        model.log(name, mean, batch_size=float(number), sync_dist=True, logger=False)


def _backward(model: L.LightningModule, loss: Tensor) -> None:
    """Run a backward pass, through Lightning only if that is necessary.

    Lightning's `manual_backward` calls two hooks of every callback.
    """
    loop = model.trainer.fit_loop
    if isinstance(loop, FitLoop) and not loop.epoch_loop.overridden.sees_backward:
        loss.backward()
    else:
        model.manual_backward(loss)
