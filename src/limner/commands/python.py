"""limner from Python: the command line's runs, checks and folders, as functions.

    import limner

    trained = limner.train("model=vae", "data=digits", "trainer.max_epochs=5")
    trained.scores["val/fid_classifier"].value
    trained.model.sample(16, seed=0)

The words are the same as for `python train.py`. Nothing ends the process: a mistake raises
`UserError`, and a signal raises `Interrupted` after a checkpoint was saved.
"""

__all__ = ["Parts", "TrainedRun", "build", "compose", "evaluate", "open_data", "train"]

import copy
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path
from hydra.core.config_search_path import SearchPathQuery
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import ConfigCompositionException, MissingConfigException
from omegaconf import DictConfig

from limner.commands.in_process import alone, logged_into, messages_as_errors, undisturbed
from limner.commands.results import Parts, TrainedRun, packages_in, scores_of
from limner.commands.train import make_importable, never_began, remove_run, run_in_folder
from limner.config.build import build as build_node
from limner.config.build import check
from limner.config.error_messages import explain
from limner.config.facts import fill_facts, refuse_unlabelled
from limner.config.schema import CONFIG_DIR, register
from limner.errors import Interrupted, UserError
from limner.resume.mistyped import clarified, refuse_mistyped
from limner.resume.overrides import (
    config_dirs,
    is_sweep,
    only_shows,
    quoted,
    split_flags,
)
from limner.resume.quoting import with_quotes
from limner.resume.start import Start, composed_for, decide_start
from limner.runs.checkpoints import numbered
from limner.training.progress import Progress

if TYPE_CHECKING:
    from limner.data import ImageDataModule
    from limner.metrics.evaluator import Score


def train(*words: str, config_dir: str | Path | None = None) -> TrainedRun:
    """Train and score a model, as `python train.py WORDS` does, in this process.

    The run gets the same folder, records and checks. `resume=FOLDER` and `resume=auto` resume a
    run. If the run has finished, `resume=auto` returns its results.

    Args:
        words: Overrides such as "model=gan" and "optimizer.lr=3e-4".
        config_dir: Folder with config files and modules of your own; None for none.

    Returns:
        The run's folder, trained model, scores and status.

    Raises:
        UserError: For a mistake; the message names the key to change. Several processes
            (accelerator=ddp, trainer.devices=2) need the command line.
        Interrupted: If a signal (Ctrl-C, or a notebook's stop button) ended training. The last
            checkpoint is saved; the message states how to resume.
    """
    words, debug = _words(words, config_dir), "debug=true" in words
    with alone("limner.train"), undisturbed(), messages_as_errors(debug=debug):
        words = _prepared(words)
        os.environ["HYDRA_FULL_ERROR"] = "1"
        try:
            return _run(decide_start(words))
        except ConfigCompositionException as error:
            raise clarified(error, words) from error.__cause__


def compose(*words: str, config_dir: str | Path | None = None) -> DictConfig:
    """Return the config that `limner.train` would train, checked.

    Args:
        words: Overrides, as for `train`.
        config_dir: Folder with config files and modules of your own; None for none.

    Raises:
        UserError: For a mistake; the message names the key to change.
    """
    words = _words(words, config_dir)
    with alone("limner.compose"), undisturbed(), messages_as_errors():
        return _composed(_prepared(words))


def build(*words: str, config_dir: str | Path | None = None) -> Parts:
    """Build the model and the data of a config, for a Trainer of your own.

        model, data = limner.build("model=gan", "data=mnist", "data.batch_size=32")
        lightning.Trainer(max_epochs=5).fit(model, data)

    `trainer.validate` and `trainer.test` return the losses. The train losses are in
    `trainer.callback_metrics` as `train/NAME`.

    Args:
        words: Overrides, as for `train`. Overrides of the trainer, the loggers, the callbacks, and
            the schedules of the optimizer have no effect.
        config_dir: Folder with config files and modules of your own; None for none.

    Raises:
        UserError: For a mistake; the message names the key to change.
    """
    import torch

    from limner.pretrained.first_stage import adopt, check_shape
    from limner.pretrained.initial_weights import read_initial_weights, start_from
    from limner.training.auto_weights import fit_weights
    from limner.training.style_pictures import read_style_pictures

    words = _words(words, config_dir)
    with alone("limner.build"), undisturbed(), messages_as_errors():
        config = _composed(_prepared(words))
        first_stage = adopt(config, None)
        data = build_node(config, "data")
        data.open()
        fill_facts(config, data)
        refuse_unlabelled(config)
        torch.manual_seed(config.seed)
        model = build_node(config, "model")
        if first_stage is not None:
            check_shape(first_stage, data.image_shape)
            model.first_stage.load_state_dict(first_stage.module.state_dict())
        if (initial := read_initial_weights(config)) is not None:
            start_from(initial, model, config)
        read_style_pictures(model)
        fit_weights(model, data, num_processes=1)
        return Parts(model, data)


def open_data(name: str, **values: Any) -> "ImageDataModule":
    """Open a data set: a LightningDataModule of dicts with `image` and `label`.

        data = limner.open_data("mnist", batch_size=128)
        data = limner.open_data("image_folder", path="photos", image_shape=[3, 64, 64])

    Args:
        name: An option of the data group, such as "digits", "mnist" or "image_folder".
        values: Values of that option that differ from its YAML file.

    Raises:
        UserError: If there is no such data set, or a value does not fit.
    """
    words = [f"data={name}", *(f"data.{key}={_written(v)}" for key, v in values.items())]
    with alone("limner.open_data"), undisturbed(), messages_as_errors():
        config = _composed(_prepared(words), only=("data",))
        data = build_node(config, "data")
        data.open()
        return data


def evaluate(run: str | Path | TrainedRun | None = None, *words: str) -> "dict[str, Score]":
    """Score a run, or pictures, as `limner evaluate` does.

        limner.evaluate("outputs/vae_digits/...", "metrics.num_samples=2000")
        limner.evaluate(None, "generated=folder", "reference=mnist")

    Args:
        run: A run folder or the result of `train`; None to score pictures.
        words: Options of `limner evaluate`, and overrides of the run's config.

    Returns:
        The scores by name, each with `value`, `std` (or None) and `protocol`.

    Raises:
        UserError: If these words name nothing that can be scored.
    """
    from limner.commands.evaluate.command import measured

    words = list(words)
    if run is not None:
        folder = run.folder if isinstance(run, TrainedRun) else Path(run)
        words.insert(0, f"run={folder}")
    if isinstance(run, TrainedRun) and (packages := packages_in(run.config)):
        words.append(f"trust=[{','.join(sorted(packages))}]")
    with alone("limner.evaluate"), undisturbed(), messages_as_errors():
        return scores_of(measured(words)[0])


def _words(words: tuple[str, ...], config_dir: str | Path | None) -> list[str]:
    """Return the words of a call; raise `UserError` for words that only train.py supports."""
    for word in words:
        if not isinstance(word, str):
            raise UserError(f"{word!r}: each override is a text, such as 'model=gan'.")
    given = list(words)
    if config_dir is not None:
        given = ["--config-dir", str(config_dir), *given]
    if is_sweep(given):
        raise UserError("A sweep (-m) needs the command line: python train.py -m ...")
    if only_shows(given) or {"--help", "--version"} & set(given):
        raise UserError("Flags that show something need the command line: python train.py ...")
    return given


def _prepared(words: list[str]) -> list[str]:
    """Return the words as Hydra reads them, checked for slips of typing."""
    register()
    make_importable(words)
    refuse_mistyped(words)
    return with_quotes(words)


def _composed(words: list[str], *, only: tuple[str, ...] | None = None) -> DictConfig:
    try:
        config, _ = composed_for(words)
    except ConfigCompositionException as error:
        raise clarified(error, words) from error.__cause__
    complete = copy.deepcopy(config)
    complete.run_dir = "."  # filled in when a run starts
    if only is None:
        from limner.pretrained.first_stage import adopt  # imports torch, so not at the top

        adopt(complete, None)
    check(complete, only=only)
    return config


def _run(start: Start) -> TrainedRun:
    """Train the run that `start` decides on, in the folder that Hydra makes."""
    from limner.console import say

    if start.arguments is None:
        say(start.note)
        return TrainedRun(start.folder.resolve())
    progress, done = Progress(), {}

    def job(config: DictConfig) -> None:
        folder = Path(HydraConfig.get().runtime.output_dir)
        done["folder"] = folder
        logged_into(folder)
        try:
            done["objective"] = run_in_folder(
                config, folder, start, progress, starts_processes=False
            )
        except Exception as error:  # Hydra would print a line before it raises the error
            done["error"] = error

    flags, overrides = split_flags(start.arguments)
    try:
        _hydra(flags).run("train", job, overrides, with_log_configuration=False)
        if "error" in done:
            raise done["error"]
    except BaseException as error:
        folder = done.get("folder")
        if folder is not None and never_began(error, folder, start, progress):
            remove_run(folder)
        elif isinstance(error, Interrupted) and numbered(folder):
            shown = os.path.relpath(folder)
            raise Interrupted(f'{error}\nTo resume: limner.train("resume={shown}")') from None
        if isinstance(error, MissingConfigException) and start.folder and not start.complete:
            message, _ = explain(error)
            raise UserError(
                f"{message}\n"
                "The run was composed with it. If it is your own config file, pass its folder "
                "again: config_dir=DIR"
            ) from error
        raise
    finally:
        GlobalHydra.instance().clear()
    return TrainedRun(done["folder"], done["objective"])


def _hydra(flags: list[str]) -> Hydra:
    """Make Hydra's application for limner's config files and the user's config files."""
    path = create_config_search_path(str(CONFIG_DIR))
    for folder in config_dirs(flags)[1::2]:
        if not Path(folder).is_dir():
            raise UserError(f"config_dir={folder}: there is no such folder.")
        path.prepend(
            provider="command-line",
            path=f"file://{Path(folder).resolve()}",
            anchor=SearchPathQuery(provider="schema"),
        )
    return Hydra.create_main_hydra2(task_name="train", config_search_path=path)


def _written(value: Any) -> str:
    """Return a value as text in Hydra's grammar for overrides."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | Path):
        return quoted(value)
    if isinstance(value, list | tuple):
        return f"[{','.join(map(_written, value))}]"
    return str(value)
