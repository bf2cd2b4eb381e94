"""Folders as an attacker would make them, and checks whether an attack succeeded."""

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
"""Targets that no run folder may have built, in any place."""
PLACES = (
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
    config = OmegaConf.load(folder / ".hydra" / "config.yaml")
    config.run_dir = str(folder)
    (folder / "config.yaml").write_text(yaml.safe_dump(composed(config)))
    return folder


def edit(path: Path, key: str, value: Any) -> None:
    """Set a dotted key of a YAML file to a value, as text: `${...}` is not resolved."""
    content = yaml.safe_load(path.read_text())
    *parents, last = key.split(".")
    node = content
    for parent in parents:
        node = node.setdefault(parent, {})
    node[last] = value
    path.write_text(yaml.safe_dump(content))


def rewrite(folder: Path, words: list[Any]) -> None:
    """Replace the overrides that a run was composed of."""
    (folder / ".hydra" / "overrides.yaml").write_text(yaml.safe_dump(words))
