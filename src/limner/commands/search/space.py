"""Search spaces: YAML files of keys, each with its choices or its range.

train: [model=gan, trainer.max_epochs=20]      # overrides of all trials
space:
  optimizer.lr: {low: 1.0e-5, high: 1.0e-2, log: true}
  data.batch_size: {low: 32, high: 256, step: 32}      # whole numbers, like both ends
  model/loss: [hinge, non_saturating]
"""

__all__ = ["Space", "read"]

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from limner.commands.compare.texts import text
from limner.config.config_files import read_file
from limner.config.schema import CONFIG_DIR
from limner.errors import UserError
from limner.resume.overrides import last_per_key

RANGE = {"low", "high", "log", "step"}
FORM = "choices are a list, and a range is {low: 1, high: 9}, maybe with log: true or step: 2."


@dataclass(frozen=True)
class Space:
    """Keys that a search varies, and overrides that all its trials share.

    Args:
        train: Overrides that all trials share.
        written: Mapping of each key to its choices or its range, as written in the file.
        distributions: Mapping of each key to its distribution for Optuna.
    """

    train: list[str]
    written: Mapping[str, Any]
    distributions: Mapping[str, BaseDistribution]

    def corners(self) -> Iterator[dict[str, Any]]:
        """Yield values of all keys that together include every choice and every end of a range.

        The first mapping has the first value of each key. Each further mapping changes one key.
        """
        ends = {
            key: list(found.choices)
            if isinstance(found, CategoricalDistribution)
            else [found.low, found.high]
            for key, found in self.distributions.items()
        }
        first = {key: values[0] for key, values in ends.items()}
        yield first
        for key, values in ends.items():
            yield from (first | {key: value} for value in values[1:])

    def grid(self) -> list[dict[str, Any]]:
        """Return every combination of values.

        Raises:
            UserError: If a range has no step, so that its number of values is infinite.
        """
        values = {key: _all(key, found) for key, found in self.distributions.items()}
        return [
            dict(zip(values, combination, strict=True))
            for combination in itertools.product(*values.values())
        ]

    def overrides(self, values: Mapping[str, Any]) -> list[str]:
        """Return all overrides of a trial with these values."""
        return [*self.train, *(f"{key}={text(value)}" for key, value in values.items())]


def read(given: str, train: list[str]) -> Space:
    """Read a search space from a file.

    Args:
        given: Path of the file, or name of a file in conf/search.
        train: Overrides of the command, which replace overrides of the file.

    Raises:
        UserError: If there is no such file, or if it is not a search space.
    """
    path = Path(given).expanduser()
    if not path.is_file() and (shipped := CONFIG_DIR / "search" / f"{given}.yaml").is_file():
        path = shipped
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in (CONFIG_DIR / "search").glob("*.yaml")))
        raise UserError(f"space={given}: there is no such file. limner has: {known}.")
    content = read_file(path).config
    content = OmegaConf.to_container(content) if isinstance(content, DictConfig) else {}
    written = content.get("space")
    if not isinstance(written, dict) or not written or not content.keys() <= {"train", "space"}:
        raise UserError(
            f"space={given}: must have `space:` (the keys to vary), and may have `train:`."
        )
    distributions = {
        key: _distribution(f"{given}: {key}", found) for key, found in written.items()
    }
    return Space(last_per_key([*(content.get("train") or []), *train]), written, distributions)


def _distribution(where: str, written: Any) -> BaseDistribution:
    if isinstance(written, list) and written:
        return CategoricalDistribution([text(v) if isinstance(v, list) else v for v in written])
    if not isinstance(written, dict) or not {"low", "high"} <= written.keys() <= RANGE:
        raise UserError(f"{where}={text(written)}: {FORM}")
    numbers = [value for key, value in written.items() if key != "log"]
    if not all(isinstance(n, int | float) and not isinstance(n, bool) for n in numbers):
        raise UserError(f"{where}={text(written)}: {FORM}")
    kind = IntDistribution if all(isinstance(n, int) for n in numbers) else FloatDistribution
    try:
        return kind(**written)
    except ValueError as error:
        raise UserError(f"{where}: {error}") from error


def _all(key: str, found: BaseDistribution) -> list[Any]:
    if isinstance(found, CategoricalDistribution):
        return list(found.choices)
    if found.step is None:
        raise UserError(f"sampler=grid: {key} needs choices, or a range with a step.")
    number = int((found.high - found.low) / found.step + 1e-9) + 1
    return [found.low + found.step * index for index in range(number)]
