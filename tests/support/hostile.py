"""Folders as an attacker would make them, and checks whether an attack succeeded."""

import functools
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf

from limner.config.build import composed
from support.runs import pretended

SECRET = "correct horse battery staple"
TARGETS = (
    "torch.hub.load_state_dict_from_url",
    "torch.load",
    "torch.serialization.load",
    "torch.nn.parallel.distributed.os.system",
    "os.system",
    "builtins.eval",
    "functools.partial",
    "hydra.utils.instantiate",
    "limner.cli.main",
    "limner.pretrained.load.load",
    "limner.pretrained.safe_build.build",
    "torchvision.datasets.utils.download_url",
    "torchvision.datasets.LSUN",
    "lightning.pytorch.loggers.CSVLogger",
    "trap.Part",
)
"""Targets that no key of a run folder may build."""
PLACES = (
    "beta2_schedule",
    "callbacks.pictures",
    "data",
    "data.augmentation",
    "data.source",
    "data.source.splits.train",
    "logger.csv",
    "lr_schedule",
    "metrics",
    "metrics.features",
    "model",
    "model.encoder",
    "model.optimizer",
    "trainer",
    "trainer.plugins[0]",
    "trainer.profiler",
)


def run_folder(folder: Path, *overrides: str) -> Path:
    """Write a stopped run: Hydra's records, config.yaml, and a checkpoint without content."""
    pretended(folder, *overrides)
    values = _values((folder / ".hydra" / "config.yaml").read_text())
    _write(folder / "config.yaml", values | {"run_dir": str(folder)})
    return folder


def edit(path: Path, key: str, value: Any) -> None:
    """Set a dotted key of a YAML file to a value, as text: `${...}` is not resolved."""
    content = yaml.load(path.read_text(), yaml.CSafeLoader)
    *parents, last = key.split(".")
    node = content
    for parent in parents:
        node = node.setdefault(parent, {})
    node[last] = value
    _write(path, content)


def rewrite(folder: Path, words: list[Any]) -> None:
    """Replace the overrides from which a run was composed."""
    (folder / ".hydra" / "overrides.yaml").write_text(yaml.safe_dump(words))


@functools.cache
def _values(text: str) -> dict[str, Any]:
    """Return the values of a config, given as text, with all interpolations resolved."""
    return composed(OmegaConf.create(text))


def _write(path: Path, content: Any) -> None:
    path.write_text(yaml.dump(content, Dumper=yaml.CSafeDumper))
