"""The first lines of a run: model, data, optimizer, length, devices and folder."""

__all__ = ["opening", "zero_rate"]

from pathlib import Path

import lightning as L
from omegaconf import DictConfig, OmegaConf
from torch import nn

from limner.console import shown
from limner.data.batches import images_per_epoch
from limner.files.printable import counted

WIDTH = 80
PLAYERS = ("generator", "discriminator")
ENDLESS = (None, -1)


def opening(
    config: DictConfig,
    model: L.LightningModule,
    data: L.LightningDataModule,
    *,
    device: str,
    num_processes: int,
    folder: Path,
    update: int | None,
) -> list[str]:
    """Return a few lines about a run, up to 80 columns wide unless a name or path is long.

    Args:
        config: The config of the run.
        model: The built model.
        data: The opened data.
        device: Description of the devices.
        num_processes: Number of processes that share each update.
        folder: The run folder.
        update: Update from which the run is resumed; None for a new run.
    """
    lines = [
        ("Model", _model(config, model)),
        ("Data", data.describe()),
        ("Optimizer", _optimizer(config)),
        ("Length", _length(config, model, data, num_processes)),
        ("Device", f"{device}, precision {config.trainer.precision}"),
        ("Folder", shown(folder)),
        *([] if update is None else [("Resumed", f"from update {update:,}")]),
    ]
    return [line for name, text in lines for line in _wrapped(f"{name + ':':11}", text)]


def zero_rate(config: DictConfig) -> str | None:
    """Return a warning if the learning rate reaches 0 before training ends; None otherwise.

    Args:
        config: The config of the run, with its length in `num_updates`.
    """
    schedule, length = config.get("lr_schedule"), config.get("num_updates")
    if schedule is None or schedule.get("end") != 0 or schedule.get("last") is None:
        return None
    if length is None or schedule.last < length:
        return (
            f"The learning rate is 0 from update {schedule.last:,} on, before training ends: "
            "lr_schedule.last=N or lr_schedule.end=SHARE in a new run changes this."
        )
    return None


def _model(config: DictConfig, model: L.LightningModule) -> str:
    """Return the class of the model, its number of trained parameters, and its networks.

    A network with a text `about` describes its own choices, such as the steps of DRAW.
    """
    counts = {name: _trained(getattr(model, name, None)) for name in PLAYERS}
    found = f"{type(model).__name__}, {_trained(model):,} parameters"
    if all(counts.values()):
        parts = ", ".join(f"{name} {count:,}" for name, count in counts.items())
        found += f" ({parts})"
    if network := _networks(config):
        found += f", networks of {network}"
    told = (getattr(part, "about", None) for part in model.modules())
    return ", ".join([found, *dict.fromkeys(text for text in told if isinstance(text, str))])


def _networks(config: DictConfig) -> str:
    """Return the modules of the networks, such as "dcgan"; empty if the config names none."""
    nodes = [config.network, *config.network.values()] if config.get("network") else []
    targets = [node.get("_target_") for node in nodes if OmegaConf.is_dict(node)]
    modules = [target.split(".")[-2] for target in targets if target and "." in target]
    return ", ".join(dict.fromkeys(modules))


def _trained(module: nn.Module | None) -> int:
    return sum(p.numel() for p in module.parameters() if p.requires_grad) if module else 0


def _optimizer(config: DictConfig) -> str:
    """Return the optimizer and its learning rate, and the discriminator's rate if it differs."""
    name = str(config.optimizer.get("_target_", "none")).rpartition(".")[2]
    rate = config.optimizer.get("lr")
    parts = [name] if rate is None else [name, f"lr {rate:g}"]
    if (other := config.model.get("discriminator_lr")) is not None:
        parts.append(f"discriminator lr {other:g}")
    if (schedule := config.get("lr_schedule")) is not None:
        parts.append(f"schedule {str(schedule.get('_target_', '')).rpartition('.')[2]}")
    return ", ".join(parts)


def _length(
    config: DictConfig, model: L.LightningModule, data: L.LightningDataModule, num_processes: int
) -> str:
    """Return the length in updates and epochs, and the number of images of an update."""
    trainer = config.trainer
    batch = config.data.batch_size * num_processes
    per_update = batch * getattr(model, "batches_per_update", 1)
    in_epoch = _limited(trainer.get("limit_train_batches"), images_per_epoch(data), per_update)
    epochs, updates = trainer.get("max_epochs"), trainer.get("max_steps")
    by_epochs = None if epochs in ENDLESS else epochs * in_epoch
    ends = [end for end in (by_epochs, None if updates in ENDLESS else updates) if end is not None]
    if not ends:
        told = "no limit in updates or epochs"
    else:
        last = min(ends)
        share = f", {counted(last / in_epoch, 'epoch')}" if in_epoch else ""
        told = f"{counted(last, 'update')}{share}"
    what = "sequence" if getattr(data, "has_frames", False) else "image"
    told += f" of {counted(batch, what)} an update"
    if (most := trainer.get("max_time")) is not None:
        told += f", max_time {most}"
    return told


def _limited(limit: float | None, num_images: int, per_update: int) -> int:
    """Return the number of updates of an epoch."""
    updates = num_images // per_update
    if limit is None:
        return updates
    return min(updates, limit) if isinstance(limit, int) else int(updates * limit)


def _wrapped(name: str, text: str) -> list[str]:
    """Break a text at its commas into lines of the allowed width."""
    lines, line = [], ""
    for part in text.split(", "):
        longer = f"{line}, {part}" if line else part
        if line and len(name) + len(longer) + 1 > WIDTH:
            lines.append(f"{line},")
            longer = part
        line = longer
    lines.append(line)
    return [f"{' ' * len(name) if i else name}{each}" for i, each in enumerate(lines)]
