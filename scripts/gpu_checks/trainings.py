"""Trainings of a check: limner as a user runs it, without pictures, checkpoints and scores."""

__all__ = [
    "QUIET",
    "KeepLosses",
    "compose",
    "data_words",
    "device_words",
    "narrow",
    "new_folder",
    "picture_words",
    "train",
]

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
from hydra import compose as compose_config
from hydra import initialize_config_dir
from omegaconf import DictConfig, OmegaConf, open_dict
from PIL import Image
from torch import Tensor

from benchmarks.images import save_images
from gpu_checks.context import Context
from limner.config.schema import CONFIG_DIR, register
from limner.training.run import Run
from limner.training.train import prepare
from limner.training.train import train as train_run

QUIET = (
    "logger=none", "metrics=none", "~callbacks.progress", "~callbacks.pictures",
    "~callbacks.codes", "~callbacks.checkpoints", "trainer.limit_val_batches=0",
)  # fmt: skip
"""Words that switch off everything except the training itself."""
NUM_CLASSES = 10
SMALLEST_CROP = 8  # pixels; discriminators of patches need 6
NUM_PICTURES = 64
WIDTHS = ("width", "max_width", "num_features", "code_dim")
"""Keys of conf/network with the size of a layer."""


class KeepLosses(L.Callback):
    """Callback that keeps the losses of each update in `rows`."""

    def __init__(self) -> None:
        self._rows: list[dict[str, Tensor]] = []

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        model: L.LightningModule,
        outputs: Mapping[str, Tensor],
        *args: object,
    ) -> None:
        names = [name for name in outputs if name.startswith("loss")]
        self._rows.append({name: outputs[name].detach().clone() for name in names})

    @property
    def rows(self) -> list[dict[str, float]]:
        """Losses of each update by name."""
        return [{name: float(value) for name, value in row.items()} for row in self._rows]


def train(
    words: list[str],
    folder: Path,
    *callbacks: L.Callback,
    change: Callable[[Run], Any] = lambda run: None,
) -> Run:
    """Train a run of limner in this process.

    Args:
        words: Words of limner's command line.
        folder: Folder of the run, which this function makes.
        callbacks: Further callbacks.
        change: Function that may change the prepared run before it trains.
    """
    folder.mkdir(parents=True)
    config = compose(words)
    config.run_dir = str(folder)
    with open_dict(config):
        run = prepare(config)
        run.trainer.callbacks += callbacks
        change(run)
        train_run(run)
    return run


def compose(words: list[str]) -> DictConfig:
    """Return the config of a command line."""
    register()
    with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        return compose_config("train", overrides=words)


def device_words(device: str) -> list[str]:
    """Return the words that train on a device, "cpu" or "cuda"."""
    return [f"accelerator={'gpu' if device == 'cuda' else 'cpu'}"]


def data_words(context: Context) -> list[str]:
    """Return the words for training on synthetic images in the scale of the check."""
    scale = context.scale
    path = context.folder / "images.npy"
    if not path.exists():
        save_images(path, scale.image_shape, num_images=scale.num_images)
    return [
        "data=image_folder", "data.source._target_=benchmarks.images.SavedImages",
        f"data.path='{path}'", f"data.image_shape={list(scale.image_shape)}",
        f"data.num_classes={NUM_CLASSES}", f"data.batch_size={scale.batch_size}",
    ]  # fmt: skip


def picture_words(data: str, context: Context) -> list[str]:
    """Return the words for training a model that changes pictures, on synthetic pictures.

    Args:
        data: Name of the data set.
        context: The context of the checks.
    """
    channels, side, _ = context.scale.image_shape
    crop_size = max(side // 2 // 4 * 4, min(side, SMALLEST_CROP))
    common = [
        f"data={data}", f"data.crop_size={crop_size}", f"data.num_channels={channels}",
        f"data.batch_size={context.scale.batch_size}",
    ]  # fmt: skip
    if data == "shapes_styles":
        return common
    data_words(context)
    folder = context.folder / "pictures"
    if not folder.exists():
        folder.mkdir()
        for i, image in enumerate(np.load(context.folder / "images.npy")[:NUM_PICTURES]):
            pixels = image.transpose(1, 2, 0)
            Image.fromarray(pixels.squeeze(2) if channels == 1 else pixels).save(
                folder / f"{i}.png"
            )
    styles = [f"model.styles=['{folder}/0.png']"] if data == "pictures" else []
    return [*common, f"data.path='{folder}'", *styles]


def new_folder(parent: Path) -> Path:
    """Return the path of a folder in `parent` that does not exist yet."""
    return parent / str(len(list(parent.glob("*"))) if parent.exists() else 0)


def narrow(words: list[str], width: int | None) -> list[str]:
    """Return the words that limit the widths of a network and switch off its dropout.

    Torch draws the numbers of dropout differently on each kind of device.

    Args:
        words: Words that choose the model and its network.
        width: Largest width; None to change only the dropout.
    """
    config = compose(words)
    network = OmegaConf.to_container(config.network, resolve=False) if config.network else {}
    changed = []
    for key, value in _leaves(network):
        name = key.rpartition(".")[2]
        if name == "dropout":
            changed.append(f"network.{key}=0.0")
        elif width is not None and name == "hidden_dims":
            changed.append(f"network.{key}={[width] * len(value)}")
        elif width is not None and name in WIDTHS and isinstance(value, int):
            changed.append(f"network.{key}={min(value, width)}")
    return changed


def _leaves(node: Mapping[str, Any] | DictConfig) -> Iterator[tuple[str, Any]]:
    """Yield the dotted key and the value of each leaf; a list is a leaf."""
    for key, value in node.items():
        if isinstance(value, Mapping):
            yield from ((f"{key}.{rest}", leaf) for rest, leaf in _leaves(value))
        else:
            yield key, value
