"""The keys that may change when a run is resumed. Any other change would make another run."""

__all__ = ["MAY_CHANGE", "differences", "leaves", "refuse_changes", "same_length"]

import json
import re
import textwrap
from collections.abc import Mapping
from typing import Any, NamedTuple

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from limner.errors import UserError
from limner.resume.own_paths import absolute


class Kind(NamedTuple):
    """Keys that may change, their name in messages, and the reason why a change is allowed."""

    name: str
    keys: tuple[str, ...]
    reason: str


LENGTH = (
    "trainer.max_epochs", "trainer.max_steps", "trainer.max_time", "trainer.min_epochs",
    "trainer.min_steps",
)  # fmt: skip
MAY_CHANGE = (
    Kind("its length (trainer.max_epochs, max_steps, max_time)", (*LENGTH, "num_updates"),
         "later updates do not change earlier updates; but a key that reads one of these keys "
         "does"),
    Kind("loggers", ("logger",), "loggers only record values"),
    Kind("callbacks", ("callbacks",), "callbacks only observe training: pictures, logs, "
                                      "checkpoints and their intervals"),
    Kind("metrics", ("metrics",), "metrics only observe training, and have random numbers of "
                                  "their own"),
    Kind("when to look",
         ("trainer.limit_val_batches", "trainer.limit_test_batches",
          "trainer.check_val_every_n_epoch", "trainer.val_check_interval", "interval_growth",
          "trainer.log_every_n_steps", "trainer.enable_autolog_hparams", "trainer.profiler",
          "trainer.detect_anomaly"),
         "validation does not change training"),
    Kind("where the data are (data.root, path, store, memory_limit_gib)",
         ("data.root", "data.path", "data.path_b", "data.folder", "data.folder_a",
          "data.folder_b", "data.source.root", "data.source.path", "data.source.path_b",
          "data.source.digits.root", "data.test_file", "data.source.test_file",
          "data.source.folder", "data.source.folder_a", "data.source.folder_b",
          "data.input_folder", "data.target_folder", "data.source.input_folder",
          "data.source.target_folder", "data.store", "data.memory_limit_gib"),
         "limner checks the data themselves for changes"),
    Kind("devices (accelerator, trainer.devices, num_nodes, strategy)",
         ("trainer.accelerator", "trainer.devices", "trainer.num_nodes", "trainer.strategy"),
         "the images and random numbers of an update do not depend on the devices"),
    Kind("how it is computed (trainer.deterministic, channels_last, compile)",
         ("trainer.deterministic", "trainer.benchmark", "channels_last", "compile"),
         "these keys choose other kernels for the same mathematics, as another device does"),
    Kind("on_divergence", ("on_divergence", "max_rollbacks"),
         "these keys do not affect a run that does not diverge"),
    Kind("debug", ("debug", "resume", "sweep", "run_dir", "trust"),
         "these keys do not affect training"),
)  # fmt: skip
"""Keys that may change when a run is resumed.

Some similar keys may not change: trainer.limit_train_batches sets the length of an epoch, and so
the images of an update; trainer.precision and trainer.sync_batchnorm change the mathematics; and
limner adapts data.batch_size itself to another number of devices."""
UNLIMITED = (None, -1)
SHOWN = 12  # largest number of differences in a message
ABSENT = object()


def differences(before: DictConfig, after: DictConfig) -> dict[str, tuple[str, str]]:
    """Return the keys that define a run and differ: key -> value before and after, as typed.

    Values are compared with every `${...}` replaced. A key that only reads another changed key is
    not listed, unless it reads the length of the run: the length may change, but a schedule over
    `${num_updates}` or `${trainer.max_steps}` is another schedule in a longer run.
    """
    before, after = _with_lengths(before, after)
    old, new = leaves(before), leaves(after)
    changed = {key for key in old | new if old.get(key, ABSENT) != new.get(key, ABSENT)}
    length = changed.intersection((*LENGTH, "num_updates"))
    found = {}
    for key in sorted(old | new, key=lambda key: key.count(".")):  # the most important keys first
        follows = not length.isdisjoint(_read_by(new.get(key)))
        if _may_change(key) or not (key in changed or follows):
            continue
        values = _value(before, key, old), _value(after, key, new)
        if values[0] != values[1]:
            found[key] = _typed(values[0], old.get(key)), _typed(values[1], new.get(key))
    return found


def refuse_changes(before: DictConfig, after: DictConfig, subject: str, advice: str) -> None:
    """Raise UserError with the differences, if there are any.

    Args:
        before: Saved config of a run.
        after: Config with which the run is to continue.
        subject: First words of the message, such as the override that was given.
        advice: Advice on how to start a new run.
    """
    found = differences(before, after)
    if not found:
        return
    lines = [
        f"  {key}: {old} -> {new.replace('${num_updates}', 'the new length of training')}"
        for key, (old, new) in found.items()
    ]
    more = [f"  and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else []
    kept = [f"{key}={old}" for key, (old, new) in found.items() if "${num_updates}" in new]
    if kept:
        more.append(f"To keep the schedule of this run, which ends there: {' '.join(kept)}")
    head = f"{subject}: these changes would make another run:"
    allowed = f"What may change in a run: {', '.join(kind.name for kind in MAY_CHANGE)}."
    raise UserError("\n".join([_wrapped(head), *lines[:SHOWN], *more, advice, _wrapped(allowed)]))


def _wrapped(line: str) -> str:
    """Return a line in lines of 80 columns, broken between words."""
    return textwrap.fill(line, 80, break_long_words=False, break_on_hyphens=False)


def same_length(before: DictConfig, after: DictConfig) -> bool:
    """Return whether two configs set the same limits of training length."""
    values = [[OmegaConf.select(config, key) for key in LENGTH] for config in (before, after)]
    return values[0] == values[1]


def leaves(config: DictConfig) -> dict[str, Any]:
    """Return dotted key -> value as written, for every value that is not a mapping."""
    found: dict[str, Any] = {}

    def visit(node: Mapping[str, Any], path: str) -> None:
        for key, value in node.items():
            here = f"{path}.{key}" if path else str(key)
            if isinstance(value, dict) and value:
                visit(value, here)
            else:
                found[here] = value

    visit(OmegaConf.to_container(config), "")
    return found


def _with_lengths(before: DictConfig, after: DictConfig) -> tuple[DictConfig, DictConfig]:
    """Return both configs with their `num_updates`, as far as it is known without the data.

    The config `before` contains its `num_updates`; in runs of earlier versions, trainer.max_steps
    takes its place. The config `after` gets the same number if its limits give the same length,
    else null.
    """
    (epochs, steps), (new_epochs, new_steps) = _limits(before), _limits(after)
    length = before.get("num_updates") or (None if steps == float("inf") else steps)
    if length is None:
        return before, after
    by_steps = new_steps == length and new_epochs >= epochs
    by_epochs = length < steps and new_epochs == epochs and new_steps >= length
    known = length if by_steps or by_epochs else None
    return tuple(
        OmegaConf.merge(config, {"num_updates": number}) if "num_updates" in config else config
        for config, number in ((before, length), (after, known))
    )


def _limits(config: DictConfig) -> tuple[float, float]:
    """Return trainer.max_epochs and max_steps, with infinity for no limit."""
    written = leaves(config)
    given = [written.get(f"trainer.{key}") for key in ("max_epochs", "max_steps")]
    return tuple(
        limit if isinstance(limit, int) and limit not in UNLIMITED else float("inf")
        for limit in given
    )


def _may_change(key: str) -> bool:
    return any(
        key == name or key.startswith(f"{name}.") for kind in MAY_CHANGE for name in kind.keys
    )


def _read_by(written: Any) -> set[str]:
    """Return the keys that a value reads as `${key}`."""
    return set(re.findall(r"\$\{([\w.]+)\}", written)) if isinstance(written, str) else set()


def _value(config: DictConfig, key: str, written: Mapping[str, Any]) -> Any:
    """Return a value with every `${...}` replaced where possible; `ABSENT` if there is none."""
    if key not in written:
        return ABSENT
    try:
        value = OmegaConf.select(config, key)
        if OmegaConf.is_config(value):
            return absolute(key, OmegaConf.to_container(value, resolve=True), config)
        return absolute(key, value, config)
    except OmegaConfBaseException:
        return written[key]


def _typed(value: Any, written: Any) -> str:
    """Return a value as a user would type it.

    A mapping that is read by `${...}` is shown as written, and so is an unknown length.
    """
    if value is ABSENT:
        return "absent"
    unknown = value is None and isinstance(written, str)
    shown = written if isinstance(value, dict) or unknown else value
    return shown if isinstance(shown, str) else json.dumps(shown)
