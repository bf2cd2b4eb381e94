"""From a finished run, an exported folder or a repository of the Hugging Face Hub to a model.

    model = limner.load("outputs/vae_digits/...")
    images = model.sample(16, seed=0)

Nothing that the files say is executed, see `limner.untrusted`.
"""

__all__ = ["load"]

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from limner import hub
from limner.checkpoint_files import best_path, newest, numbered, read
from limner.errors import UserError
from limner.folder_links import refuse_links
from limner.older import brought_up_to_date
from limner.trained import Trained
from limner.untrusted import build, read_config, read_safetensors, within

log = logging.getLogger(__name__)

SHOWN = 3  # keys in a message


def load(
    source: str | Path,
    *,
    device: str | torch.device | None = None,
    checkpoint: Literal["best", "last"] | None = None,
    trust: Sequence[str] = (),
) -> Trained:
    """Loads a trained model.

    Args:
        source: The folder of a run, a folder that `limner export` wrote, or "hf://user/name"
            ("hf://user/name@revision").
        device: Where the model goes; None for a GPU (cuda, else mps) where there is one, else cpu.
        checkpoint: Of a run: the best by its objective, or the last that is whole; None for the
            best where there is one (runs without scores have none), else the last.
        trust: Packages of your own whose classes the model is made of. Their code is run.

    Returns:
        The model, which samples, reconstructs, encodes and interpolates.

    Raises:
        UserError: If there is no such model, or its files are damaged, do not fit together, or
            ask for more than tensors and known classes.
    """
    chosen = _device(device)
    name = str(source)
    if name.startswith(hub.SCHEME):
        folder = hub.download(name)
        root = folder.parents[1]  # the hub's cache keeps the files beside, and links to them
    else:
        folder = root = Path(source).expanduser()
        refuse_links(folder)
    config = _config(folder)
    if "weights" in config:
        if checkpoint is not None:
            raise UserError(f"checkpoint={checkpoint}: an exported model holds one only.")
        path = within(folder, config["weights"], root=root)
        weights, update = read_safetensors(path), config.get("update")
    else:
        path, weights, update = _read_checkpoint(folder, checkpoint)
    with torch.random.fork_rng(devices=[]):  # the weights drawn here are replaced below
        module = build(brought_up_to_date(config["model"]), "model", trust=trust)
    _fill(module, weights, path)
    return Trained(module.to(chosen), config=config, update=update, source=name)


def _config(folder: Path) -> dict[str, Any]:
    path = folder / "config.yaml"
    if not path.is_file():
        inside = [*folder.glob("*/config.yaml"), *folder.glob("*/*/config.yaml")]
        runs = [path.parent for path in inside if path.parent.name != ".hydra"]
        newest = max(runs, key=lambda run: run.stat().st_mtime, default=None)
        hint = f" The newest run in it is {newest}" if newest is not None else ""
        raise UserError(
            f"{folder}: neither a run nor an exported model: it has no config.yaml.{hint}"
        )
    config = read_config(path)
    data = config.get("data")
    if not isinstance(config.get("model"), Mapping) or "_target_" not in config["model"]:
        raise UserError(f"{path}: there is no model in it (model._target_).")
    if not isinstance(data, Mapping) or not {"image_shape", "num_classes"} <= data.keys():
        raise UserError(f"{path}: data.image_shape and data.num_classes are missing.")
    shape = data["image_shape"]
    if not isinstance(shape, list) or [type(size) for size in shape] != [int] * 3:
        raise UserError(f"{path}: data.image_shape={shape}: must be [C, H, W].")
    if type(data["num_classes"]) is not int:
        raise UserError(f"{path}: data.num_classes={data['num_classes']}: must be a whole number.")
    return config


def _checkpoints(folder: Path, choice: str | None) -> list[Path]:
    """The files of a run that are what is asked for, the first choice first."""
    best = [path for path in (best_path(folder),) if path.is_file()]
    there = {"best": best, "last": numbered(folder)}
    if choice is not None and choice not in there:
        raise UserError(f"checkpoint={choice}: choose best or last.")
    found = {name: paths for name, paths in there.items() if paths}
    if not found:
        raise UserError(
            f"{folder}: the run has no checkpoint (checkpoints/best.ckpt or update_*.ckpt). One "
            "is written when training ends or is stopped by Ctrl-C, and at intervals before."
        )
    if choice is None:
        return next(iter(found.values()))
    if choice not in found:
        raise UserError(f"checkpoint={choice}: the run has only: {', '.join(found)}.")
    return found[choice]


def _read_checkpoint(
    folder: Path, choice: str | None
) -> tuple[Path, Mapping[str, Any], int | None]:
    """A run's checkpoint: its file, the weights and the update."""
    broken = []
    for path in _checkpoints(folder, choice):
        try:
            saved = read(path, unsigned=True)
        except UserError as error:
            broken.append(str(error))
            continue
        for message in broken:
            log.warning("Skipped: %s", message)
        if not isinstance(saved, Mapping) or not isinstance(saved.get("state_dict"), Mapping):
            raise UserError(f"{path} is not a checkpoint of a run: there is no state_dict in it.")
        return path, saved["state_dict"], saved.get("global_step")
    whole = newest(folder)
    hint = (
        f"The newest whole one in {folder / 'checkpoints'} is {whole.name}: checkpoint=last"
        if whole is not None
        else f"There is no whole one in {folder / 'checkpoints'}."
    )
    raise UserError("\n".join([*broken, hint]))


def _fill(module: Any, weights: Mapping[str, Any], path: Path) -> None:
    """Puts the weights into the model. Raises `UserError` naming keys that differ."""
    if not isinstance(module, nn.Module):
        raise UserError(f"model._target_: {type(module).__name__} is no model.")
    expected = module.state_dict()
    differences = {
        "are missing there": [key for key in expected if key not in weights],
        "are not in the model": [key for key in weights if key not in expected],
        "have another shape": [
            f"{key} ({_shape(weights[key])} instead of {_shape(expected[key])})"
            for key in expected
            if key in weights and _shape(weights[key]) != _shape(expected[key])
        ],
    }
    found = [f"{_few(keys)} {what}" for what, keys in differences.items() if keys]
    if found:
        raise UserError(
            f"{path} does not fit the config.yaml beside it, or was written by another version of "
            "limner: " + "; ".join(found) + "."
        )
    module.load_state_dict(weights)


def _shape(value: Any) -> str:
    return "x".join(map(str, value.shape)) if isinstance(value, Tensor) else "no tensor"


def _few(keys: list[str]) -> str:
    more = f" and {len(keys) - SHOWN} more" if len(keys) > SHOWN else ""
    return ", ".join(keys[:SHOWN]) + more


def _device(device: str | torch.device | None) -> torch.device:
    if device is None:
        has_mps = torch.backends.mps.is_available()
        return torch.device("cuda" if torch.cuda.is_available() else "mps" if has_mps else "cpu")
    try:
        chosen = torch.device(device)
        torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"device={device}: torch cannot use it here ({reason})") from error
    return chosen
