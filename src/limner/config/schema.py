"""The top level of a config, and the folder of the config files."""

__all__ = ["CONFIG_DIR", "RunConfig", "register"]

from collections.abc import Sized
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf

from limner.runs.names import file_name, job_folder, suffix

_CLONE = Path(__file__).parents[3] / "conf"
CONFIG_DIR = _CLONE if _CLONE.is_dir() else Path(__file__).parents[1] / "conf"
"""conf/ of a clone, or the copy inside an installed package."""


@dataclass
class RunConfig:
    """The top level of a config, which has these keys and no others."""

    seed: int = 0
    resume: str | None = None
    sweep: str | None = None
    debug: bool = False
    run_dir: str | None = None
    num_updates: int | None = None
    interval_growth: float = 0.1
    on_divergence: str = "stop"
    max_rollbacks: int = 3
    trust: list[str] = field(default_factory=list)
    channels_last: Any = "auto"
    compile: str | None = None
    trainer: Any = None
    model: Any = None
    network: Any = None
    data: Any = None
    optimizer: Any = None
    lr_schedule: Any = None
    beta2_schedule: Any = None
    gradients: Any = None
    metrics: Any = None
    logger: Any = None
    callbacks: Any = None


def register() -> None:
    """Register schema, file checks and resolvers with Hydra; repeated calls are harmless."""
    from limner.config.config_files import use_checked_files  # avoids a cycle

    use_checked_files()
    ConfigStore.instance().store(name="schema", node=RunConfig)
    if not OmegaConf.has_resolver("limner.suffix"):
        OmegaConf.register_new_resolver("limner.suffix", suffix, use_cache=True)
        OmegaConf.register_new_resolver("limner.file_name", file_name)
        OmegaConf.register_new_resolver("limner.job_folder", job_folder)
        OmegaConf.register_new_resolver("limner.times", _times)
        OmegaConf.register_new_resolver("limner.count", _count)
        OmegaConf.register_new_resolver("limner.plus", _plus)
        OmegaConf.register_new_resolver("limner.levels", _levels)


def _count(values: Any) -> int:
    """Return the length of a list, for `${limner.count:${key}}`; 1 for a single value.

    An empty list also counts as 1, so that the part that reads the list reports it.
    """
    return max(1, len(values)) if isinstance(values, Sized) and not isinstance(values, str) else 1


def _plus(a: Any, b: Any) -> int | None:
    """Return the sum of two whole numbers, for `${limner.plus:a,b}`.

    Return None for other values, which the check of the keys with these values reports.
    """
    are_whole = all(isinstance(x, int) and abs(x) < 2**62 for x in (a, b))
    return a + b if are_whole else None


def _levels(*_: Any, _root_: Any) -> int:
    """Return the number of levels of the data's values, for `${limner.levels:}`.

    It is 2 for data with a binarisation, else 256. Data of pictures have no key `binarisation`.
    """
    return 256 if OmegaConf.select(_root_, "data.binarisation") is None else 2


def _times(a: Any, b: Any) -> int | float | None:
    """Return the product of two numbers, for `${limner.times:a,b}`; OmegaConf cannot multiply.

    Return None while a number is not known yet, such as `num_updates`.
    """
    if a is None or b is None:
        return None
    if not all(isinstance(x, int | float) and abs(x) < 2**62 for x in (a, b)):
        raise ValueError(f"limner.times:{str(a)[:40]},{str(b)[:40]}: takes two numbers.")
    return a * b
