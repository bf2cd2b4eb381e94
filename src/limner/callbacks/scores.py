"""Scores of a model's samples against real images, with the protocol that each was made by."""

__all__ = ["Scores"]

import json
import logging
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import lightning as L
import torch
from torch import Tensor

from limner.callbacks.epochs import is_last_epoch
from limner.errors import UserError
from limner.interfaces import FeatureExtractor, Samples
from limner.metrics.distribution import DistributionScores
from limner.pixels import to_uint8
from limner.randomness import generator_for

log = logging.getLogger(__name__)


class Scores(L.Callback):
    """Computes FID and IS every few epochs and at the end, and writes them to `scores.json`.

    The samples are those of the EMA weights where there are any. Chunk c of them is drawn from
    (seed, c), so the same images are scored every time, by however many processes.

    Args:
        features: The network whose features are compared.
        num_samples: Generated images in a score, at least 2.
        batch_size: Images at a time.
        every_num_epochs: Interval between scores.
        reference_split: "train" or "test": the real images to compare with, all of them.
        num_splits: Parts of the inception score.
        seed: Of the samples.
        objective: The score by which the best checkpoint is chosen, {name, mode: min or max}.
    """

    def __init__(
        self,
        *,
        features: FeatureExtractor,
        num_samples: int,
        batch_size: int,
        every_num_epochs: int,
        reference_split: Literal["train", "test"],
        num_splits: int,
        seed: int,
        objective: Mapping[str, str],
    ) -> None:
        if num_samples < max(2, num_splits):
            raise ValueError(
                f"metrics.num_samples={num_samples}: FID needs 2 images or more, IS as many as "
                f"metrics.num_splits={num_splits}."
            )
        self.features, self.num_samples, self.batch_size = features, num_samples, batch_size
        self.every_num_epochs, self.reference_split = every_num_epochs, reference_split
        self.num_splits, self.seed, self.objective = num_splits, seed, objective
        self.latest: dict[str, dict[str, Any]] = {}
        self._scores: DistributionScores | None = None

    def setup(self, trainer: L.Trainer, model: L.LightningModule, stage: str) -> None:
        if not isinstance(model, Samples):
            raise UserError(
                f"{type(model).__name__} draws no images to score: choose metrics=accuracy or "
                "metrics=none."
            )
        trainer.datamodule.reference(self.reference_split)  # refuses a split that is not there
        self.features.prepare(trainer.datamodule)

    def on_train_epoch_end(self, trainer: L.Trainer, model: L.LightningModule) -> None:
        epoch = trainer.current_epoch + 1
        if epoch % self.every_num_epochs == 0 or is_last_epoch(trainer):
            for name, (value, deviation) in self._score(trainer, model).items():
                model.log(name, value, logger=False, sync_dist=False)
                if deviation is not None:
                    model.log(f"{name}_std", deviation, logger=False, sync_dist=False)

    def _score(
        self, trainer: L.Trainer, model: L.LightningModule
    ) -> dict[str, tuple[float, float | None]]:
        """Log key to value and standard deviation."""
        start, device = time.monotonic(), model.device
        self.features.to(device)
        share = slice(trainer.global_rank, None, trainer.world_size)
        if self._scores is None:
            self._scores = DistributionScores(
                num_features=self.features.num_features,
                num_splits=self.num_splits,
                device=torch.device("cpu") if device.type == "mps" else device,
            )
            for images in self._real(trainer, share):
                self._scores.add_real(self.features(images.to(device)))
        for images in self._generated(model, share):
            self._scores.add_generated(self.features(images))
        values = {
            f"val/{name}{self.features.suffix}": value
            for name, value in self._scores.compute().items()
        }
        self._record(trainer, model, values)
        log.debug("Scored in %.1f s.", time.monotonic() - start)
        return values

    def _real(self, trainer: L.Trainer, share: slice) -> Iterator[Tensor]:
        store, indices = trainer.datamodule.reference(self.reference_split)
        for part in indices.split(self.batch_size)[share]:
            yield store.gather(part)

    def _generated(self, model: L.LightningModule, share: slice) -> Iterator[Tensor]:
        for chunk in range(-(-self.num_samples // self.batch_size))[share]:
            size = min(self.batch_size, self.num_samples - chunk * self.batch_size)
            generator = generator_for(self.seed, "scores", chunk)
            yield to_uint8(model.sample(size, generator=generator))

    def _record(
        self,
        trainer: L.Trainer,
        model: L.LightningModule,
        values: Mapping[str, tuple[float, float | None]],
    ) -> None:
        """Keeps each score with its protocol, and writes scores.json."""
        data = trainer.datamodule
        protocol = {
            **self.features.protocol(),
            "reference": {
                "data": data.name,
                "image_shape": list(data.image_shape),
                "split": self.reference_split,
                "num_images": len(data.reference(self.reference_split)[1]),
            },
            "num_samples": self.num_samples,
            "weights": "raw" if getattr(model, "ema", None) is None else "ema",
            "seed": self.seed,
            "update": trainer.global_step,
        }
        for name, (value, deviation) in values.items():
            entry = {"value": value, "protocol": dict(protocol)}
            if deviation is not None:
                entry["std"] = deviation
                entry["protocol"]["num_splits"] = self.num_splits
            self.latest[name] = entry
        if trainer.is_global_zero:
            path = Path(trainer.default_root_dir, "scores.json")
            path.write_text(json.dumps(self.latest, indent=2) + "\n")
