"""What each step of the players of a GAN gets: real images, labels, codes and random numbers."""

__all__ = ["Inputs", "draw_inputs"]

from typing import NamedTuple

from torch import Tensor

from limner.interfaces import Augmentation
from limner.losses.penalty import Penalties
from limner.models.adversarial_checks import num_draws_of
from limner.randomness import Noise


class Inputs(NamedTuple):
    """Inputs of a step of a player: B pairs of a real image and the code of a fake image."""

    real: Tensor  # images (B, C, H, W) in [-1, 1]
    labels: Tensor | None  # classes or texts of both images of a pair; None if unconditional
    z: Tensor  # codes (B, latent_dim), with the further numbers of a `StyleGenerator` behind z
    for_real: Tensor  # random numbers (B, num_draws) to augment the real images with
    for_fake: Tensor  # random numbers (B, num_draws) to augment the fake images with
    for_penalty: Tensor  # random numbers (B, num_draws) of the penalties


def draw_inputs(
    images: Tensor,
    labels: Tensor | None,
    noise: Noise,
    *,
    num_steps: int,
    num_normal: int,
    augmentation: Augmentation | None,
    penalty: Penalties,
) -> list[Inputs]:
    """Return the inputs of an update: of each step of D, and then of G's step.

    `images` and `labels` belong to all D's steps. A code has `num_normal` numbers. G's step has
    the real images and labels of D's last step, and other random numbers.
    """
    num_draws = num_draws_of(augmentation)
    reals = images.chunk(num_steps)
    given = [None] * num_steps if labels is None else labels.chunk(num_steps)
    steps = []
    for real, label in zip([*reals, reals[-1]], [*given, given[-1]], strict=True):
        z = noise.normal(real, num_normal)
        uniform = noise.uniform(real, 2 * num_draws)
        for_real, for_fake = uniform[:, :num_draws], uniform[:, num_draws:]
        for_penalty = noise.uniform(real, penalty.num_draws)
        steps.append(Inputs(real, label, z, for_real, for_fake, for_penalty))
    return steps
