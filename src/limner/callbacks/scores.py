"""Scores of a model's samples against real images, each with the protocol of its computation."""

__all__ = ["Scores"]

import functools
import logging
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import lightning as L
import torch
from torch import Tensor

from limner.callbacks.divergence import check_weights
from limner.callbacks.epochs import is_last_epoch
from limner.callbacks.measured import measured_of
from limner.callbacks.score_entries import entries, write_scores
from limner.callbacks.score_names import ENDINGS, check_objective, score_names
from limner.callbacks.signals import stop_if_asked
from limner.data.backgrounds import background_of
from limner.data.batches import images_per_epoch
from limner.errors import UserError
from limner.interfaces import FeatureExtractor, ImageStore, RealImages, Samples
from limner.metrics.evaluator import Evaluator, Score
from limner.metrics.floor import num_compared
from limner.metrics.reference import Reference
from limner.metrics.statistics import ImagesAt, Pause
from limner.metrics.trained_with import ADVICE, trained_with
from limner.pixels import to_uint8
from limner.randomness import generator_for
from limner.schedules import Interval
from limner.warn_once import WarnOnce

log = logging.getLogger(__name__)

USUAL, SHARE = 20, 0.2
"""Usual number of epochs between scores, and largest number of samples that are then drawn for
scores, as a share of the images trained on."""


class Scores(L.Callback):
    """Callback that scores samples every few epochs and at the end, and writes `scores.json`.

    If the model has EMA weights, the samples are drawn with them. Chunk c of the samples is drawn
    from (seed, c), so each scoring uses the same noise, with any number of processes.

    Args:
        features: Network that computes the features to compare.
        scores: Names of scores out of "fid", "inception_score", "kid", "modes" and "prdc".
        num_samples: Number of generated images for a score.
        batch_size: Number of images in a batch.
        every_num_epochs: Smallest number of epochs between scores, at least 1; "auto" for 20, or
            for a multiple of 20 on a data set so small that drawing samples would take long.
        reference_split: Split of the real images to compare with: "train", "test" or a list of
            both. All images of a split are used. The name of a score against test images ends
            with `_test`, such as `val/fid_test`.
        max_features: Largest number of images of each set that KID and PRDC compare.
        num_splits: Number of splits of the inception score.
        kid_num_subsets: Number of random subsets of KID.
        kid_subset_size: Number of images in each subset; "auto" for 1000, or for all images if
            there are fewer.
        num_neighbours: Number k of neighbours of PRDC.
        seed: Seed of the samples.
        objective: Score by which the best checkpoint is chosen, {name, mode: min or max}.
        floor: Whether to compare n samples with n real images, and to give beside each score the
            score of n other real images. n is `num_samples`, or half of the real images of a split
            if that is smaller.
    """

    kinds: Sequence[str] = ("",)
    """Endings of the names of the scores, one for each kind of pictures that is compared."""
    per_sample = 1
    """Number of pictures of each sample that are compared."""

    def __init__(
        self,
        *,
        features: FeatureExtractor,
        scores: list[str],
        num_samples: int,
        batch_size: int,
        every_num_epochs: int | Literal["auto"],
        reference_split: str | list[str],
        max_features: int,
        num_splits: int,
        kid_num_subsets: int,
        kid_subset_size: int | Literal["auto"],
        num_neighbours: int,
        seed: int,
        objective: Mapping[str, str],
        floor: bool,
    ) -> None:
        self.evaluator = Evaluator(
            features=features,
            scores=scores,
            batch_size=batch_size * self.per_sample,
            max_features=max_features,
            num_splits=num_splits,
            kid_num_subsets=kid_num_subsets,
            kid_subset_size=kid_subset_size,
            num_neighbours=num_neighbours,
        )
        self.evaluator.check(num_samples, f"metrics.num_samples={num_samples}")
        self.check_scores(scores)
        self.features, self.batch_size = features, batch_size
        self.every_num_epochs = every_num_epochs
        self.interval = Interval(every=1, growth=0.0)
        self.num_samples, self.seed, self.floor = num_samples, seed, floor
        self.splits = [reference_split] if isinstance(reference_split, str) else reference_split
        check_objective(objective["name"], scores, self.splits, features.suffix, kinds=self.kinds)
        self.objective = objective
        self.latest: dict[str, dict[str, Any]] = {}
        self._update: int | None = None  # last update that this process has scored
        self._references: dict[str, Reference] = {}
        self.writing = WarnOnce("Writing scores.json", OSError)

    @property
    def names(self) -> set[str]:
        """Log keys of the scores that are computed."""
        return score_names(
            self.evaluator.scores, self.splits, self.features.suffix, kinds=self.kinds
        )

    def state_dict(self) -> dict[str, Any]:
        return {"latest": self.latest}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        self.latest = state_dict["latest"]

    def refuse(self, model: L.LightningModule, data: RealImages) -> None:
        """Raise `UserError` if the scores do not fit the model or the number of images.

        A run calls this function before its first line, and `setup` calls it again.
        """
        self.refuse_model(model, data)
        for split in self.splits:
            num_images = len(data.reference(split)[1])
            what = f"metrics.reference_split={split}: {num_images} images"
            self.evaluator.check(num_images, what, of=("fid", "kid", "prdc"))
        num_samples = self.num_compared(self.num_samples, data)
        self.evaluator.check(num_samples, f"metrics.floor={self.floor}: {num_samples} images")

    def refuse_model(self, model: L.LightningModule, data: RealImages) -> None:
        """Raise `UserError` if the model does not draw images."""
        name, draws = type(model).__name__, isinstance(model, Samples)
        if getattr(model, "reads_frames", False):
            what, kind = ("draws", "sequences") if draws else ("predicts", "frames")
            raise UserError(
                f"{name} {what} sequences of frames, not single images: choose metrics={kind}\n"
                "or metrics=none."
            )
        if not draws:
            raise UserError(
                f"{name} draws no images to score: choose metrics=accuracy (of a classifier),\n"
                "metrics=pictures or metrics=translation (of a model that changes pictures),\n"
                "metrics=domains (of a model of two domains), metrics=loss or metrics=none."
            )

    def setup(self, trainer: L.Trainer, model: L.LightningModule, stage: str) -> None:
        self.refuse(model, trainer.datamodule)
        self.prepare(trainer.datamodule)
        every = self.every_num_epochs
        if every == "auto":
            num_samples = self.num_compared(self.num_samples, trainer.datamodule)
            num_images = USUAL * images_per_epoch(trainer.datamodule)
            every = USUAL * max(1, math.ceil(num_samples / (SHARE * num_images)))
        self.interval = Interval(every=every, growth=self.interval.growth)

    def prepare(self, data: RealImages) -> None:
        """Load or train the networks that score; raise `UserError` if this is impossible."""
        self.features.prepare(data)

    def conditions(self, data: RealImages, first: int, end: int) -> dict[str, Tensor]:
        """Return arguments of `sample` for samples `first` to `end` - 1; here none."""
        return {}

    def further(self, model: Any, device: torch.device, pause: Pause | None) -> dict[str, Score]:
        """Return further scores of a model by name, in addition to `compare`; here none."""
        return {}

    def check_scores(self, scores: Sequence[str]) -> None:
        """Raise `UserError` for a score that does not suit the pictures; accept all here."""

    def on_fit_start(self, trainer: L.Trainer, model: L.LightningModule) -> None:
        if trainer.is_global_zero and trained_with(model, self.features.protocol()):
            log.warning(ADVICE, f"metrics={self.features.suffix[1:] or 'inception'}")

    def num_compared(self, num_samples: int, data: RealImages) -> int:
        """Return the number of samples to compare if there are `num_samples`, see `floor`."""
        if not self.floor:
            return num_samples
        sizes = [len(data.reference(split)[1]) for split in self.splits]
        return num_compared(num_samples, sizes)

    def references(
        self,
        data: RealImages,
        device: torch.device,
        *,
        num_samples: int,
        pause: Pause | None = None,
    ) -> dict[str, Reference]:
        """Return the reference of each split, by the ending of the names of its scores.

        Args:
            data: Data set with the real images.
            device: Device that computes the features.
            num_samples: Number of samples that are compared, from `num_compared`.
            pause: Function that is called between two chunks; it may raise to stop.
        """
        found = {}
        for split in self.splits:
            store, indices = data.reference(split)
            found[ENDINGS[split]] = self.evaluator.reference(
                store, indices, about=self.about(data, split, store), device=device,
                half_size=num_samples if self.floor else None, pause=pause,
            )  # fmt: skip
        return found

    def about(self, data: RealImages, split: str, store: ImageStore) -> dict[str, Any]:
        """Return the description of the real images of a split for a protocol."""
        about = {"data": data.name, "image_shape": list(data.image_shape), "split": split}
        return about | background_of(store)

    def compare(
        self,
        samples: ImagesAt,
        num_samples: int,
        *,
        references: dict[str, Reference],
        device: torch.device,
        pause: Pause | None = None,
    ) -> dict[str, Score]:
        """Return the score of samples 0 ... num_samples - 1 by name.

        Args:
            samples: Function from (first, end) to samples first ... end - 1, uint8. `first` is a
                multiple of `batch_size`.
            num_samples: Number of samples.
            references: Real images, from `references`.
            device: Device that computes the features.
            pause: Function that is called between two chunks; it may raise to stop.
        """
        return self.evaluator.score(
            samples, num_samples, references=references, device=device, pause=pause
        )

    def on_train_epoch_end(self, trainer: L.Trainer, model: L.LightningModule) -> None:
        epoch = trainer.current_epoch + 1
        if self.interval.is_due(epoch) or is_last_epoch(trainer):
            self.score_update(trainer, model)

    def score_update(self, trainer: L.Trainer, model: L.LightningModule) -> None:
        """Score the current weights, unless they have been scored; record and write the scores."""
        if self._update == trainer.global_step:
            return
        values = {}
        for name, score in self._score(trainer, model).items():
            values[name] = score.value
            if score.std is not None:
                values[f"{name}_std"] = score.std
        self._update = trainer.global_step
        model.log_dict(values, logger=False, sync_dist=False)  # for callbacks that monitor them
        measured_of(trainer).add(trainer, values)

    def _score(self, trainer: L.Trainer, model: L.LightningModule) -> dict[str, Score]:
        """Compute the scores and write scores.json; return the score of each log key."""
        start = time.monotonic()
        check_weights(model, trainer.global_step)  # nan features have no statistics
        pause = functools.partial(stop_if_asked, trainer)
        num_samples = self.num_compared(self.num_samples, trainer.datamodule)
        if not self._references:
            self._references = self.references(
                trainer.datamodule, model.device, num_samples=num_samples, pause=pause
            )

        def images(first: int, end: int) -> Tensor:
            generator = generator_for(self.seed, "scores", first // self.batch_size)
            conditions = self.conditions(trainer.datamodule, first, end)
            return to_uint8(model.sample(end - first, generator=generator, **conditions))

        scores = self.compare(
            images, num_samples, references=self._references, device=model.device, pause=pause
        ) | self.further(model, model.device, pause)
        made_from = {
            "weights": "raw" if getattr(model, "ema", None) is None else "ema",
            "seed": self.seed,
            "update": trainer.global_step,
            **trained_with(model, self.features.protocol()),
        }
        named = {f"val/{name}": score for name, score in scores.items()}
        self.latest = entries(trainer, named, made_from)
        if trainer.is_global_zero:
            with self.writing():
                write_scores(Path(trainer.default_root_dir), self.latest)
        log.debug("Scored in %.1f s.", time.monotonic() - start)
        return named
