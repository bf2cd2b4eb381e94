"""One step of one optimizer, by hand, through the parts of a batch."""

__all__ = ["Apart", "Losses", "Step", "descend", "descend_apart"]

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from lightning import LightningModule
from torch import Tensor, nn
from torch.optim import Optimizer

from limner.losses.diagnostics import gradient_norm
from limner.models.inputs import Inputs


class Losses(NamedTuple):
    """What a player minimises for B pairs, and what D made of them."""

    of: dict[str, Tensor]
    """Named values (B,), which add up."""
    logits: Tensor
    """(B, 2): of the real and of the fake image; in G's turn of the fake only, (B, 1)."""


class Apart(NamedTuple):
    """What the networks of one optimizer minimise apart, on a part of a batch."""

    values: dict[str, Tensor]
    """To log, ()."""
    losses: Sequence[tuple[Tensor, nn.Module]]
    """Each (), moves the network beside it, and no other."""


class Step(NamedTuple):
    """What one step of a player came to."""

    values: dict[str, Tensor]
    """The mean of each loss, ()."""
    gradient_norm: Tensor
    """Before it was shortened, ()."""
    logits: Tensor
    """Those of all its `Losses`."""


def descend(
    model: LightningModule,
    optimizer: Optimizer,
    parts: Sequence[Inputs],
    losses: Callable[[Inputs], Losses],
    *,
    max_norm: float | None,
) -> Step:
    """One step of one player on the mean over all parts, through which it goes one by one.

    Args:
        model: Whose `manual_backward` is used.
        optimizer: Of the player.
        parts: Of one size.
        losses: Of a part.
        max_norm: To which the gradient is shortened where it is longer; None for as it is.
    """
    optimizer.zero_grad()
    means, logits = [], []
    for part in parts:
        found = losses(part)
        means.append({name: values.mean() for name, values in found.of.items()})
        logits.append(found.logits.detach())
        model.manual_backward(sum(means[-1].values()) / len(parts))
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    norm = gradient_norm(parameters)
    if max_norm is not None:
        nn.utils.clip_grads_with_norm_(parameters, max_norm, norm)
    optimizer.step()
    values = {n: torch.stack([each[n].detach() for each in means]).mean() for n in means[0]}
    return Step(values, norm, torch.cat(logits))


def descend_apart(
    model: LightningModule,
    optimizer: Optimizer,
    parts: Sequence[Sequence[Tensor]],
    losses: Callable[..., Apart],
    *,
    max_norm: float | None,
) -> dict[str, Tensor]:
    """As `descend`, of networks that do not minimise the same; the means of their values.

    The gradients g of weights w are found first, and are then those of sum(w g): DDP takes part in
    a backward pass by all weights that are in its graph.
    """
    optimizer.zero_grad()
    found = []
    for part in parts:
        apart, products = losses(*part), []
        for loss, network in apart.losses:
            weights = list(network.parameters())
            gradients = torch.autograd.grad(loss, weights, retain_graph=True)
            products += [(w * g).sum() for w, g in zip(weights, gradients, strict=True)]
        model.manual_backward(torch.stack(products).sum() / len(parts))
        found.append(apart.values)
    if max_norm is not None:
        weights = [w for group in optimizer.param_groups for w in group["params"]]
        nn.utils.clip_grad_norm_(weights, max_norm)
    optimizer.step()
    return {n: torch.stack([each[n].detach() for each in found]).mean() for n in found[0]}
