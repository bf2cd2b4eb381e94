"""Scores of a finished run whose model translates between two domains."""

__all__ = ["score_domains", "translated"]

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from limner.callbacks.cycle_strips import CycleGallery
from limner.callbacks.domain_scores import DomainScores
from limner.console import Bar
from limner.metrics.domain_scores import DOMAINS, Domains

SPLITS = ("test", "validation", "train")
"""Splits in the order in which they are preferred."""


def score_domains(
    scorer: DomainScores, data: Domains, model: nn.Module, *, device: torch.device,
    gallery: CycleGallery,
) -> dict[str, dict[str, Any]]:  # fmt: skip
    """Return the scores of a model and of the baselines on the held-out pictures by name.

    Args:
        scorer: The scores to compute.
        data: The opened data.
        model: Model with `transform(images, direction)`, on the device.
        device: Device of the model.
        gallery: Gallery that gets all pictures.
    """

    def sizes(split: str) -> list[int]:
        return [len(data.pictures(letter, split)[1]) for letter in DOMAINS]

    split = next((name for name in SPLITS if all(sizes(name))), "train")
    scores = scorer.scorer_of(data, split)
    with Bar("Scoring", total=max(sizes(split)), unit="pictures") as bar:
        for done, batch in enumerate(data.whole_pictures(split, device=device), start=1):
            made = translated(model.transform, batch["image_a"], batch["image_b"])
            scores.add(made, batch)
            gallery.add(made, batch)
            bar.update(done)
    scores.find_baselines(device)
    return scores.entries(device)


def translated(
    transform: Callable[[Tensor, str], Tensor], a: Tensor, b: Tensor
) -> dict[str, Tensor]:
    """Return the pictures that a validation of a model of two domains returns.

    Args:
        transform: Function from pictures and "ab" or "ba" to pictures of the other domain.
        a: Pictures (B, C, H, W) of domain A in [-1, 1].
        b: Pictures of domain B.
    """
    made = {"output_b": transform(a, "ab"), "output_a": transform(b, "ba")}
    return made | {
        "cycle_a": transform(made["output_b"], "ba"),
        "cycle_b": transform(made["output_a"], "ab"),
        "identity_a": transform(a, "ba"),
        "identity_b": transform(b, "ab"),
    }
