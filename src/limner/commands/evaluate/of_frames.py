"""Scores of a run whose model predicts frames, on held-out sequences."""

__all__ = ["frame_metrics", "score_frames"]

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig

from limner.callbacks.frame_scores import MODEL, FrameScores, facts_of
from limner.callbacks.predictions import error_picture
from limner.commands.options import Evaluate as Options
from limner.config.build import composed
from limner.console import Bar
from limner.errors import UserError
from limner.metrics.frame_quality import FrameTally
from limner.pixels import to_float
from limner.pretrained.load import load
from limner.pretrained.safe_build import build, read_config

PICTURE = "evaluation_error_of_steps.png"
SPLITS = ("test", "validation", "train")
"""Splits in the order in which they are preferred."""


def frame_metrics(folder: Path) -> str | None:
    """Return the metrics to choose for a run without scores of frames; None to keep its own."""
    metrics = read_config(folder / "config.yaml").get("metrics")
    name = metrics.get("_target_") if isinstance(metrics, Mapping) else None
    return None if name == f"{FrameScores.__module__}.{FrameScores.__qualname__}" else "frames"


def score_frames(options: Options, config: DictConfig) -> dict[str, dict[str, Any]]:
    """Return the scores of a run's model and of the baselines on all sequences of a split.

    The split is the test split, or the validation split if there are no test sequences. The error
    of each step is drawn into the folder.

    Raises:
        UserError: If the data or the scores do not fit the model, or if there is nothing to score.
    """
    if options.measures:
        raise UserError(
            f"measures={options.measures}: they measure drawn images, and this model predicts "
            "frames.\nLeave measures out."
        )
    values = composed(config)
    data = build(values["data"], "data", trust=options.trust)
    if not getattr(data, "has_frames", False):
        raise UserError(f"run={options.run}: its data have no sequences of frames to score.")
    data.open()
    scorer = build(values["metrics"], "metrics", trust=options.trust)
    if not isinstance(scorer, FrameScores):
        raise UserError(
            f"metrics={options.metrics}: these scores do not fit a model that predicts frames: "
            "choose metrics=frames."
        )
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = load(options.run, device=device, checkpoint=options.checkpoint, trust=options.trust)
    split = next((name for name in SPLITS if len(data.split(name)[1])), "train")
    store, indices = data.split(split)
    tally = FrameTally(scorer.quality, [MODEL, *scorer.baselines], model.module.num_targets)
    with Bar("Scoring", total=len(indices), unit="sequences") as bar:
        for done, part in enumerate(indices.split(data.batch_size), start=1):
            frames = to_float(store.gather(part)).to(device)
            output = model.module.transform(frames[:, : model.module.num_inputs])
            scorer.add(tally, output, {"frames": frames}, data)
            bar.update(min(done * data.batch_size, len(indices)))
    steps = tally.steps()
    if not steps:
        raise UserError(f"run={options.run}: its data have no sequences to score.")
    facts = {
        "num_sequences": int(tally.sums[0]),
        **facts_of(data, split),
        **scorer.baseline_facts,
        "weights": "raw" if getattr(model.module, "ema", None) is None else "ema",
        "update": model.update,
    }
    folder = Path(config.run_dir)
    folder.mkdir(parents=True, exist_ok=True)
    title = f"{split} sequences, update {model.update}"
    error_picture(steps, scorer.quality.scores[0], title=title).save(folder / PICTURE)
    return scorer.entries(steps, facts)
