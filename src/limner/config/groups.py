"""The top-level keys that hold objects or settings, each a mapping."""

__all__ = ["check_groups"]

from typing import Any

from omegaconf import DictConfig, OmegaConf

from limner.config.schema import CONFIG_DIR
from limner.errors import UserError

OBJECTS = ("trainer", "model", "data", "optimizer", "gradients")
"""Keys that every run needs, each a mapping with a `_target_`."""
NAMED = ("logger", "callbacks")
"""Keys of mappings from a name to an object."""
OPTIONAL = ("network", "lr_schedule", "beta2_schedule", "metrics", *NAMED)


def check_groups(config: DictConfig) -> None:
    """Raise UserError for a group that was replaced by a word, a number, a list or null.

    Args:
        config: A composed config.
    """
    for key in (*OBJECTS, *OPTIONAL):
        if key not in config:
            continue
        value = OmegaConf.select(config, key, throw_on_missing=False)
        if value is None and key in OPTIONAL and key != "network":
            if key == "metrics":
                raise UserError("metrics=null: choose metrics=none for no scores.")
            continue
        if not isinstance(value, DictConfig):
            raise UserError(f"{key}={_short(value)}: must be a mapping; {_advice(key)}.")
        if key in OBJECTS and "_target_" not in value:
            raise UserError(f"{key} has no _target_; {_base(key) if value else _advice(key)}.")
        if key in NAMED:
            _check_named(key, value)


def _check_named(key: str, config: DictConfig) -> None:
    for name in config:
        value = OmegaConf.select(config, str(name), throw_on_missing=False)
        if not isinstance(value, DictConfig) or "_target_" not in value:
            raise UserError(
                f"{key}.{name}={_short(value)}: must be a mapping with _target_; to remove it: ~"
                f"{key}.{name}"
            )


def _base(key: str) -> str:
    """Return the way to inherit `_target_` in a YAML file that sets other keys of a group."""
    bases = sorted(file.stem for file in (CONFIG_DIR / key / "base").glob("*.yaml"))
    if not bases:
        return _advice(key)
    usual = "images" if "images" in bases else bases[0]
    return (
        f"a file {key}/NAME.yaml of your own inherits it by the first line\n"
        f"defaults: [base/{usual}@_here_, augmentation: none, _self_]\n"
        f"Or {_advice(key)}"
    )


def _advice(key: str) -> str:
    folder = CONFIG_DIR / key
    if not folder.is_dir():
        return f"set the keys below it: {key}.KEY=VALUE"
    return f"choose one of {key}=" + ", ".join(sorted(file.stem for file in folder.glob("*.yaml")))


def _short(value: Any) -> str:
    text = "null" if value is None else str(value)
    return text if len(text) <= 40 else f"{text[:40]}..."
