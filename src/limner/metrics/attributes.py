"""Judge of the attributes of an image, such as the kind and the colour of a shape."""

__all__ = ["AttributeJudge", "attributes_of"]

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from limner.errors import UserError
from limner.interfaces import ImageStore
from limner.metrics.judges import JudgeTraining, trained_judge
from limner.metrics.weights import weights_hash
from limner.pixels import to_float

WHAT = "the judge of attributes"


def attributes_of(store: Any, indices: Tensor) -> dict[str, list[str]]:
    """Return the names of each image's attributes, such as {"kind": [...], "colour": [...]}.

    A store without a method `attributes` has none. Attributes that are numbers are left out.
    """
    if not hasattr(store, "attributes"):
        return {}
    found = store.attributes(indices)._asdict()
    return {name: values for name, values in found.items() if isinstance(values, list)}


class AttributeJudge:
    """A classifier of images with a head for each attribute, trained on real images.

    Args:
        network: Network with a method `features` from images in [-1, 1] to (B, `num_features`).
        num_updates: Number of updates.
        batch_size: Number of images per update.
        learning_rate: Learning rate of the first update; it falls linearly to 0.
        seed: Seed of the initial weights and of the order of the images.
    """

    def __init__(
        self,
        *,
        network: nn.Module,
        num_updates: int,
        batch_size: int,
        learning_rate: float,
        seed: int,
    ) -> None:
        _refuse_few(num_updates, batch_size, "attributes")
        self._network = network.cpu()
        self.training = JudgeTraining(num_updates, batch_size, learning_rate, seed)
        self.values: dict[str, list[str]] = {}
        """Names of the values of each attribute."""

    def prepare(self, store: ImageStore, indices: Tensor) -> None:
        """Train the judge on real images that have attributes, or load it from the cache."""
        shown = attributes_of(store, indices)
        self.values = {name: sorted(set(values)) for name, values in shown.items()}
        size = self._network.num_features
        heads = {name: nn.Linear(size, len(values)) for name, values in self.values.items()}
        self._judge = nn.ModuleDict({"network": self._network, "heads": nn.ModuleDict(heads)})
        targets = torch.zeros(len(self.values), int(indices.max()) + 1, dtype=torch.int64)
        for row, (name, values) in enumerate(self.values.items()):
            numbers = {value: number for number, value in enumerate(values)}
            targets[row, indices] = torch.tensor([numbers[value] for value in shown[name]])

        def step(batch: Tensor) -> tuple[Tensor, Tensor]:
            found = self._logits(to_float(store.gather(batch)))
            losses = [cross_entropy(logits, targets[i, batch]) for i, logits in enumerate(found)]
            hits = [logits.argmax(1) == targets[i, batch] for i, logits in enumerate(found)]
            return torch.stack(losses).sum(), torch.stack(hits).all(0)

        trained_judge(
            self._judge, step, store, indices, self.training, what=WHAT, facts=[self.values]
        )

    def to(self, device: torch.device) -> "AttributeJudge":
        """Move the networks to a device."""
        self._judge.to(device)
        return self

    @torch.no_grad()
    def hits(self, images: Tensor, shown: Mapping[str, Sequence[str]]) -> Tensor:
        """Return whether each attribute of an image is as named, bool (B, number of attributes).

        Args:
            images: uint8 (B, C, H, W).
            shown: Right value of each attribute for each image. A value that the judge has not
                learned counts as wrong.
        """
        found = self._logits(to_float(images))
        hits = [
            [values[i] == right for i, right in zip(logits.argmax(1).tolist(), shown[name],
                                                    strict=True)]
            for logits, (name, values) in zip(found, self.values.items(), strict=True)
        ]  # fmt: skip
        return torch.tensor(hits).T

    def protocol(self) -> dict[str, Any]:
        """Return the facts about the judge that comparisons of scores need."""
        return {
            "judge": f"classifier of {' and '.join(self.values)}, trained on real images",
            "weights_sha256": weights_hash(self._judge.state_dict()),
        }

    def _logits(self, images: Tensor) -> list[Tensor]:
        features = self._judge["network"].features(images)
        return [head(features) for head in self._judge["heads"].values()]


def _refuse_few(num_updates: int, batch_size: int, key: str) -> None:
    for name, value in (("num_updates", num_updates), ("batch_size", batch_size)):
        if value < 1:
            raise UserError(f"metrics.{key}.{name}={value}: must be 1 or more.")
