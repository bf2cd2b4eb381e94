"""The plain loop by which scores train a small classifier of labelled images."""

__all__ = ["accuracy", "fit_classifier"]

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from limner.interfaces import ImageStore
from limner.pixels import to_float
from limner.randomness import generator_for

BATCH = 512  # of the test: no result hangs on it
TOLD_EVERY = 10  # updates, as each time the device must catch up


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
    """Trains from new weights: Adam on the cross-entropy, its rate falling linearly to 0.

    The network is left in evaluation mode. The same seed gives the same weights, whatever the
    network held before and however many random numbers were drawn elsewhere.

    Args:
        network: Images (B, C, H, W) in [-1, 1] to logits (B, num_classes); its layers have
            `reset_parameters` as torch's own have.
        data: Labelled images and the indices (N,) of those to train on; batches are drawn with
            replacement.
        num_updates: Length of the training.
        batch_size: Images in an update.
        learning_rate: At the start.
        seed: Of the initial weights and the order of the images.
        tell: Called every few updates, with their number and the accuracy in [0, 1] on the images
            of the latest one; or None.
    """
    store, indices = data
    device = next(network.parameters()).device
    network.cpu()  # where the same seed gives the same weights, whatever the device
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
        logits = network(to_float(store.gather(batch).to(device)))
        for group in optimizer.param_groups:
            group["lr"] = learning_rate * (1 - update / num_updates)
        optimizer.zero_grad()
        cross_entropy(logits, store.labels[batch].to(device)).backward()
        optimizer.step()
        if tell is not None and (update + 1) % TOLD_EVERY == 0:
            right = logits.argmax(1) == store.labels[batch].to(device)
            tell(update + 1, {"accuracy": right.float().mean().item()})
    network.eval()


def accuracy(network: nn.Module, data: tuple[ImageStore, Tensor]) -> float:
    """Share in [0, 1] of the images whose label has the greatest logit."""
    store, indices = data
    device = next(network.parameters()).device
    hits = 0
    with torch.no_grad():
        for part in indices.split(BATCH):
            found = network(to_float(store.gather(part).to(device))).argmax(1).cpu()
            hits += (found == store.labels[part].cpu()).sum().item()
    return hits / len(indices)
