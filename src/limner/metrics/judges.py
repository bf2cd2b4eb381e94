"""Small networks that judge generated images: trained once on real images, kept in the cache."""

__all__ = ["JudgeTraining", "trained_judge"]

import hashlib
import logging
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from limner.cache import cached_folder
from limner.console import Bar
from limner.files.own_code import own_code
from limner.interfaces import ImageStore
from limner.metrics.training import Step, fit_network

log = logging.getLogger(__name__)

FORMAT = 1
KIND = "judges"


class JudgeTraining(NamedTuple):
    """Settings of the training of a judge."""

    num_updates: int
    batch_size: int
    learning_rate: float
    seed: int


def trained_judge(
    network: nn.Module,
    step: Step,
    store: ImageStore,
    indices: Tensor,
    training: JudgeTraining,
    *,
    what: str,
    facts: Sequence[Any],
) -> None:
    """Train a network on real images, or load its weights from the cache.

    The network is left in evaluation mode, and its weights need no gradients.

    Args:
        network: The network, on the CPU.
        step: Function that computes the loss and the hits of a batch of indices.
        store: Store of the training images.
        indices: int64 (N,): indices of the training images.
        training: Settings of the training.
        what: Name of the judge in messages.
        facts: All else that determines the weights, as plain JSON data: what the images show.
    """
    shapes = [[name, list(p.shape)] for name, p in network.state_dict().items()]
    key = [
        FORMAT, what, store.fingerprint, _hash(indices.numpy().tobytes()), str(network), shapes,
        own_code(network), list(training), _hash(repr(list(facts)).encode()),
    ]  # fmt: skip

    def build(into: Any) -> None:
        log.info("Training %s on real images; it is kept in the cache.", what)
        with Bar(f"Training {what}", total=training.num_updates) as bar:
            fit_network(network, indices, step, **training._asdict(), tell=bar.update)
            bar.update(training.num_updates)
        torch.save(network.state_dict(), into / "weights.pt")

    folder = cached_folder(KIND, key, build)
    network.load_state_dict(torch.load(folder / "weights.pt", weights_only=True))
    network.requires_grad_(False).eval()


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
