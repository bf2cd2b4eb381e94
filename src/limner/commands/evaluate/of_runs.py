"""The config of a finished run, read as untrusted input for its evaluation.

The config is read as plain data from config.yaml, and `limner.pretrained.safe_build` builds its
data and scores. The command prints which folders of this machine it opens. Overrides of the
command line replace values of the run.
"""

__all__ = ["of_run", "with_likelihood_alone"]

import dataclasses
import glob
import inspect
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra import compose
from omegaconf import DictConfig, OmegaConf

from limner.commands.options import Evaluate as Options
from limner.config.build import check
from limner.errors import UserError
from limner.files.printable import printable
from limner.pretrained.migrations import migrate
from limner.pretrained.refusals import refuse_foreign
from limner.pretrained.roles import allowed
from limner.pretrained.safe_build import read_config
from limner.runs.links import refuse_links

log = logging.getLogger(__name__)

SCORED = ("_target_", "choices")
"""Keys of metrics that compute scores; metrics=none and loss have neither."""
USED = ("data", "metrics")
"""Parts of the config that are built; `limner.load` builds the model with its weights."""


def with_likelihood_alone(options: Options) -> Options:
    """Return the options of a plain evaluation: the likelihood alone, if that is the cheap score.

    A run with metrics=none or loss whose model has an exact likelihood is scored by this
    likelihood, since its samples, drawn value by value, would take long. Options that name metrics
    or measures are kept.
    """
    if options.run is None or options.metrics is not None or options.measures:
        return options
    file = Path(options.run, "config.yaml")
    config = read_config(file) if file.is_file() else {}
    metrics, model = config.get("metrics"), config.get("model")
    is_scored = not isinstance(metrics, Mapping) or not metrics.keys().isdisjoint(SCORED)
    name = model.get("_target_") if isinstance(model, Mapping) else None
    if is_scored or not hasattr(allowed(name, "model", trust=options.trust), "log_prob"):
        if not is_scored and metrics.get("objective") is None:
            log.info("The run has metrics=none, so metrics=auto chooses its scores.")
        return options
    log.info("Scored by the exact likelihood. Scores of samples: metrics=auto, which draws them.")
    return dataclasses.replace(options, metrics="none", measures=["likelihood"])


def of_run(
    folder: Path, here: DictConfig, overrides: Sequence[str], *, has_metrics: bool,
    trust: Sequence[str],
) -> DictConfig:  # fmt: skip
    """Return the config of a run, changed by the command line.

    Args:
        folder: The run folder.
        here: Config that this command composes without the run, with the metrics of the command.
        overrides: Overrides such as `data.path=...`.
        has_metrics: Whether the command line chooses the metrics.
        trust: Packages whose classes may be built.

    Raises:
        UserError: If there is no run, or if its config names classes or values that an untrusted
            config may not have.
    """
    asked = f"run={folder}"
    if not (folder / "config.yaml").is_file():
        raise UserError(f"{asked}: there is no run in this folder.")
    refuse_links(folder)
    plain = read_config(folder / "config.yaml")
    if "weights" in plain:
        raise UserError(
            f"{asked}: an exported model has no data set to compare with. Draw images with "
            "limner sample mode=folder, and score the folder: generated=FOLDER reference=..."
        )
    data = _mapping(plain, "data", asked)
    metrics, trainer = _mapping(plain, "metrics", asked), _mapping(plain, "trainer", asked)
    if "on_corrupt" in data:  # a run of an earlier version has no background
        data = {"background": here.data.background, **data}
    if "num_neighbours" in metrics:  # a run of an earlier version has no floor
        metrics = {"floor": False, **metrics}
    if "slow_megapixels" in metrics:  # likewise
        metrics = {"distances": None, **metrics}
    source = _mapping(data, "source", asked)
    config = OmegaConf.create({
        "seed": plain.get("seed", 0),
        "trainer": {"accelerator": trainer.get("accelerator", "auto")},
        "data": data,
        "metrics": metrics,
        "model": None,
    })  # fmt: skip
    if has_metrics or metrics.get("objective") is None:
        config.metrics = here.metrics
    given = {}
    for word in overrides:
        key, _, value = word.lstrip("+").partition("=")
        given[key] = OmegaConf.from_dotlist([f"x={value}"]).x
        OmegaConf.update(config, key, given[key], force_add=True)
    for name in ("folder", "test_file"):
        if name in source and f"data.{name}" in given:
            OmegaConf.update(config, f"data.source.{name}", given[f"data.{name}"])
    if "num_frames" in data and not {"data.num_inputs", "data.num_targets"}.isdisjoint(given):
        config.data.num_frames = None  # the sum of the two
    _place(config, "data.source", source, given)
    if isinstance(digits := source.get("digits"), dict):
        _place(config, "data.source.digits", digits, given)
    values = {key: OmegaConf.to_container(config[key], resolve=True) for key in USED}
    refuse_foreign(values | {"model": _model(plain, asked)}, asked, trust=trust)
    _refuse_missing(values, asked)
    kind = allowed(values["data"]["_target_"], "data", trust=trust)
    for key in data.keys() - inspect.signature(kind).parameters.keys() - {"_target_"}:
        del config.data[key]  # no parameter of the class; only other keys read its value
    check(config, only=USED)
    return config


def _mapping(config: Mapping[str, Any], key: str, asked: str) -> dict[str, Any]:
    value = config.get(key)
    if not isinstance(value, dict):
        raise UserError(f"{asked}: its config.yaml has no {key}.")
    return value


def _model(plain: Mapping[str, Any], asked: str) -> Any:
    """Return the node of the model, whose classes `limner.load` builds later."""
    try:
        return migrate(plain.get("model"))
    except RecursionError as error:
        raise UserError(f"{asked}: its config.yaml is nested too deeply.") from error


def _refuse_missing(values: Mapping[str, Any], asked: str) -> None:
    """Raise UserError if a node that must have a `_target_` lacks it."""
    metrics = values["metrics"]
    nodes = {"data": values["data"], "data.source": values["data"].get("source")}
    choices = metrics.get("choices")
    for name, node in choices.items() if isinstance(choices, dict) else ():
        nodes[f"metrics.choices.{name}"] = node
        nodes[f"metrics.choices.{name}.features"] = isinstance(node, dict) and node.get("features")
    if "_target_" in metrics and "baselines" not in metrics:
        nodes["metrics.features"] = metrics.get("features")
    for key, node in nodes.items():
        if not isinstance(node, dict) or "_target_" not in node:
            raise UserError(f"{asked}: its config.yaml has no {key}._target_.")


def _place(
    config: DictConfig, key: str, source: Mapping[str, Any], given: Mapping[str, Any]
) -> None:
    """Decide where images are read from, and log the place if the user has not chosen it.

    A recorded `root`, into which data sets are downloaded, counts only if it contains the files.

    Args:
        config: Config to change.
        key: Key of the source.
        source: Recorded node of the source.
        given: Values on the command line.
    """
    for name in ("root", "path"):
        here, there = f"data.{name}", f"{key}.{name}"
        if there in given or name not in source:
            continue
        if here in given:
            OmegaConf.update(config, there, given[here])
            continue
        place = source[name]
        if name == "root" and not _holds(place, source.get("files")):
            place = _root_here()
            OmegaConf.update(config, there, place)
        log.info("The real images are read from %s=%s", here, printable(place))


def _holds(root: Any, files: Any) -> bool:
    """Return whether a root contains files that match a glob pattern, at most two folders deep."""
    if not isinstance(root, str) or not isinstance(files, str) or "\0" in root + files:
        return False
    parts = Path(files).parts
    if Path(files).is_absolute() or ".." in parts or len(parts) > 3:
        return False
    where = str(Path(root).expanduser())
    return any(glob.iglob(f"{glob.escape(where)}/{files}"))


def _root_here() -> str:
    """Return the folder of downloaded data sets on this machine, as set in conf/."""
    return str(compose("train", overrides=["data=mnist"]).data.root)
