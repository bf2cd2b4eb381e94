"""Scores of a model that translates between two domains, on whole pictures, beside copying."""

__all__ = ["DomainScores"]

import functools
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import lightning as L
import torch

from limner.callbacks.pair_scores import entry_of, warn_of_own_network, write
from limner.callbacks.signals import stop_if_asked
from limner.errors import UserError
from limner.losses.perceptual import PerceptualDistance
from limner.metrics.baseline_scores import fitting
from limner.metrics.domain_scorer import DomainScorer
from limner.metrics.domain_scores import DIRECTIONS, ERRORS, Domains, DomainTally
from limner.metrics.picture_quality import PictureQuality
from limner.metrics.set_distances import SetDistances
from limner.models.lightning_internals import report_evaluation
from limner.warn_once import WarnOnce

log = logging.getLogger(__name__)


class DomainScores(L.Callback):
    """Callback that scores the validation's outputs for both domains, and writes `scores.json`.

    `val/fid_lite0_a` and `val/kid_lite0_a` compare F(b) with the real pictures of domain A,
    `..._b` compares G(a) with domain B, and `val/kid_lite0` is the mean of both. `val/cycle` and
    `val/identity` are in levels of 0 to 255. With hidden pairs, `val/psnr_ab` scores G(a) against
    its partner b, and `val/psnr_ba` scores F(b) against a.

    Args:
        scores: Names out of "cycle", "identity", "psnr", "ssim", "mae" and "perceptual"; the last
            four need hidden pairs, and are left out without.
        distances: Distances between sets of pictures, or None.
        perceptual: Distance of the score `perceptual`, or None.
        baselines: Names out of `limner.metrics.baselines.BASELINES`, for hidden pairs.
        slow_megapixels: Number of megapixels of all pictures together above which slow baselines
            are left out.
        objective: Score by which the best checkpoint is chosen, {name, mode: min or max}.
    """

    def __init__(
        self,
        *,
        scores: Sequence[str],
        distances: SetDistances | None,
        perceptual: PerceptualDistance | None,
        baselines: Sequence[str],
        slow_megapixels: float,
        objective: Mapping[str, str],
    ) -> None:
        DomainTally(scores, None)  # checks the names
        of_pairs = [name for name in scores if name not in ERRORS]
        PictureQuality(scores=of_pairs, colour="rgb", border=0, perceptual=perceptual)
        fitting(baselines, scale=1, kinds=())
        self.scores, self.distances, self.perceptual = list(scores), distances, perceptual
        self.of_pairs, self.baselines = of_pairs, list(baselines)
        self.slow_megapixels, self.objective = slow_megapixels, objective
        self.latest: dict[str, dict[str, Any]] = {}
        self.writing = WarnOnce("Writing scores.json", OSError)
        self.scorer: DomainScorer | None = None

    @property
    def names(self) -> set[str]:
        """Log keys of the scores that are computed."""
        distances = [] if self.distances is None else self.distances.names
        found = {f"{name}{ending}" for name in distances for ending in ("", "_a", "_b")}
        found |= {name for name in self.scores if name in ERRORS}
        found |= {f"{name}_{direction}" for name in self.of_pairs for direction in DIRECTIONS}
        return {f"val/{name}" for name in found}

    def state_dict(self) -> dict[str, Any]:
        return {"latest": self.latest}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        self.latest = state_dict["latest"]

    def refuse(self, model: L.LightningModule, data: Domains) -> None:
        """Raise `UserError` if the scores do not fit the model or the data; load weights.

        A run calls this function before its first line, and `setup` calls it again.
        """
        if not getattr(model, "reads_domains", False):
            raise UserError(
                f"metrics=domains scores models that translate between two domains, and "
                f"{type(model).__name__}\ndoes not: choose metrics=auto, or metrics=translation "
                "for a model of pairs."
            )
        self.scorer = self.scorer_of(data, "validation")

    def setup(self, trainer: L.Trainer, model: L.LightningModule, stage: str) -> None:
        self.refuse(model, trainer.datamodule)

    def scorer_of(self, data: Domains, split: str) -> DomainScorer:
        """Return the scores of a split, with their weights loaded.

        Raises:
            UserError: If weights are not installed, or if a domain has too few pictures.
        """
        return DomainScorer(
            data, split, scores=self.scores, distances=self.distances,
            perceptual=self.perceptual, baselines=self.baselines,
            slow_megapixels=self.slow_megapixels,
        )  # fmt: skip

    def on_fit_start(self, trainer: L.Trainer, model: L.LightningModule) -> None:
        if trainer.is_global_zero:
            has_pairs = self.scorer.quality is not None and self.scorer.quality.perceptual
            warn_of_own_network(
                model, perceptual=self.perceptual if has_pairs else None, distances=self.distances
            )

    def on_validation_epoch_start(self, trainer: L.Trainer, model: L.LightningModule) -> None:
        self.scorer.start()

    def on_validation_batch_end(
        self,
        trainer: L.Trainer,
        model: L.LightningModule,
        outputs: Mapping[str, Any],
        batch: Mapping[str, Any],
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self.scorer.add(outputs, batch)

    def on_validation_epoch_end(self, trainer: L.Trainer, model: L.LightningModule) -> None:
        scorer = self.scorer
        if trainer.world_size > 1:
            sums = scorer.tally.sums.to(model.device)
            scorer.tally.sums = trainer.strategy.reduce(sums, reduce_op="sum").cpu()
        is_fit = trainer.state.fn == "fit"
        if is_fit and scorer.found is None:
            self._find_baselines(trainer, model)
        found = scorer.entries(model.device)
        values = {
            name: torch.tensor(each["value"], device=model.device) for name, each in found.items()
        }
        report_evaluation(model, values, num_images=1)
        if is_fit:
            self.latest = {f"val/{n}": entry_of(trainer, model, e) for n, e in found.items()}
            write(trainer, self.latest, self.writing)

    def _find_baselines(self, trainer: L.Trainer, model: L.LightningModule) -> None:
        """Compute the baselines in the first process, and give them to all processes."""
        scorer = self.scorer
        if not scorer.is_whole:
            scorer.found = {}
            log.warning(
                "Baselines are left out: they need all validation pictures, and\n"
                "trainer.limit_val_batches=%s leaves some out.",
                trainer.limit_val_batches,
            )
            return
        pause = functools.partial(stop_if_asked, trainer) if trainer.world_size == 1 else None
        if trainer.is_global_zero:
            scorer.find_baselines(model.device, pause=pause)
        scorer.found = trainer.strategy.broadcast(scorer.found)
