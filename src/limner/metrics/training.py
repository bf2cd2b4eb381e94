"""Training loop and accuracy of the small networks that scores train on labelled images."""

__all__ = ["Step", "accuracy", "fit_classifier", "fit_network"]

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from limner.interfaces import ImageStore
from limner.pixels import to_float
from limner.randomness import generator_for

Step = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Function from the int64 indices (B,) of a batch to its loss () and its hits, bool (B,)."""
BATCH = 512  # batch size of the test; does not affect the result
TOLD_EVERY = 10  # interval in updates; every report waits for the device


def fit_classifier(
    network: nn.Module,
    data: tuple[ImageStore, Tensor],
    *,
    num_updates: int,
    batch_size: int,
    learning_rate: float,
    seed: int,
    tell: Callable[[int, Mapping[str, float]], None] | None = None,
) -> None:
    """Train from new weights, by Adam on the cross-entropy; the learning rate falls linearly to 0.

    The network is left in evaluation mode. The same seed gives the same weights, whatever weights
    the network had before, and however many random numbers other code drew.

    Args:
        network: Network from images (B, C, H, W) in [-1, 1] to logits (B, num_classes). Its layers
            have a method `reset_parameters`, as torch's own layers do.
        data: Labelled images, and indices (N,) of the images to train on. Batches are drawn with
            replacement.
        num_updates: Number of updates.
        batch_size: Number of images per update.
        learning_rate: Learning rate of the first update.
        seed: Seed of the initial weights and of the order of the images.
        tell: Function called every few updates with the number of updates and the accuracy in
            [0, 1] on the images of the latest update, or None.
    """
    store, indices = data
    device = next(network.parameters()).device

    def step(batch: Tensor) -> tuple[Tensor, Tensor]:
        logits = network(to_float(store.gather(batch).to(device)))
        labels = store.labels[batch].to(device)
        return cross_entropy(logits, labels), logits.argmax(1) == labels

    fit_network(
        network, indices, step, num_updates=num_updates, batch_size=batch_size,
        learning_rate=learning_rate, seed=seed, tell=tell,
    )  # fmt: skip


def fit_network(
    network: nn.Module,
    indices: Tensor,
    step: Step,
    *,
    num_updates: int,
    batch_size: int,
    learning_rate: float,
    seed: int,
    tell: Callable[[int, Mapping[str, float]], None] | None = None,
) -> None:
    """Train a network from new weights by the losses of a step, like `fit_classifier`.

    Args:
        network: Network whose layers have a method `reset_parameters`.
        indices: Indices (N,) from which batches are drawn with replacement.
        step: Function that computes the loss and the hits of a batch with the network.
        num_updates: Number of updates.
        batch_size: Number of indices per update.
        learning_rate: Learning rate of the first update.
        seed: Seed of the initial weights and of the batches.
        tell: Function called every few updates with the number of updates and the share of hits
            in [0, 1] of the latest update, or None.
    """
    device = next(network.parameters()).device
    network.cpu()  # initialise on the CPU, so that the weights do not depend on the device
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for module in network.modules():
            if hasattr(module, "reset_parameters"):
                module.reset_parameters()
    network.to(device)
    optimizer = torch.optim.Adam(network.parameters(), lr=learning_rate)
    generator = generator_for(seed, "classifier")
    network.requires_grad_(True).train()
    for update in range(num_updates):
        batch = indices[torch.randint(len(indices), (batch_size,), generator=generator)]
        loss, hits = step(batch)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate * (1 - update / num_updates)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if tell is not None and (update + 1) % TOLD_EVERY == 0:
            tell(update + 1, {"accuracy": hits.float().mean().item()})
    network.eval()


def accuracy(network: nn.Module, data: tuple[ImageStore, Tensor]) -> float:
    """Return the share in [0, 1] of images whose label has the largest logit."""
    store, indices = data
    device = next(network.parameters()).device
    hits = 0
    with torch.no_grad():
        for part in indices.split(BATCH):
            found = network(to_float(store.gather(part).to(device))).argmax(1).cpu()
            hits += (found == store.labels[part].cpu()).sum().item()
    return hits / len(indices)
