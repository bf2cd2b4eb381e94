"""Exponential moving average of weights, whose decay is per image at any batch size."""

__all__ = ["EMA", "best", "evaluating", "follow", "freeze", "make_ema"]

import contextlib
import copy
from collections.abc import Iterator
from typing import Any, TypeVar

import lightning as L
import torch
from torch import Tensor, nn

from limner.interfaces import Schedule

M = TypeVar("M", bound=nn.Module)


class EMA(nn.Module):
    """Frozen copy of a network with averaged weights: w_ema <- d w_ema + (1 - d) w.

    d = min(2^(-images / half_life), (1 + update) / (10 + update)). With the second term, the
    average of the first updates forgets the random initial weights. With a half-life of 0 the
    average equals w. Buffers (the statistics of batch norm) are copied. With a ramp, the half-life
    is min(half_life, ramp * images seen before), as in Karras et al. (2020),
    https://arxiv.org/abs/2006.06676.

    Args:
        network: Network to average.
        half_life: Number of images, above 0, after which an old weight counts half; or a schedule
            of this number, which may begin at 0.
        ramp: Largest half-life as a share of the images seen, above 0; None for no bound.
    """

    def __init__(
        self, network: nn.Module, *, half_life: float | Schedule, ramp: float | None
    ) -> None:
        super().__init__()
        self.network = copy.deepcopy(network).requires_grad_(False).eval()
        self.half_life, self.ramp = half_life, ramp
        self._pairs: tuple[list[Tensor], ...] | None = None

    @torch.no_grad()
    def update(self, network: nn.Module, *, num_images: int, update: int) -> None:
        """Average the weights of `network` after an update of `num_images` images.

        Args:
            network: Network to average.
            num_images: Number of images of the update.
            update: Number of the update, from 0.
        """
        half_life = self.half_life(update) if callable(self.half_life) else self.half_life
        kept = 0.5 ** (num_images / half_life) if half_life > 0 else 0.0
        decay = min(kept, (1 + update) / (10 + update))
        if self.ramp is not None:  # num_images / (ramp * update * num_images)
            decay = min(decay, 0.0 if update == 0 else 0.5 ** (1 / (self.ramp * update)))
        if self._pairs is None:  # listing the tensors takes longer than averaging small networks
            self._pairs = tuple(
                list(tensors)
                for each in (self.network, network)
                for tensors in (each.parameters(), each.buffers())
            )
        averages, copies, weights, buffers = self._pairs
        torch._foreach_lerp_(averages, weights, 1 - decay)
        if copies:
            torch._foreach_copy_(copies, buffers)

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the list of tensors, since a copy averages another network."""
        return {**self.__dict__, "_pairs": None}

    def _apply(self, *args: Any, **kwargs: Any) -> "EMA":
        """Forget the list of tensors, since moving a network replaces its buffers."""
        self._pairs = None
        return super()._apply(*args, **kwargs)

    def train(self, mode: bool = True) -> "EMA":
        """Stay in evaluation mode."""
        return super().train(False)


def make_ema(
    network: nn.Module, half_life: float | Schedule | None, *, ramp: float | None
) -> EMA | None:
    """Return an EMA of `network`, or None if `half_life` is None.

    Raises:
        ValueError: If `half_life` or `ramp` is not above 0, or there is a ramp without half-life.
    """
    if ramp is not None and (ramp <= 0 or half_life is None):
        raise ValueError(
            f"model.ema_ramp={ramp}: must be above 0 (a share of the images seen, which bounds "
            "model.ema_half_life), or null for no bound."
        )
    if half_life is None:
        return None
    if not callable(half_life) and half_life <= 0:
        raise ValueError(
            f"model.ema_half_life={half_life}: must be above 0 (images), a schedule, or null for "
            "no average."
        )
    return EMA(network, half_life=half_life, ramp=ramp)


def best(model: L.LightningModule) -> nn.ModuleDict:
    """Return the networks for samples and scores: the model's average, or else its `network`."""
    return model.network if model.ema is None else model.ema.network


def follow(model: L.LightningModule, network: nn.Module) -> None:
    """Update the model's average of `network`, if there is one, after an optimizer update.

    Call this function in `training_step`. Lightning calls a model's `on_train_batch_end` after the
    hooks of callbacks, so a checkpoint of a callback would lack an average that is updated there
    (tests/test_training.py).
    """
    if model.ema is not None:
        num_images = model.trainer.datamodule.batch_size * model.batches_per_update
        num_images *= model.trainer.world_size
        model.ema.update(network, num_images=num_images, update=model.global_step)


def freeze(model: M) -> M:
    """Put a trained model into evaluation mode, without gradients, and return the model."""
    return model.requires_grad_(False).eval()


@contextlib.contextmanager
def evaluating(network: nn.Module) -> Iterator[nn.Module]:
    """Yield the network in evaluation mode and without gradients; restore its mode afterwards."""
    training = network.training
    try:
        with torch.no_grad():
            yield network.eval()
    finally:
        network.train(training)
