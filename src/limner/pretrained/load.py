"""Loading a model from a run, an exported folder or a repository of the Hugging Face Hub.

    model = limner.load("outputs/vae_digits/...")
    images = model.sample(16, seed=0)

No code in the files is executed, see `limner.pretrained.safe_build`.
"""

__all__ = ["load"]

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from limner.errors import UserError, is_out_of_memory
from limner.pretrained import hub
from limner.pretrained.bounded_build import build_within, check_numbers
from limner.pretrained.migrations import migrate, migrate_weights
from limner.pretrained.refusals import refuse_foreign
from limner.pretrained.safe_build import build, read_config, read_safetensors, within
from limner.pretrained.text_facts import check_text_facts
from limner.pretrained.trained_model import TrainedModel
from limner.pretrained.weights import check_fit, check_values
from limner.runs.checkpoints import best_path, numbered, read
from limner.runs.links import refuse_links
from limner.runs.newest_checkpoint import newest

log = logging.getLogger(__name__)

MAX_SHAPE = (64, 16_384, 16_384)
"""Largest number of channels, height and width of images in a config."""
MAX_CLASSES = 1_000_000


def load(
    source: str | Path,
    *,
    device: str | torch.device | None = None,
    checkpoint: Literal["best", "last"] | None = None,
    trust: Sequence[str] = (),
) -> TrainedModel:
    """Load a trained model.

    Args:
        source: Folder of a run, folder that `limner export` wrote, or "hf://user/name"
            ("hf://user/name@revision").
        device: Device of the model. None chooses a GPU (cuda, else mps) if there is one, else cpu.
        checkpoint: Checkpoint of a run: "best" by its objective, or "last" for the newest complete
            checkpoint. None chooses the best if there is one (runs without scores have none), else
            the last.
        trust: Packages of your own whose classes the model uses. Python must find them, and
            their code is run.

    Returns:
        The model, which samples, reconstructs, encodes and interpolates.

    Raises:
        UserError: If there is no such model, or if its files are damaged, do not fit together, or
            contain more than tensors and the names of known classes.
    """
    chosen = _device(device)
    name = str(source)
    if "\0" in name:
        raise UserError(f"{name}: no path has a NUL in it.")
    if name.startswith(hub.SCHEME):
        folder = hub.download(name)
        root = folder.parents[1]  # the files in the hub's cache are links into this folder
    else:
        folder = root = _expanded(Path(source))
        refuse_links(folder)
    config = _config(folder)
    node = _checked(config["model"], name, trust=trust)
    if "weights" in config:
        if checkpoint is not None:
            raise UserError(f"checkpoint={checkpoint}: an exported model has only one checkpoint.")
        path = within(folder, _file_name(folder, config["weights"]), root=root)
        weights, update = read_safetensors(path), config.get("update")
    else:
        path, weights, update = _read_checkpoint(folder, checkpoint)
    if update is not None and type(update) is not int:
        raise UserError(f"{folder}: its update must be a whole number.")
    try:
        return TrainedModel(
            _model(node, weights, path, trust=trust).to(chosen),
            config=config, update=update, source=name,
        )  # fmt: skip
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        hint = "" if chosen.type == "cpu" else " (device=cpu?)"
        raise UserError(f"{folder}: there is not enough memory for the model{hint}.") from error


def _checked(node: Any, name: str, *, trust: Sequence[str]) -> Any:
    """Return the node of a model in its current form, after a check of all its classes."""
    try:
        node = migrate(node)
        refuse_foreign({"model": node}, name, trust=trust)
    except RecursionError as error:
        raise UserError(f"{name}: its config.yaml is nested too deeply.") from error
    return node


def _model(
    node: Any, weights: Mapping[str, Any], path: Path, *, trust: Sequence[str]
) -> nn.Module:
    """Return the model of a checked config with its trained weights."""
    try:
        weights = migrate_weights(weights)
        check_numbers(node, "model")
        with torch.random.fork_rng(devices=[]):  # the initial weights are replaced below
            module = build_within(
                lambda: build(node, "model", trust=trust),
                file_bytes=path.stat().st_size,
                check=lambda module: check_fit(module, weights, path),
            )
    except RecursionError as error:
        raise UserError(f"{path.name}: the config beside it is nested too deeply.") from error
    check_values(weights, path)
    module.load_state_dict(weights)
    return module


def _expanded(folder: Path) -> Path:
    try:
        return folder.expanduser()
    except RuntimeError as error:
        raise UserError(f"{folder}: there is no such user here.") from error


def _file_name(folder: Path, name: Any) -> Any:
    if isinstance(name, str) and "\0" in name:
        raise UserError(f"{folder}: {name!r} is refused because it is not a file name.")
    return name


def _config(folder: Path) -> dict[str, Any]:
    path = folder / "config.yaml"
    try:
        is_there = path.is_file()
    except OSError as error:  # no permission, or a name that is too long
        raise UserError(f"{folder} cannot be read ({error.strerror}).") from error
    if not is_there:
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
    _check_shape(path, "image_shape", data["image_shape"])
    if data.get("input_shape") is not None:  # the data of models that transform pictures
        _check_shape(path, "input_shape", data["input_shape"])
    num_classes = data["num_classes"]
    if type(num_classes) is not int:
        raise UserError(f"{path}: data.num_classes={num_classes}: must be a whole number.")
    if not 0 <= num_classes <= MAX_CLASSES:
        raise UserError(f"{path}: data.num_classes must lie between 0 and {MAX_CLASSES:,}.")
    check_text_facts(path, data)
    return config


def _check_shape(path: Path, key: str, shape: Any) -> None:
    if not isinstance(shape, list) or [type(size) for size in shape] != [int] * 3:
        raise UserError(f"{path}: data.{key}={shape}: must be [C, H, W].")
    if not all(1 <= size <= most for size, most in zip(shape, MAX_SHAPE, strict=True)):
        raise UserError(f"{path}: data.{key}: each size must lie between 1 and {list(MAX_SHAPE)}.")


def _checkpoints(folder: Path, choice: str | None) -> list[Path]:
    """Return the checkpoint files of a run that fit a choice, the preferred one first."""
    best = [path for path in (best_path(folder),) if path.is_file()]
    there = {"best": best, "last": numbered(folder)}
    if choice is not None and choice not in there:
        raise UserError(f"checkpoint={choice}: choose best or last.")
    found = {name: paths for name, paths in there.items() if paths}
    if not found:
        raise UserError(
            f"{folder}: the run has no checkpoint (checkpoints/best.ckpt or update_*.ckpt). "
            "Training writes a checkpoint at intervals, when it ends, and when Ctrl-C stops it."
        )
    if choice is None:
        return next(iter(found.values()))
    if choice not in found:
        raise UserError(f"checkpoint={choice}: the run has only: {', '.join(found)}.")
    return found[choice]


def _read_checkpoint(
    folder: Path, choice: str | None
) -> tuple[Path, Mapping[str, Any], int | None]:
    """Return the file, the weights and the update of a run's checkpoint."""
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
        f"The newest whole checkpoint in {folder / 'checkpoints'} is {whole.name}: checkpoint=last"
        if whole is not None
        else f"There is no whole checkpoint in {folder / 'checkpoints'}."
    )
    raise UserError("\n".join([*broken, hint]))


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
