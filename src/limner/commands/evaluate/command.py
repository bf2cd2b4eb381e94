"""`limner evaluate`: score a run (run=outputs/...) or pictures (generated=A reference=B)."""

__all__ = ["Options", "measured", "run"]

import dataclasses
import json
import logging
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig
from rich import get_console

from limner.commands.evaluate.measures import (
    MEASURES,
    RENAMED,
    Entries,
    NotApplicable,
    measures_alone,
)  # fmt: skip
from limner.commands.evaluate.of_captions import prepare_scores
from limner.commands.evaluate.of_frames import frame_metrics, score_frames
from limner.commands.evaluate.of_pictures import (
    changes_pictures,
    default_metrics,
    score_pictures,
    whole_path,
)
from limner.commands.evaluate.of_runs import of_run, with_likelihood_alone
from limner.commands.evaluate.of_sequences import (
    MEASURES_OF_SEQUENCES,
    refuse_scores,
    with_metrics,
)
from limner.commands.evaluate.subject import BATCH, Folder, ModelSamples, Subject
from limner.commands.options import Evaluate as Options
from limner.config.auto_metrics import choose_metrics
from limner.config.build import build, check, composed, similar
from limner.config.command_options import parse
from limner.config.facts import fill_facts
from limner.config.schema import CONFIG_DIR, register
from limner.console import Bar, ConsoleHandler
from limner.errors import UserError
from limner.metrics.image_similarity import LPIPS
from limner.metrics.trained_with import ADVICE, trained_with
from limner.pretrained.first_stage import adopt
from limner.pretrained.load import load
from limner.pretrained.safe_build import build as build_plain
from limner.pretrained.video_transform import predicts_frames
from limner.resume.overrides import quoted
from limner.resume.quoting import with_quotes
from limner.runs.scores import scores_tables

log = logging.getLogger(__name__)


def run(words: Sequence[str]) -> int:
    """Run `limner evaluate` with these words, and return the exit code.

    Raises:
        UserError: If a word does not fit, or if there is nothing to evaluate.
    """
    entries, path = measured(words)
    for table in scores_tables(entries):
        get_console().print(table)
    log.info("Score protocols: %s", path)
    return 0


def measured(words: Sequence[str]) -> tuple[dict[str, dict[str, Any]], Path]:
    """Measure what `limner evaluate` with these words asks for, and write evaluation.json.

    Returns:
        The entries {"value", "protocol", perhaps "std"} by name, and the file.

    Raises:
        UserError: If the words name nothing that can be evaluated.
    """
    _speak()
    names = {field.name for field in dataclasses.fields(Options)}
    own = [word for word in words if _is_own(word, names)]
    options = parse(own, Options)
    if (options.run is None) == (options.generated is None or options.reference is None):
        raise UserError("Give run=FOLDER, or generated=FOLDER_OR_ZIP with reference=...")
    if options.checkpoint is not None and options.run is None:
        raise UserError(f"checkpoint={options.checkpoint} needs a run: run=FOLDER")
    options = with_likelihood_alone(options)
    measures = _measures(options)
    overrides = [word for word in words if word not in own]
    overrides = with_quotes(overrides, may_sweep=False)
    if options.run is not None and predicts_frames(Path(options.run), trust=options.trust):
        return _of_frames(options, overrides)
    if options.run is not None and changes_pictures(Path(options.run), trust=options.trust):
        return _of_pictures(options, overrides)
    options = with_metrics(options)
    subject = _subject(options, _config(options, overrides))
    if not subject.draws and not measures:
        raise UserError(
            f"run={options.run}: this model draws no images. Choose measures=[reconstruction]."
        )
    if subject.evaluator is None and not measures:
        measures = measures_alone(subject)
    entries = _distances(subject)
    entries |= _measured(subject, measures, warn=options.measures != ["all"])
    return entries, _written(entries, subject.folder)


def _of_pictures(options: Options, overrides: Sequence[str]) -> tuple[Entries, Path]:
    """Score a run whose model changes pictures, and write evaluation.json."""
    folder = Path(options.run)
    metrics = options.metrics or default_metrics(folder, trust=options.trust)
    options = dataclasses.replace(options, metrics=metrics)
    overrides = whole_path(folder, overrides)
    config = _config(options, overrides)
    entries = score_pictures(options, config, overrides)
    return entries, _written(entries, Path(config.run_dir))


def _of_frames(options: Options, overrides: Sequence[str]) -> tuple[Entries, Path]:
    """Score a run whose model predicts frames, and write evaluation.json."""
    metrics = options.metrics or frame_metrics(Path(options.run))
    options = dataclasses.replace(options, metrics=metrics)
    config = _config(options, overrides)
    return (entries := score_frames(options, config)), _written(entries, Path(config.run_dir))


def _written(entries: Entries, folder: Path) -> Path:
    path = folder / "evaluation.json"
    path.write_text(json.dumps(entries, indent=2) + "\n")
    return path


def _measured(subject: Subject, measures: Sequence[str], *, warn: bool) -> Entries:
    """Return the entries of the measures; `warn` logs measures that do not apply."""
    entries: Entries = {}
    if not measures:
        return entries
    with Bar("Measuring", total=len(measures), unit="measures", counts_inner=True) as bar:
        for done, name in enumerate(measures, start=1):
            try:
                if subject.has_frames and name not in MEASURES_OF_SEQUENCES:
                    raise NotApplicable("it compares single images, not sequences of frames")
                entries |= _named(MEASURES[name](subject), subject)
            except NotApplicable as reason:
                if warn:
                    log.warning("measures=%s left out: %s.", name, reason)
            bar.update(done)
    return entries


def _named(entries: Entries, subject: Subject) -> Entries:
    """Return entries whose protocols state that the samples are sequences, if they are."""
    if not subject.has_frames:
        return entries
    frames = {"num_frames": subject.data.num_frames}
    return {
        name: {**entry, "protocol": frames | entry["protocol"]} for name, entry in entries.items()
    }


def _is_own(word: str, names: Collection[str]) -> bool:
    """Return whether a word is an option of the command, not an override of a config value."""
    key, equals, _ = word.partition("=")
    return not equals or key in names or "." not in key


def _speak() -> None:
    register()
    logger = logging.getLogger("limner")
    if not any(isinstance(handler, ConsoleHandler) for handler in logger.handlers):
        logger.addHandler(ConsoleHandler())
    logger.setLevel(logging.INFO)


def _measures(options: Options) -> list[str]:
    if options.measures == ["all"]:
        return list(MEASURES)
    for name in options.measures:
        if name in RENAMED:
            raise UserError(f"measures={name}: this measure is now called {RENAMED[name]}.")
        if name not in MEASURES:
            raise UserError(f"measures={name}: there is no such measure{similar(name, MEASURES)}")
    return options.measures


def _config(options: Options, overrides: Sequence[str]) -> DictConfig:
    """Return the config of the data and the scores, from the run or else from `reference=`."""
    chosen = [f"metrics={options.metrics or 'auto'}"]
    if options.run is None:
        chosen += _reference(options)
        chosen += overrides  # overrides for a run change its own config, below
    with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        config = compose("train", overrides=chosen)
        if options.run is not None:
            config = of_run(
                Path(options.run), config, overrides,
                has_metrics=options.metrics is not None, trust=options.trust,
            )  # fmt: skip
    config.run_dir = options.to or options.run or "."
    if options.run is None:
        adopt(config, None)
        check(config)
    return config


def _reference(options: Options) -> list[str]:
    """Return the overrides that choose the real images."""
    name = options.reference
    if (CONFIG_DIR / "data" / f"{name}.yaml").is_file():
        words = [f"data={name}"]
    elif Path(name).expanduser().exists():
        words = [
            "data=image_folder",
            f"data.path={quoted(Path(name).expanduser())}",
            "data.test_fraction=0.0",
        ]
        words += ["data.validation_fraction=0.0"]
    else:
        options_ = sorted(path.stem for path in (CONFIG_DIR / "data").glob("*.yaml"))
        raise UserError(
            f"reference={name}: no such folder, .zip or data set{similar(name, options_)}"
        )
    return words + ([f"data.image_shape={options.image_shape}"] if options.image_shape else [])


def _subject(options: Options, config: DictConfig) -> Subject:
    data = _built(options, config, "data")
    data.open()
    fill_facts(config, data)
    choose_metrics(config, data)
    scores = _built(options, config, "metrics") if "_target_" in config.metrics else None
    if scores is not None:
        refuse_scores(scores, data)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if options.run is not None:
        generated: Any = ModelSamples(
            load(options.run, device=device, checkpoint=options.checkpoint, trust=options.trust),
            num_images=config.metrics.get("num_samples", options.num_measured),
            batch_size=config.metrics.get("batch_size", BATCH),
            seed=options.seed,
        )
    else:
        resized = options.image_shape is not None
        generated = Folder(
            options.generated, image_shape=data.image_shape, resized=resized,
            background=data.background,
        )  # fmt: skip
    subject = Subject(
        generated=generated, data=data,
        num_measured=options.num_measured, seed=options.seed, device=device,
        folder=Path(config.run_dir),
        lpips=None if options.lpips is None else LPIPS(network=options.lpips),
    )  # fmt: skip
    if scores is not None:
        num_compared = scores.num_compared(generated.num_images, data)
        scores.evaluator.check(num_compared, f"{num_compared} generated images")
        prepare_scores(scores, data, generated)
        references = scores.references(data, device, num_samples=num_compared)
        subject.evaluator, subject.compare = scores.evaluator, scores.compare
        subject.references, subject.num_compared = references, num_compared
        subject.further = scores.further
    subject.folder.mkdir(parents=True, exist_ok=True)
    return subject


def _built(options: Options, config: DictConfig, key: str) -> Any:
    """Build the objects of a node; the config of a run is treated as untrusted."""
    if options.run is None:
        return build(config, key)
    return build_plain(composed(config)[key], key, trust=options.trust)


def _distances(subject: Subject) -> dict[str, dict[str, Any]]:
    """Return the distribution scores, from one pass; none without a network that compares."""
    if not subject.draws or subject.evaluator is None:
        return {}
    found = subject.compare(
        subject.generated.chosen(subject.num_compared), subject.num_compared,
        references=subject.references, device=subject.device,
    )  # fmt: skip
    about = subject.generated.about()
    if subject.model is not None:
        found |= subject.further(subject.model.module, subject.device, None)
        facts = trained_with(subject.model.module, subject.evaluator.features.protocol())
        if facts:
            log.warning(ADVICE, f"metrics={subject.evaluator.features.suffix[1:] or 'inception'}")
        about |= facts
    entries = {}
    for name, (value, std, protocol, floor, baselines) in found.items():
        optional = {"std": std, "floor": floor, "baselines": baselines}
        entries[name] = {"value": value, "protocol": protocol | about} | {
            key: number for key, number in optional.items() if number is not None
        }
    return entries
