"""A run's name and flat config, by which services list, filter and compare runs."""

__all__ = ["flat_config", "run_name"]

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

Scalar = bool | int | float | str | None

LEFT_OUT = ("debug", "logger", "resume", "run_dir", "sweep", "trust")
"""Keys that state how a run was started and where it writes, not what it trains."""

ROOT = "outputs"
"""Folder in which runs are by default."""


def flat_config(config: Mapping[str, Any], *, separator: str) -> dict[str, Scalar]:
    """Return the values of a nested config by flat keys, such as `model.latent_dim`.

    Lists of values become texts such as "[1, 28, 28]", since services filter by single values.
    Infinite numbers and nan become texts too, since JSON has none.

    Args:
        config: Nested config of a run, as plain data.
        separator: Text between the parts of a flat key, such as ".".
    """
    kept = {key: value for key, value in config.items() if key not in LEFT_OUT}
    return dict(_leaves(kept, "", separator))


def run_name(folder: str | Path) -> str:
    """Return the name of a run: the path of its folder below `outputs`.

    The name does not depend on the current folder. A run elsewhere is named by its folder and the
    folder around it, since two runs of the same name would be merged into one.
    """
    parts = Path(folder).resolve().parts
    below = parts[len(parts) - parts[::-1].index(ROOT) :] if ROOT in parts else ()
    return "/".join(below or parts[-2:])


def _leaves(value: Any, key: str, separator: str) -> Iterator[tuple[str, Scalar]]:
    start = f"{key}{separator}" if key else ""
    if isinstance(value, Mapping):
        for name, part in value.items():
            yield from _leaves(part, f"{start}{name}", separator)
    elif isinstance(value, list) and any(isinstance(part, Mapping) for part in value):
        for number, part in enumerate(value):
            yield from _leaves(part, f"{start}{number}", separator)
    else:
        yield key, _scalar(value)


def _scalar(value: Any) -> Scalar:
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if value is None or isinstance(value, bool | int | str):
        return value
    return json.dumps(value, default=str)
