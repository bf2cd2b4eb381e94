"""Scores of a model that changes pictures, on whole validation pictures, beside baselines."""

__all__ = ["PairScores"]

import functools
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import lightning as L
import torch

from limner.callbacks.scores import entry, write_scores
from limner.callbacks.signals import stop_if_asked
from limner.errors import UserError
from limner.interfaces import Batch
from limner.losses.perceptual import PerceptualDistance
from limner.metrics.baselines import Baselines
from limner.metrics.picture_quality import PictureQuality
from limner.metrics.picture_scores import PictureScores, Tally, entries, facts_of
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
        objective: Mapping[str, str],
    ) -> None:
        self.pictures = PictureScores(
            scores=scores, colour=colour, border=border, perceptual=perceptual,
            baselines=baselines, slow_megapixels=slow_megapixels,
        )  # fmt: skip
        self.objective = objective
        self.latest: dict[str, dict[str, Any]] = {}
        self.writing = WarnOnce("Writing scores.json", OSError)
        self._quality: PictureQuality | None = None
        self._tally: Tally | None = None
        self._baselines: Baselines | None = None

    @property
    def names(self) -> set[str]:
        """Log keys of the scores that are computed."""
        return {f"val/{name}" for name in self.pictures.scores}

    def state_dict(self) -> dict[str, Any]:
        return {"latest": self.latest}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        self.latest = state_dict["latest"]

    def setup(self, trainer: L.Trainer, model: L.LightningModule, stage: str) -> None:
        if not getattr(model, "reads_input", False):
            raise UserError(
                f"metrics=pictures scores models that change a picture, and "
                f"{type(model).__name__} does not: choose metrics=auto."
            )
        if not getattr(model, "compares_with_target", True):
            raise UserError(
                f"metrics=pictures compares outputs with targets, which {type(model).__name__} "
                "does not\nimitate: choose metrics=loss, for val/content and val/gram."
            )
        self._quality = self.pictures.quality(trainer.datamodule)

    def on_fit_start(self, trainer: L.Trainer, model: L.LightningModule) -> None:
        perceptual = self._quality.perceptual
        if perceptual is None or not trainer.is_global_zero:
            return
        if trained_with(model, {"weights_sha256": perceptual.weights_sha256}):
            log.warning(
                "The network of val/perceptual trained this model, so this score is too good.\n"
                "Compare models by val/psnr and val/ssim."
            )

    def on_validation_epoch_start(self, trainer: L.Trainer, model: L.LightningModule) -> None:
        self._tally = Tally(self._quality)

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

    def on_validation_epoch_end(self, trainer: L.Trainer, model: L.LightningModule) -> None:
        if trainer.world_size > 1:
            sums = self._tally.sums.to(model.device)
            self._tally.sums = trainer.strategy.reduce(sums, reduce_op="sum").cpu()
        means = self._tally.means()
        values = {name: torch.tensor(value, device=model.device) for name, value in means.items()}
        report_evaluation(model, values, num_images=1)
        if trainer.state.fn == "fit":
            self._keep(trainer, model, means, num_pictures=int(self._tally.sums[0]))

    def _keep(
        self,
        trainer: L.Trainer,
        model: L.LightningModule,
        means: Mapping[str, float],
        *,
        num_pictures: int,
    ) -> None:
        """Keep the entries of scores.json, and write the file in the first process."""
        data, facts = trainer.datamodule, {"num_pictures": num_pictures}
        if hasattr(data, "whole_pictures"):
            facts = facts_of(data, "validation", num_pictures)
            self._find_baselines(trainer, model, num_pictures)
        facts["weights"] = "raw" if getattr(model, "ema", None) is None else "ema"
        facts["update"] = trainer.global_step
        found = entries(means, self._quality, baselines=self._baselines, facts=facts)
        self.latest = {}
        for name, each in found.items():
            protocol = each["protocol"] | trained_with(model, each["protocol"])
            made = entry(trainer, each["value"], std=None, protocol=protocol)
            if "baselines" in each:
                made["baselines"] = each["baselines"]
            self.latest[f"val/{name}"] = made
        if trainer.is_global_zero:
            with self.writing():
                write_scores(Path(trainer.default_root_dir), self.latest)

    def _find_baselines(
        self, trainer: L.Trainer, model: L.LightningModule, num_pictures: int
    ) -> None:
        """Compute the baselines in the first process, and give them to all processes."""
        data = trainer.datamodule
        if self._baselines is not None or not self.pictures.baselines:
            return
        if num_pictures != len(data.pictures("validation")[1]):
            log.warning(
                "Baselines are left out: they need all validation pictures, and\n"
                "trainer.limit_val_batches=%s scores %d of them.",
                trainer.limit_val_batches, num_pictures,
            )  # fmt: skip
            self.pictures.baselines = []
            return
        pause = functools.partial(stop_if_asked, trainer) if trainer.world_size == 1 else None
        found = None
        if trainer.is_global_zero:
            found = self.pictures.of_baselines(
                data, "validation", self._quality, device=model.device, pause=pause
            )
        found = trainer.strategy.broadcast(found)
        self._baselines = found if found.values else None
