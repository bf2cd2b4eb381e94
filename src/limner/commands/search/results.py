"""The results of a search: a summary, Optuna's pictures, and the best config as an experiment."""

__all__ = ["tell", "write_experiment", "write_pictures"]

import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import optuna
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from matplotlib.axes import Axes

from limner.commands.search.studies import Study
from limner.config.schema import CONFIG_DIR
from limner.console import say, shown
from limner.files.printable import counted, plot_label, printable

PICTURES = {
    "history": "plot_optimization_history",
    "importance": "plot_param_importances",
    "parallel_coordinates": "plot_parallel_coordinate",
}


def tell(study: Study, *, has_ended: bool) -> bool:
    """Print a summary of the trials, write the results, and return whether a trial finished.

    Args:
        study: The study.
        has_ended: Whether all trials have been tried. If not, the pictures are left out, since
            drawing takes seconds.
    """
    trials, name = study.trials(), study.objective["name"]
    numbers = Counter(
        "failed" if study.error(trial) else trial.state.name.lower() for trial in trials
    )
    states = ", ".join(f"{number} {state}" for state, number in numbers.items())
    lines = [f"{counted(len(trials), 'trial')}: {states}."]
    for trial in trials:
        if error := study.error(trial):
            lines.append(f"  trial {trial.number} failed: {error}")
    if numbers["complete"]:
        best = study.optuna.best_trial
        words = study.space.overrides(best.params)
        own = " ".join(words[len(study.space.train) :])
        folder = shown((study.folder / best.user_attrs["folder"]).absolute())
        lines += [f"The best: {name} = {best.value:.4g}, trial {best.number} in {folder}"]
        lines += [f"  {own}"]
        title = f"{name}={best.value:.4g}: trial {best.number} of {folder}"
        write_experiment(study.folder / "experiment" / "best.yaml", words, title=title)
        if has_ended:
            lines += write_pictures(study.optuna, study.folder, name=name)
        where = shown(study.folder.absolute())
        lines.append(f"To train it: python train.py --config-dir {where} experiment=best")
    for line in lines:
        say(printable(line))
    return numbers["complete"] > 0


def write_pictures(study: optuna.Study, folder: Path, *, name: str) -> list[str]:
    """Draw history.png, importance.png and parallel_coordinates.png; return a line about each."""
    matplotlib.use("Agg")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    told = []
    for file, function in PICTURES.items():
        path = folder / f"{file}.png"
        try:
            more = {} if file == "importance" else {"target_name": plot_label(name)}
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # warnings about axes with one value
                drawn = getattr(optuna.visualization.matplotlib, function)(study, **more)
            axes = drawn if isinstance(drawn, Axes) else drawn.flat[0]
            axes.figure.savefig(path, dpi=150, bbox_inches="tight")
            matplotlib.pyplot.close(axes.figure)
            told.append(f"  {shown(path.absolute())}")
        except (ValueError, RuntimeError) as error:  # too few trials, or equal values
            told.append(f"  {file}.png is not drawn: {str(error).splitlines()[0]}")
    return told


def write_experiment(path: Path, overrides: Sequence[str], *, title: str) -> None:
    """Write overrides as a file for `experiment=`; overrides that remove a key become a comment.

    Args:
        path: Path of the file.
        overrides: Overrides as on a command line.
        title: First comment of the file.
    """
    defaults: list[dict[str, Any]] = []
    values: dict[str, Any] = {}
    comments = [title]
    for word in OverridesParser.create().parse_overrides(list(overrides)):
        key = word.key_or_group
        if word.is_delete():
            comments.append(f"and on the command line: {word.input_line}")
        elif (CONFIG_DIR / key).is_dir():
            defaults.append({f"override /{word.get_key_element().lstrip('+')}": word.value()})
        else:
            *parents, last = key.split(".")
            node = values
            for parent in parents:
                node = node.setdefault(parent, {})
            node[last] = word.value()
    content = {"defaults": defaults, **values} if defaults else values
    path.parent.mkdir(exist_ok=True)
    lines = ["# @package _global_", *(f"# {printable(comment)}" for comment in comments)]
    path.write_text("\n".join([*lines, yaml.safe_dump(content, sort_keys=False)]))
