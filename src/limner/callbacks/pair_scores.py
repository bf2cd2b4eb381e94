"""Scores of a model that changes pictures, on whole validation pictures, beside baselines."""

__all__ = ["PairScores", "entry_of", "warn_of_own_network", "write"]

import functools
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import lightning as L
import torch

from limner.callbacks.score_entries import entry, write_scores
from limner.callbacks.signals import stop_if_asked
from limner.errors import UserError
from limner.interfaces import Batch
from limner.losses.perceptual import PerceptualDistance
from limner.metrics.baseline_scores import Baselines, PicturePairs, cached_baselines, fitting
from limner.metrics.picture_quality import PictureQuality
from limner.metrics.picture_scores import (
    Tally,
    add_pictures,
    entries,
    facts_of,
    other_targets,
    quality_for,
)  # fmt: skip
from limner.metrics.set_distances import Comparison, SetDistances, SetTally
from limner.metrics.trained_with import trained_with
from limner.models.lightning_internals import report_evaluation
from limner.warn_once import WarnOnce

log = logging.getLogger(__name__)


class PairScores(L.Callback):
    """Callback that scores the validation's outputs, and writes `scores.json`.

    The scores are `val/psnr` in dB, `val/ssim`, `val/mae` in levels of 0 to 255, and
    `val/perceptual`, each the mean over whole pictures. The model's `validation_step` returns its
    pictures as "output". The baselines see the same inputs. They are computed after the first
    validation, and read from the cache later.

    Args:
        scores: Names out of "psnr", "ssim", "mae" and "perceptual".
        colour: "y" for the luminance, "rgb" for all channels, or "auto": y for super-resolution
            of colour pictures, else rgb.
        border: Number of pixels cut at each side of a picture; "auto": the scale for
            super-resolution, else 0.
        perceptual: Distance of the score `perceptual`, or None.
        baselines: Names out of `limner.metrics.baselines.BASELINES`; those that do not fit the
            data are left out.
        slow_megapixels: Number of megapixels of all pictures together above which slow baselines
            are left out.
        distances: Distances between all outputs and all targets, such as `val/fid_lite0`, or None.
        objective: Score by which the best checkpoint is chosen, {name, mode: min or max}.
    """

    def __init__(
        self,
        *,
        scores: Sequence[str],
        colour: Literal["auto", "y", "rgb"],
        border: int | Literal["auto"],
        perceptual: PerceptualDistance | None,
        baselines: Sequence[str],
        slow_megapixels: float,
        distances: SetDistances | None,
        objective: Mapping[str, str],
    ) -> None:
        PictureQuality(  # checks the values before the data are read
            scores=scores, colour="rgb" if colour == "auto" else colour,
            border=0 if border == "auto" else border, perceptual=perceptual,
        )  # fmt: skip
        fitting(baselines, scale=1, kinds=())
        self.scores, self.colour, self.border = list(scores), colour, border
        self.perceptual, self.baselines = perceptual, list(baselines)
        self.slow_megapixels, self.distances = slow_megapixels, distances
        self.objective = objective
        self.latest: dict[str, dict[str, Any]] = {}
        self.writing = WarnOnce("Writing scores.json", OSError)
        self._quality: PictureQuality | None = None
        self._tally: Tally | None = None
        self._baselines: Baselines | None = None
        self._sets: SetTally | None = None

    @property
    def names(self) -> set[str]:
        """Log keys of the scores that are computed."""
        found = [] if self.distances is None else self.distances.names
        return {f"val/{name}" for name in (*self.scores, *found)}

    def state_dict(self) -> dict[str, Any]:
        return {"latest": self.latest}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        self.latest = state_dict["latest"]

    def refuse(self, model: L.LightningModule, data: PicturePairs) -> None:
        """Raise `UserError` if the scores do not fit the model or the data; load weights.

        A run calls this function before its first line, and `setup` calls it again.
        """
        if not getattr(model, "reads_input", False):
            other = "domains" if getattr(model, "reads_domains", False) else "auto"
            raise UserError(
                "metrics=pictures and metrics=translation score models that change an input, and\n"
                f"{type(model).__name__} does not: choose metrics={other}."
            )
        if not getattr(model, "compares_with_target", True):
            raise UserError(
                f"metrics=pictures compares outputs with targets, which {type(model).__name__} "
                "does not\nimitate: choose metrics=loss, for val/loss_content and val/loss_gram."
            )
        self._quality = self.quality(data)
        self._sets = self.sets(data, "validation")

    def setup(self, trainer: L.Trainer, model: L.LightningModule, stage: str) -> None:
        self.refuse(model, trainer.datamodule)

    def quality(self, data: PicturePairs) -> PictureQuality:
        """Return the scores of a picture that fit a data set, with their weights loaded.

        Raises:
            UserError: If the weights are not installed, or if a score cannot read the pictures.
        """
        return quality_for(
            data, scores=self.scores, colour=self.colour, border=self.border,
            perceptual=self.perceptual,
        )  # fmt: skip

    def sets(self, data: PicturePairs, split: str) -> SetTally | None:
        """Return a tally of the sets "output", "target" and "input"; None without distances.

        Raises:
            UserError: If the network cannot read the pictures, or if the split has too few.
        """
        if self.distances is None:
            return None
        self.distances.prepare(data)
        if hasattr(data, "pictures"):
            self.distances.check(len(data.pictures(split)[1]), f"The {split} split")
        return SetTally(self.distances, {"": Comparison("output", "target", "input")})

    def score_baselines(
        self,
        data: PicturePairs,
        split: str,
        quality: PictureQuality,
        *,
        device: torch.device,
        pause: Callable[[], None] | None = None,
    ) -> Baselines:
        """Return the scores of the baselines of a split, see `cached_baselines`."""
        return cached_baselines(
            data, split, quality, self.baselines, slow_megapixels=self.slow_megapixels,
            device=device, pause=pause,
        )  # fmt: skip

    def on_fit_start(self, trainer: L.Trainer, model: L.LightningModule) -> None:
        if trainer.is_global_zero:
            warn_of_own_network(
                model, perceptual=self._quality.perceptual, distances=self.distances
            )

    def on_validation_epoch_start(self, trainer: L.Trainer, model: L.LightningModule) -> None:
        self._tally = Tally(self._quality)
        if self._sets is not None:
            self._sets.start()

    def on_validation_batch_end(
        self,
        trainer: L.Trainer,
        model: L.LightningModule,
        outputs: Mapping[str, Any],
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self._tally.add(outputs["output"], batch)
        if self._sets is not None:
            add_pictures(self._sets, outputs["output"], batch)

    def on_validation_epoch_end(self, trainer: L.Trainer, model: L.LightningModule) -> None:
        if trainer.world_size > 1:
            sums = self._tally.sums.to(model.device)
            self._tally.sums = trainer.strategy.reduce(sums, reduce_op="sum").cpu()
        means, found, data = self._tally.means(), {}, trainer.datamodule
        if self._sets is not None:
            others = {"": functools.partial(other_targets, data, "validation")}
            found = self._sets.entries(model.device, others=others)
        values = means | {name: each["value"] for name, each in found.items()}
        on_device = {name: torch.tensor(v, device=model.device) for name, v in values.items()}
        report_evaluation(model, on_device, num_images=1)
        if trainer.state.fn == "fit":
            num_pictures = int(self._tally.sums[0])
            facts: dict[str, Any] = {"num_pictures": num_pictures}
            if hasattr(data, "whole_pictures"):
                facts = facts_of(data, "validation", num_pictures)
                self._find_baselines(trainer, model, num_pictures)
            for each in found.values():
                each["protocol"] = facts | each["protocol"]
            found = entries(means, self._quality, baselines=self._baselines, facts=facts) | found
            self.latest = {f"val/{n}": entry_of(trainer, model, e) for n, e in found.items()}
            write(trainer, self.latest, self.writing)

    def _find_baselines(
        self, trainer: L.Trainer, model: L.LightningModule, num_pictures: int
    ) -> None:
        """Compute the baselines in the first process, and give them to all processes."""
        data = trainer.datamodule
        if self._baselines is not None or not self.baselines:
            return
        if num_pictures != len(data.pictures("validation")[1]):
            log.warning(
                "Baselines are left out: they need all validation pictures, and\n"
                "trainer.limit_val_batches=%s scores %d of them.",
                trainer.limit_val_batches, num_pictures,
            )  # fmt: skip
            self.baselines = []
            return
        pause = functools.partial(stop_if_asked, trainer) if trainer.world_size == 1 else None
        found = None
        if trainer.is_global_zero:
            found = self.score_baselines(
                data, "validation", self._quality, device=model.device, pause=pause
            )
        found = trainer.strategy.broadcast(found)
        self._baselines = found if found.values else None


def entry_of(
    trainer: L.Trainer, model: L.LightningModule, found: Mapping[str, Any]
) -> dict[str, Any]:
    """Return an entry of scores.json with the facts of the scored model.

    Args:
        trainer: Trainer of the run.
        model: The scored model.
        found: {"value", "protocol"}, and perhaps "std", "floor" and "baselines".
    """
    facts = {
        "weights": "raw" if getattr(model, "ema", None) is None else "ema",
        "update": trainer.global_step,
        **trained_with(model, found["protocol"]),
    }
    made = entry(
        trainer, found["value"], std=found.get("std"), protocol=found["protocol"] | facts,
        floor=found.get("floor"),
    )  # fmt: skip
    return made | {key: found[key] for key in ("baselines",) if key in found}


def warn_of_own_network(
    model: L.LightningModule,
    *,
    perceptual: PerceptualDistance | None,
    distances: SetDistances | None,
) -> None:
    """Log a warning if a network that scores a model has trained it."""
    networks = []
    if perceptual is not None:
        networks += [("perceptual", {"weights_sha256": perceptual.weights_sha256})]
    if distances is not None:
        networks += [(name, distances.features.protocol()) for name in distances.names]
    if names := [f"val/{name}" for name, how in networks if trained_with(model, how)]:
        log.warning(
            "The network of %s\ntrained this model, so %s too good.\n"
            "Compare models by scores that do not use this network.",
            " and ".join(names), "this score is" if len(names) == 1 else "these scores are",
        )  # fmt: skip


def write(trainer: L.Trainer, entries: Mapping[str, Any], writing: WarnOnce) -> None:
    """Write scores.json in the first process; a failure gives one warning."""
    if trainer.is_global_zero:
        with writing():
            write_scores(Path(trainer.default_root_dir), entries)
