"""What the players of a GAN need for their steps: images, classes, random numbers."""

__all__ = ["Inputs", "make_inputs", "split"]

from typing import NamedTuple

from torch import Tensor

from limner.interfaces import Batch
from limner.randomness import Noise


class Inputs(NamedTuple):
    """What a step of a player takes: B pairs of a real image and a fake one to be made."""

    real: Tensor
    """(B, C, H, W) in [-1, 1]."""
    labels: Tensor | None
    """int64 (B,), of both images of a pair; None for an unconditional model."""
    z: Tensor
    """(B, latent_dim)."""
    for_real: Tensor
    """Random numbers (B, num_draws) of the augmentation."""
    for_fake: Tensor
    """Likewise."""
    for_penalty: Tensor
    """Random numbers (B, num_draws) of the penalties."""


def make_inputs(
    batch: Batch,
    noise: Noise,
    *,
    num_steps: int,
    latent_dim: int,
    is_conditional: bool,
    num_augmenting: int,
    num_penalising: int,
) -> list[Inputs]:
    """What an update needs: the inputs of each of D's steps, and last those of G's.

    G's has the real images and classes of D's last, and random numbers of its own.

    Args:
        batch: Of the update, `num_steps` times the images of a step.
        noise: Draws the random numbers.
        num_steps: Of D.
        latent_dim: Size of z.
        is_conditional: Whether the players are told of classes.
        num_augmenting: Random numbers of the augmentation for each image.
        num_penalising: Random numbers of the penalties for each pair.
    """
    reals = batch["image"].chunk(num_steps)
    labels = batch["label"].chunk(num_steps) if is_conditional else [None] * num_steps
    steps = []
    for real, label in zip([*reals, reals[-1]], [*labels, labels[-1]], strict=True):
        z = noise.normal(real, latent_dim)
        augmenting = noise.uniform(real, 2 * num_augmenting)
        for_real, for_fake = augmenting[:, :num_augmenting], augmenting[:, num_augmenting:]
        for_penalty = noise.uniform(real, num_penalising)
        steps.append(Inputs(real, label, z, for_real, for_fake, for_penalty))
    return steps


def split(inputs: Inputs, num_parts: int) -> list[Inputs]:
    """Equal parts of it, in order."""
    columns = [
        [None] * num_parts if column is None else column.chunk(num_parts) for column in inputs
    ]
    return [Inputs(*row) for row in zip(*columns, strict=True)]
