"""Scores of predicted frames for each step ahead, beside baselines."""

__all__ = ["FrameScores"]

from collections.abc import Mapping, Sequence
from typing import Any

import lightning as L
import torch
from torch import Tensor

from limner.callbacks.pair_scores import entry_of, write
from limner.errors import UserError
from limner.interfaces import Batch
from limner.metrics.frame_quality import BASELINES, FrameQuality, FrameTally
from limner.models.lightning_internals import report_evaluation
from limner.pixels import to_float
from limner.warn_once import WarnOnce

MODEL = "model"
CHUNK = 64  # number of training sequences that are read at a time
MOST_TRAINING = 1000  # largest number of training sequences of the mean frame


class FrameScores(L.Callback):
    """Callback that scores the validation's predictions, and writes `scores.json`.

    The scores are `val/squared_error`, `val/absolute_error`, `val/ssim` and `val/psnr`, see
    `limner.metrics.frame_quality`, each the mean over sequences and steps. The entries of
    scores.json also have the mean of each step. The model's `validation_step` returns its frames
    as "output". The baselines predict the same frames.

    Args:
        scores: Names out of `limner.metrics.frame_quality.SCORES`.
        baselines: Names out of `limner.metrics.frame_quality.BASELINES`.
        objective: Score by which the best checkpoint is chosen, {name, mode: min or max}.
    """

    def __init__(
        self, *, scores: Sequence[str], baselines: Sequence[str], objective: Mapping[str, str]
    ) -> None:
        self.quality = FrameQuality(scores=scores)
        for name in baselines:
            if name not in BASELINES:
                raise UserError(f"metrics.baselines: {name}: choose from {', '.join(BASELINES)}.")
        self.baselines, self.objective = list(baselines), objective
        self.latest: dict[str, dict[str, Any]] = {}
        self.steps: dict[str, dict[str, list[float]]] = {}
        """Latest means: {model or baseline: {score: its mean at each step}}."""
        self.writing = WarnOnce("Writing scores.json", OSError)
        self._tally: FrameTally | None = None
        self._mean: Tensor | None = None

    @property
    def names(self) -> set[str]:
        """Log keys of the scores that are computed."""
        return {f"val/{name}" for name in self.quality.scores}

    @property
    def baseline_facts(self) -> dict[str, Any]:
        """Facts of the baselines for the protocol of a score."""
        if "mean" not in self.baselines:
            return {}
        return {"baselines": {"mean": f"of at most {MOST_TRAINING:,} training sequences"}}

    def state_dict(self) -> dict[str, Any]:
        return {"latest": self.latest, "steps": self.steps}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        self.latest, self.steps = state_dict["latest"], state_dict["steps"]

    def refuse(self, model: L.LightningModule, data: Any) -> None:
        """Raise `UserError` if the model does not predict frames."""
        if not getattr(model, "reads_frames", False) or not hasattr(model, "num_targets"):
            draws = getattr(model, "reads_frames", False) and hasattr(model, "sample")
            raise UserError(
                f"metrics=frames scores models that predict frames, and {type(model).__name__} "
                f"does\nnot: choose metrics={'sequences' if draws else 'auto'}."
            )

    def setup(self, trainer: L.Trainer, model: L.LightningModule, stage: str) -> None:
        self.refuse(model, trainer.datamodule)

    def on_validation_epoch_start(self, trainer: L.Trainer, model: L.LightningModule) -> None:
        self._tally = FrameTally(self.quality, [MODEL, *self.baselines], model.num_targets)

    def on_validation_batch_end(
        self,
        trainer: L.Trainer,
        model: L.LightningModule,
        outputs: Mapping[str, Any],
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self.add(self._tally, outputs["output"], batch, trainer.datamodule)

    def add(self, tally: FrameTally, output: Tensor, batch: Batch, data: Any) -> None:
        """Add the predictions of the model and of the baselines for a batch to a tally.

        Args:
            tally: Tally of the model and the baselines.
            output: The model's frames (B, num_targets, C, H, W) in [-1, 1].
            batch: The batch with the whole sequences.
            data: Data module, for the mean frame of its training sequences.
        """
        num_targets, frames = output.shape[1], batch["frames"]
        predicted = {MODEL: output}
        for name in self.baselines:
            predicted[name] = self._baseline(name, frames[:, :-num_targets], data)
        tally.add(predicted, frames[:, -num_targets:], batch.get("weight"))

    def on_validation_epoch_end(self, trainer: L.Trainer, model: L.LightningModule) -> None:
        tally = self._tally
        if trainer.world_size > 1:
            sums = tally.sums.to(model.device)
            tally.sums = trainer.strategy.reduce(sums, reduce_op="sum").cpu()
        steps = tally.steps()
        if not steps:
            return
        facts = {"num_sequences": int(tally.sums[0]), **self.baseline_facts}
        facts |= facts_of(trainer.datamodule, "validation")
        found = self.entries(steps, facts)
        on_device = {
            name: torch.tensor(each["value"], device=model.device) for name, each in found.items()
        }
        report_evaluation(model, on_device, num_images=1)
        if trainer.state.fn == "fit":
            self.steps = steps
            self.latest = {
                f"val/{name}": entry_of(trainer, model, each) | {"steps": each["steps"]}
                for name, each in found.items()
            }
            write(trainer, self.latest, self.writing)

    def entries(
        self, steps: Mapping[str, Mapping[str, list[float]]], facts: Mapping[str, Any]
    ) -> dict[str, dict[str, Any]]:
        """Return {"value", "protocol", "baselines", "steps"} of each score, for scores.json.

        Args:
            steps: Means of a tally, see `FrameTally.steps`.
            facts: Facts of the protocol that all scores share.
        """
        return {
            score: {
                "value": _mean(steps[MODEL][score]),
                "protocol": {**facts, **self.quality.protocol(score)},
                "baselines": {name: _mean(steps[name][score]) for name in self.baselines},
                "steps": {name: each[score] for name, each in steps.items()},
            }
            for score in self.quality.scores
        }

    def _baseline(self, name: str, inputs: Tensor, data: Any) -> Tensor:
        """Return what a baseline predicts, of a shape that expands to (B, T, C, H, W)."""
        if name == "last":
            return inputs[:, -1:]
        if name == "black":
            return inputs.new_full((), -1.0)
        if self._mean is None:
            self._mean = mean_frame(data)
        return self._mean.to(inputs)


def mean_frame(data: Any) -> Tensor:
    """Return the mean frame (C, H, W) in [-1, 1] of the first 1,000 training sequences."""
    store, indices = data.split("train")
    total, number = 0.0, 0
    for chunk in indices[:MOST_TRAINING].split(CHUNK):
        frames = to_float(store.gather(chunk)).flatten(0, 1)
        total, number = total + frames.double().sum(0), number + len(frames)
    return (total / max(number, 1)).float()


def facts_of(data: Any, split: str) -> dict[str, Any]:
    """Return the facts of a set of sequences for the protocol of a score."""
    facts = {"data": getattr(data, "name", None), "split": split}
    return facts | (data.protocol() if hasattr(data, "protocol") else {})


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
