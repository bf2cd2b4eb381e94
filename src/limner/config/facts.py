"""Facts that only the data may know: null in the config until the data are read."""

__all__ = ["FACTS", "fill_facts", "options_with", "refuse_missing_input", "with_placeholders"]

import re
from typing import Any

from omegaconf import DictConfig, OmegaConf

from limner.config.schema import CONFIG_DIR
from limner.errors import UserError

FACTS = ("image_shape", "input_shape", "num_classes")
OF_INPUTS = re.compile(r"'data\.(input_shape|scale)\b")
"""Keys of data with inputs, in the error about a config that reads a key which is not there."""


def fill_facts(config: DictConfig, data: Any) -> None:
    """Write the facts that the opened data know into the config, for the model to read."""
    for name in FACTS:
        if hasattr(data, name):
            config.data[name] = getattr(data, name)


def with_placeholders(config: DictConfig) -> DictConfig:
    """Return the config with placeholders for an unknown length and unknown shapes."""
    found: dict[str, Any] = {}
    if config.get("num_updates", 1) is None:
        found["num_updates"] = 1
    if "input_shape" in config.data:
        shapes = [name for name in FACTS if name.endswith("shape") and config.data[name] is None]
        found["data"] = {name: [1, 1, 1] for name in shapes}
    return OmegaConf.merge(config, found) if found else config


def options_with(group: str, key: str) -> str:
    """Return the options of a group whose file has a key, as GROUP=A, B, C."""
    files = sorted((CONFIG_DIR / group).glob("*.yaml"))
    return f"{group}=" + ", ".join(file.stem for file in files if key in OmegaConf.load(file))


def refuse_missing_input(config: DictConfig, error: Exception) -> None:
    """Raise `UserError` if the error is that a model reads the input of data without inputs."""
    if OF_INPUTS.search(str(error)):
        raise UserError(
            f"This model reads an input beside each image, and data={config.data.get('name')} "
            f"has none;\nchoose one of {options_with('data', 'input_shape')}"
        ) from error
