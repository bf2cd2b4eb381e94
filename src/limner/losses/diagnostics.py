"""Diagnostics of GAN training, which no player minimises.

All values stay tensors on the device of their inputs, so that nothing waits for the device.
"""

__all__ = ["discriminator_statistics", "gradient_norm", "means", "pairwise_distance"]

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn

from limner.interfaces import DiscriminatorStatistics


@torch.no_grad()
def discriminator_statistics(
    real_logits: Tensor, fake_logits: Tensor, *, threshold: float | None
) -> DiscriminatorStatistics:
    """Return the means of D's logits and its accuracies.

    Args:
        real_logits: D's logits (N,) for real images.
        fake_logits: D's logits (N,) for fake images.
        threshold: Logit above which D takes an image for real. None takes the middle between the
            two means, for losses that depend only on differences of logits.
    """
    real, fake = real_logits.float(), fake_logits.float()
    middle = (real.mean() + fake.mean()) / 2 if threshold is None else threshold
    return DiscriminatorStatistics(
        logits_real=real.mean(),
        logits_fake=fake.mean(),
        accuracy_real=(real > middle).float().mean(),
        accuracy_fake=(fake < middle).float().mean(),
    )


@torch.no_grad()
def pairwise_distance(images: Tensor) -> Tensor:
    """Return the root mean square () of the distances between B >= 2 different images.

    sqrt(mean_{i != j} || x_i - x_j ||^2) = sqrt(2 sum_d var_d)   with the unbiased variances

    It is near 0 if a generator has collapsed.
    """
    return (2 * images.float().flatten(1).var(0).sum()).sqrt()


@torch.no_grad()
def gradient_norm(parameters: Iterable[nn.Parameter]) -> Tensor:
    """Return the Euclidean norm () of all gradients together; 0 if there are none."""
    gradients = [each.grad for each in parameters if each.grad is not None]
    return nn.utils.get_total_norm(gradients)


@torch.no_grad()
def means(steps: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Average each named value () over the steps that have it.

    A penalty with an interval is missing in the steps between.
    """
    if len(steps) == 1:
        return dict(steps[0])
    names = dict.fromkeys(name for step in steps for name in step)
    return {
        name: torch.stack([step[name] for step in steps if name in step]).mean() for name in names
    }
