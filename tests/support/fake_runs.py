"""Run folders as training leaves them, written without training."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor

from limner.callbacks.pictures import grid

PROTOCOL = {
    "feature_network": "inception",
    "reference": {"data": "digits", "split": "train", "num_images": 100},
    "num_samples": 100,
    "weights": "ema",
}


def make_run(
    folder: Path,
    *typed: str,
    seed: int = 0,
    values: Mapping[str, Any] | None = None,
    fid: float | None = None,
    protocol: Mapping[str, Any] | None = None,
    images: Tensor | None = None,
) -> Path:
    """Write a run folder and return it.

    Args:
        folder: The folder to write.
        typed: Overrides of the command line; overrides of `model` and `data` are choices too.
        seed: Seed of the run, of its data and of its samples.
        values: Dotted keys of config.yaml to values, which replace the values of a small VAE.
        fid: The score; None for a run without scores.
        protocol: Changes to the protocol of the score.
        images: Images of final.png, (N, C, H, W) in [-1, 1].
    """
    images = torch.zeros(4, 1, 8, 8) if images is None else images
    flat = {
        "seed": seed,
        "run_dir": str(folder),
        "model._target_": "limner.models.VAE",
        "model.latent_dim": 8,
        "model.encoder.latent_dim": 8,
        "model.optimizer.lr": 0.001,
        "data.name": "digits",
        "data.seed": seed,
        "data.image_shape": list(images.shape[1:]),
        "optimizer.lr": 0.001,
        "metrics._target_": "limner.callbacks.scores.Scores",
        "metrics.features.seed": 0,
        "metrics.objective": {"name": "val/fid", "mode": "min"},
        "logger.csv.folder": str(folder),
        "callbacks.pictures._target_": "limner.callbacks.pictures.Pictures",
        "callbacks.pictures.num_images": len(images),
        "callbacks.pictures.seed": seed,
        **(values or {}),
    }
    choices = {"model": "vae", "data": "digits", "hydra/launcher": "basic"}
    choices |= dict(word.split("=") for word in typed if word.split("=")[0] in choices)
    hydra = {"runtime": {"choices": choices}, "overrides": {"task": [*typed, f"seed={seed}"]}}
    _write_yaml(folder / ".hydra" / "hydra.yaml", {"hydra": hydra})
    _write_yaml(folder / "config.yaml", _nested(flat))
    grid(images, columns=round(len(images) ** 0.5)).save(folder / "final.png")
    if fid is not None:
        how = {**PROTOCOL, "seed": seed, "update": 10 + seed, **(protocol or {})}
        entries = {"val/fid": {"value": fid, "protocol": how}}
        (folder / "scores.json").write_text(json.dumps(entries))
    return folder


def _nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for key, value in flat.items():
        *parents, name = key.split(".")
        branch = tree
        for parent in parents:
            branch = branch.setdefault(parent, {})
        branch[name] = value
    return tree


def _write_yaml(path: Path, content: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(dict(content)))
