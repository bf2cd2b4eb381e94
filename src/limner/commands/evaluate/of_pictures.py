"""Scores of a run whose model changes pictures: held-out pictures, or all of another path."""

__all__ = ["changes_pictures", "default_metrics", "score_pictures", "whole_path"]

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from limner.callbacks.pair_scores import PairScores
from limner.callbacks.strips import Gallery
from limner.commands.options import Evaluate as Options
from limner.config.build import composed
from limner.console import Bar
from limner.errors import UserError
from limner.metrics.picture_scores import PicturePairs, Tally, entries, facts_of
from limner.metrics.trained_with import trained_with
from limner.pretrained.load import load
from limner.pretrained.roles import allowed
from limner.pretrained.safe_build import build, read_config

PICTURE = "evaluation_worst_and_best.png"
SPLITS = ("test", "validation", "train")
"""Splits in the order in which they are preferred."""
FRACTIONS = ("data.validation_fraction", "data.test_fraction")


def changes_pictures(folder: Path, *, trust: Sequence[str]) -> bool:
    """Return whether the model of a run reads an input and makes a picture of it."""
    if not (folder / "config.yaml").is_file():
        return False
    model = read_config(folder / "config.yaml").get("model")
    name = model.get("_target_") if isinstance(model, Mapping) else None
    kind = allowed(name, "model", trust=trust)
    return getattr(kind, "reads_input", False) is True


def default_metrics(folder: Path) -> str | None:
    """Return the metrics to choose for a run without scores of pictures; None to keep its own."""
    metrics = read_config(folder / "config.yaml").get("metrics")
    name = metrics.get("_target_") if isinstance(metrics, Mapping) else None
    own = f"{PairScores.__module__}.{PairScores.__qualname__}"
    return None if name == own else "pictures"


def whole_path(folder: Path, overrides: Sequence[str]) -> list[str]:
    """Return the overrides, extended so that all pictures of another `data.path` are scored."""
    given = dict(word.lstrip("+").partition("=")[::2] for word in overrides)
    path = given.get("data.path", given.get("data.source.path"))
    if path is None or _is_own(folder, path):
        return list(overrides)
    return [*(f"{key}=0.0" for key in FRACTIONS if key not in given), *overrides]


def score_pictures(
    options: Options, config: DictConfig, overrides: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Return the scores of a run's model and of the baselines, and draw two of its pictures.

    The two are the pictures with the smallest and the largest PSNR.

    Raises:
        UserError: If the data do not fit the model, or if there is nothing to score.
    """
    if options.measures:
        raise UserError(
            f"measures={options.measures}: they measure drawn images, and this model changes "
            "pictures.\nLeave measures out."
        )
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    values = composed(config)
    data = build(values["data"], "data", trust=options.trust)
    if not hasattr(data, "whole_pictures"):
        raise UserError(f"run={options.run}: its data have no whole pictures to score.")
    data.open()
    scorer = build(values["metrics"], "metrics", trust=options.trust)
    if not isinstance(scorer, PairScores):
        raise UserError(
            f"metrics={options.metrics}: scores drawn images, and this model changes pictures: "
            "choose metrics=pictures."
        )
    model = load(options.run, device=device, checkpoint=options.checkpoint, trust=options.trust)
    if not getattr(model.module, "compares_with_target", True):
        raise UserError(
            f"run={options.run}: {type(model.module).__name__} does not imitate the pictures, so "
            "scores of pairs\nsay nothing; its training reports val/content and val/gram."
        )
    split = next((name for name in SPLITS if len(data.pictures(name)[1])), "train")
    quality = scorer.pictures.quality(data)
    tally, gallery = Tally(quality), Gallery(quality, 0)
    total = len(data.pictures(split)[1])
    with Bar("Scoring", total=total, unit="pictures") as bar:
        for done, batch in enumerate(data.whole_pictures(split, device=device), start=1):
            output = model.module.transform(batch["input"], batch.get("mask"))
            tally.add(output, batch)
            gallery.add(output, batch)
            bar.update(done)
    baselines = scorer.pictures.of_baselines(data, split, quality, device=device)
    facts = _facts(data, split, options, overrides, num_pictures=int(tally.sums[0]))
    facts["weights"] = "raw" if getattr(model.module, "ema", None) is None else "ema"
    facts["update"] = model.update
    found = entries(tally.means(), quality, baselines=baselines, facts=facts)
    for each in found.values():
        each["protocol"] |= trained_with(model.module, each["protocol"])
    folder = Path(config.run_dir)
    folder.mkdir(parents=True, exist_ok=True)
    if gallery.extremes:
        picture = gallery.picture(gallery.extremes, title="Worst and best picture")
        picture.save(folder / PICTURE)
    return found


def _facts(
    data: PicturePairs,
    split: str,
    options: Options,
    overrides: Sequence[str],
    *,
    num_pictures: int,
) -> dict[str, Any]:
    """Return the facts of the scored pictures; another path is named by its file or folder."""
    facts = facts_of(data, split, num_pictures)
    given = OmegaConf.from_dotlist([word.lstrip("+") for word in overrides])
    path = OmegaConf.select(given, "data.path") or OmegaConf.select(given, "data.source.path")
    if path is not None and not _is_own(Path(options.run), str(path)):
        facts |= {"data": Path(str(path)).name}
        facts |= {"split": "all"} if split == "train" else {}
    return facts


def _is_own(folder: Path, path: str) -> bool:
    """Return whether a path is the path of the pictures on which a run was trained."""
    data = read_config(folder / "config.yaml").get("data")
    source = data.get("source") if isinstance(data, Mapping) else None
    own = source.get("path") if isinstance(source, Mapping) else None
    there, here = (Path(str(p)).expanduser().resolve() for p in (own, path.strip("'\"")))
    return there == here
