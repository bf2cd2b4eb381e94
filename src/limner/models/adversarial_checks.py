"""Checks of the two players of a GAN before training, their statistics, and validation losses."""

__all__ = [
    "BatchNormError",
    "by_name",
    "check_players",
    "is_relativistic",
    "load_pretrained",
    "num_draws_of",
    "observe_logits",
    "parts_of",
    "validation_losses",
]

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from limner.errors import UserError
from limner.interfaces import (
    AdversarialLoss,
    Augmentation,
    Batch,
    DiscriminatorObserver,
    label_kwargs,
    trait,
)
from limner.losses.diagnostics import discriminator_statistics
from limner.losses.penalty import Penalties, Penalty
from limner.models.conditions import given_labels
from limner.models.text import TextGenerator
from limner.processes import from_all_processes

if TYPE_CHECKING:
    from limner.models.adversarial import AdversarialObjective
    from limner.models.gan import GAN


class BatchNormError(UserError, ValueError):
    """Error for a discriminator with batch norm and a penalty for each image."""


def check_players(
    generator: nn.Module, discriminator: nn.Module, loss: AdversarialLoss, penalty: Penalties
) -> None:
    """Raise ValueError for a loss without its penalty, and for a penalty that does not fit."""
    if trait(loss, AdversarialLoss, "needs_lipschitz") and not penalty.of_discriminator:
        raise ValueError(
            f"model/loss={type(loss).__name__.lower()} needs a penalty: model/penalty=gradient"
        )
    mixes = any(isinstance(module, _BatchNorm) for module in discriminator.modules())
    network = generator.network if isinstance(generator, TextGenerator) else generator
    for name in penalty.keys() - penalty.of_discriminator.keys():
        if not hasattr(network, "paint"):
            raise ValueError(
                f"model/penalty={name} needs a generator of styles: choose network=stylegan2."
            )
    for name, each in penalty.of_discriminator.items():
        if mixes and trait(each.function, Penalty, "forbids_batch_norm"):
            raise BatchNormError(
                f"model/penalty={name} is a penalty for each image, so the discriminator must "
                "not have batch norm"
            )


def load_pretrained(discriminator: nn.Module) -> None:
    """Load the weights that a discriminator takes from an installed file, if there are any.

    Raises:
        UserError: If the weights are not installed, or are damaged.
    """
    if hasattr(discriminator, "load_pretrained"):
        try:
            discriminator.load_pretrained()
        except ValueError as error:
            raise UserError(f"network.discriminator: {error}") from error


def is_relativistic(loss: AdversarialLoss) -> bool:
    """Return whether G's loss reads the logits of real images."""
    return trait(loss, AdversarialLoss, "relativistic")


def parts_of(judged: Any, *, has_auxiliary: bool) -> tuple[Tensor, Any]:
    """Return the logits in an output of D, and what the auxiliary loss reads.

    Args:
        judged: Logits; or class logits (B, 1 + num_classes) with the logits as first column; or a
            tuple of the logits and whatever the auxiliary loss reads.
        has_auxiliary: Whether there is an auxiliary loss.
    """
    if isinstance(judged, tuple):
        return judged
    return (judged[:, 0], judged[:, 1:]) if has_auxiliary else (judged, None)


def by_name(values: Tensor | Mapping[str, Tensor], player: str) -> dict[str, Tensor]:
    """Return the values of an auxiliary loss of a player under the names of the log."""
    named = values if isinstance(values, Mapping) else {"auxiliary": values}
    return {f"{name}_{player}": value for name, value in named.items()}


def num_draws_of(augmentation: Augmentation | None) -> int:
    """Return how many random numbers an augmentation needs per image."""
    return 0 if augmentation is None else trait(augmentation, Augmentation, "num_draws")


def observe_logits(
    objective: "AdversarialObjective", logits: Tensor, step: int
) -> dict[str, Tensor]:
    """Pass statistics of all processes' logits to the parts that adapt to them; return them.

    Args:
        objective: Losses of both players, with the parts.
        logits: D's logits (B, 2) for the real and fake images of this process, or (B, K, 2) if D
            has K heads, detached.
        step: Number of earlier steps of D.
    """
    real, fake = from_all_processes(logits).unbind(-1)  # a statistic is over all heads
    threshold = trait(objective.loss, AdversarialLoss, "threshold")
    seen = discriminator_statistics(real, fake, threshold=threshold)
    objective.penalty.observe(seen, step=step, num_images=len(real))
    values = seen._asdict()
    if isinstance(objective.augmentation, DiscriminatorObserver):
        objective.augmentation.observe(seen, step=step, num_images=len(real))
        values["augmentation_p"] = objective.augmentation.p.clone()
    return values


def validation_losses(model: "GAN", batch: Batch) -> dict[str, Tensor]:
    """Return the mean losses () of both players of a GAN on B images, by the weights in training.

    These are the losses of `AdversarialObjective` without penalties and augmentation. The codes
    come from torch's own generator.
    """
    objective, real = model.objective, batch["image"]
    labels = label_kwargs(given_labels(model, batch))
    z = torch.randn(len(real), model.num_normal).to(real)
    fake = model.generator(z, **labels)
    has_auxiliary, losses = (auxiliary := objective.auxiliary) is not None, {}
    (real_logits, real_more), (fake_logits, fake_more) = (
        parts_of(model.discriminator(each, **labels), has_auxiliary=has_auxiliary)
        for each in (real, fake)
    )
    if auxiliary is not None:
        for_d = auxiliary.discriminator(real_more, fake_more, **labels)
        for_g = auxiliary.generator(fake_more, **labels)
        losses |= by_name(for_d, "discriminator") | by_name(for_g, "generator")
    losses["loss_discriminator"] = objective.loss.discriminator(real_logits, fake_logits)
    losses["loss_generator"] = objective.loss.generator(real_logits, fake_logits)
    return {name: values.mean() for name, values in losses.items()}
