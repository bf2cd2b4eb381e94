"""Scores of a run whose model changes pictures: held-out pictures, or all of another path."""

__all__ = ["changes_pictures", "default_metrics", "score_pictures", "whole_path"]

import functools
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from limner.callbacks.cycle_strips import CycleGallery
from limner.callbacks.domain_scores import DomainScores
from limner.callbacks.pair_scores import PairScores
from limner.callbacks.strips import Gallery
from limner.commands.evaluate.of_domains import score_domains
from limner.commands.options import Evaluate as Options
from limner.config.build import composed
from limner.console import Bar
from limner.errors import UserError
from limner.metrics.baseline_scores import PicturePairs
from limner.metrics.picture_scores import Tally, add_pictures, entries, facts_of, other_targets
from limner.metrics.trained_with import trained_with
from limner.pretrained.load import load
from limner.pretrained.roles import allowed
from limner.pretrained.safe_build import build, read_config
from limner.training.left_out import unfit_baselines

log = logging.getLogger(__name__)

PICTURE = "evaluation_worst_and_best.png"
SPLITS = ("test", "validation", "train")
"""Splits in the order in which they are preferred."""
FRACTIONS = ("data.validation_fraction", "data.test_fraction")


def changes_pictures(folder: Path, *, trust: Sequence[str]) -> bool:
    """Return whether the model of a run makes pictures of pictures."""
    return _reads(folder, "input", trust=trust) or _reads(folder, "domains", trust=trust)


def default_metrics(folder: Path, *, trust: Sequence[str]) -> str | None:
    """Return the metrics to choose for a run without scores of pictures; None to keep its own."""
    metrics = read_config(folder / "config.yaml").get("metrics")
    name = metrics.get("_target_") if isinstance(metrics, Mapping) else None
    kind, option = PairScores, "pictures"
    if _reads(folder, "domains", trust=trust):
        kind, option = DomainScores, "domains"
    return None if name == f"{kind.__module__}.{kind.__qualname__}" else option


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
    """Return the scores of a run's model and of the baselines.

    The worst and the best pictures are drawn: by PSNR, or for a model of two domains by the error
    of a cycle.

    Raises:
        UserError: If the data do not fit the model, or if there is nothing to score.
    """
    if options.measures:
        raise UserError(
            f"measures={options.measures}: they measure drawn images, and this model changes "
            "pictures.\nLeave measures out."
        )
    values = composed(config)
    data = build(values["data"], "data", trust=options.trust)
    if not hasattr(data, "whole_pictures"):
        raise UserError(f"run={options.run}: its data have no whole pictures to score.")
    data.open()
    scorer = build(values["metrics"], "metrics", trust=options.trust)
    of_domains = _reads(Path(options.run), "domains", trust=options.trust)
    if not isinstance(scorer, DomainScores if of_domains else PairScores):
        fitting = "metrics=domains" if of_domains else "metrics=pictures or metrics=translation"
        raise UserError(
            f"metrics={options.metrics}: these scores do not fit a model that changes pictures: "
            f"choose {fitting}."
        )
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = load(options.run, device=device, checkpoint=options.checkpoint, trust=options.trust)
    if not getattr(model.module, "compares_with_target", True):
        raise UserError(
            f"run={options.run}: {type(model.module).__name__} does not imitate the pictures, so "
            "scores of pairs\nsay nothing; training reports val/loss_content and val/loss_gram."
        )
    folder = Path(config.run_dir)
    folder.mkdir(parents=True, exist_ok=True)
    facts = {
        "weights": "raw" if getattr(model.module, "ema", None) is None else "ema",
        "update": model.update,
    }
    gallery: Gallery | CycleGallery
    if of_domains:
        gallery = CycleGallery(0)
        found = score_domains(scorer, data, model.module, device=device, gallery=gallery)
        for each in found.values():
            each["protocol"] |= _path_facts(options, overrides, each["protocol"]["split"])
    else:
        gallery = Gallery(scorer.quality(data), 0)
        found = _score_pairs(
            scorer, data, model.module, config, options, overrides, gallery=gallery
        )
    for each in found.values():
        each["protocol"] |= facts | trained_with(model.module, each["protocol"])
    if gallery.extremes:
        picture = gallery.picture(gallery.extremes, title="Worst and best pictures")
        picture.save(folder / PICTURE)
    return found


def _score_pairs(
    scorer: PairScores,
    data: PicturePairs,
    model: torch.nn.Module,
    config: DictConfig,
    options: Options,
    overrides: Sequence[str],
    *,
    gallery: Gallery,
) -> dict[str, dict[str, Any]]:
    """Return the scores of a model that reads inputs; the gallery gets all pictures."""
    device = next(model.parameters()).device
    split = next((name for name in SPLITS if len(data.pictures(name)[1])), "train")
    if (warning := unfit_baselines(config, data, split)) is not None:
        log.warning("%s", warning)
    quality, sets = scorer.quality(data), scorer.sets(data, split)
    tally = Tally(quality)
    total = len(data.pictures(split)[1])
    with Bar("Scoring", total=total, unit="pictures") as bar:
        for done, batch in enumerate(data.whole_pictures(split, device=device), start=1):
            output = model.transform(batch["input"], batch.get("mask"))
            tally.add(output, batch)
            gallery.add({"output": output}, batch)
            if sets is not None:
                add_pictures(sets, output, batch)
            bar.update(done)
    if scorer.baselines:
        shown = ", ".join(f"{name} {value:.4g}" for name, value in tally.means().items())
        log.info("This model: %s. The baselines follow.", shown)
    baselines = scorer.score_baselines(data, split, quality, device=device)
    facts = facts_of(data, split, int(tally.sums[0])) | _path_facts(options, overrides, split)
    found = entries(tally.means(), quality, baselines=baselines, facts=facts)
    if sets is not None:
        others = {"": functools.partial(other_targets, data, split)}
        distances = sets.entries(device, others=others)
        found |= {
            name: {**each, "protocol": facts | each["protocol"]}
            for name, each in distances.items()
        }
    return found


def _path_facts(options: Options, overrides: Sequence[str], split: str) -> dict[str, Any]:
    """Return the facts of pictures of another path than the run's: its name, and all pictures."""
    given = OmegaConf.from_dotlist([word.lstrip("+") for word in overrides])
    path = OmegaConf.select(given, "data.path") or OmegaConf.select(given, "data.source.path")
    if path is None or _is_own(Path(options.run), str(path)):
        return {}
    return {"data": Path(str(path)).name} | ({"split": "all"} if split == "train" else {})


def _reads(folder: Path, what: str, *, trust: Sequence[str]) -> bool:
    """Return whether the class of a run's model states that it reads an input, or domains."""
    if not (folder / "config.yaml").is_file():
        return False
    model = read_config(folder / "config.yaml").get("model")
    name = model.get("_target_") if isinstance(model, Mapping) else None
    return getattr(allowed(name, "model", trust=trust), f"reads_{what}", False) is True


def _is_own(folder: Path, path: str) -> bool:
    """Return whether a path is the path of the pictures on which a run was trained."""
    data = read_config(folder / "config.yaml").get("data")
    source = data.get("source") if isinstance(data, Mapping) else None
    own = source.get("path") if isinstance(source, Mapping) else None
    there, here = (Path(str(p)).expanduser().resolve() for p in (own, path.strip("'\"")))
    return there == here
