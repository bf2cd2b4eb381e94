"""`limner export`: write a run as a folder that others can load, read about and build on.

DIR/model.safetensors   all weights, including the EMA
DIR/config.yaml         the config for loading: the model, and the facts of the data
DIR/README.md           the model card; DIR/samples.png is its picture
DIR/model.onnx          onnx=true only: the network from codes or pictures to images in [-1, 1];
                        a CycleGAN has model_ab.onnx and model_ba.onnx
"""

__all__ = ["run"]

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
import yaml
from PIL import Image

from limner.callbacks.pictures import grid
from limner.callbacks.sequence_pictures import sheet
from limner.commands import onnx
from limner.commands.model_card import model_card
from limner.commands.options import Export as Options
from limner.commands.sample_texts import pictures_of_texts
from limner.config.command_options import parse
from limner.console import Bar, say
from limner.errors import UserError
from limner.files.hub import is_repository, repository_of
from limner.files.plain import NotPlainError
from limner.files.printable import printable
from limner.interfaces import Samples
from limner.pixels import to_float
from limner.pretrained import hub
from limner.pretrained.load import load
from limner.pretrained.picture_transform import Transforms
from limner.pretrained.text_facts import TEXT_FACTS
from limner.pretrained.trained_model import TrainedModel
from limner.runs.scores import read_scores
from limner.version import __version__

WEIGHTS = "model.safetensors"
NUM_SAMPLES = 64  # number of images in the picture of the card
NUM_TEXTS = 16  # number of images of a model that reads texts, with their texts
NUM_ROWS = 8  # number of sequences of frames in it


def run(words: Sequence[str]) -> int:
    """Run `limner export` with these words, print the path of the export, and return exit code 0.

    Raises:
        UserError: If a word does not fit, the run cannot be loaded, or the export cannot be
            written.
    """
    options = parse(words, Options)
    to_hub = options.to.startswith(hub.SCHEME)
    target = Path(options.to).expanduser()
    if to_hub:
        hub.require_token(options.to)
    elif target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UserError(
            f"to={options.to}: the folder exists and is not empty; choose a new folder."
        )
    if options.onnx:
        onnx.require()
    model = load(options.run, device="cpu", checkpoint=options.checkpoint, trust=options.trust)
    if to_hub:
        with tempfile.TemporaryDirectory() as folder:
            _write(model, Path(folder), options)
            say(hub.upload(Path(folder), options.to))
        return 0
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as partial:
        folder = Path(partial, target.name)  # the folder is moved when it is complete
        folder.mkdir()
        _write(model, folder, options)
        folder.replace(target)
    say(printable(options.to))
    return 0


def _write(model: TrainedModel, folder: Path, options: Options) -> None:
    (folder / WEIGHTS).write_bytes(safetensors.torch.save(_weights(model)))
    config = _config(model)
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    if isinstance(model.module, Samples):
        _picture(model).save(folder / "samples.png")
    if options.onnx:
        with Bar("Exporting to ONNX, which may take minutes", total=1, unit="models") as bar:
            onnx.export(model, folder / "model.onnx")
            bar.update(1)
    card = model_card(
        model,
        config,
        address=options.to if options.to.startswith(hub.SCHEME) else Path(options.to).name,
        scores=_scores(Path(options.run)),
        license=options.license,
    )
    (folder / "README.md").write_text(card, encoding="utf-8")


def _weights(model: TrainedModel) -> dict[str, torch.Tensor]:
    """Return the state dict with separate memory for each tensor, as safetensors requires."""
    state = model.module.state_dict()
    return {key: value.detach().contiguous().clone() for key, value in state.items()}


def _config(model: TrainedModel) -> dict[str, Any]:
    facts = model.config["data"]
    data = {key: facts.get(key) for key in ("name", "image_shape", "num_classes")}
    data |= {key: facts[key] for key in TEXT_FACTS if facts.get("vocabulary") is not None}
    if facts.get("revision") is not None and is_repository(str(facts.get("path"))):
        data |= {"path": repository_of(facts["path"]), "revision": facts["revision"]}
    if isinstance(model.module, Transforms):
        data["input_shape"] = list(facts.get("input_shape") or facts["image_shape"])
    return {
        "limner": __version__,
        "weights": WEIGHTS,
        "update": model.update,
        "seed": model.config.get("seed"),
        "data": data,
        "model": _without_folders(model.config["model"]),
    }


def _without_folders(model: dict[str, Any]) -> dict[str, Any]:
    """Return the config of a model with names of its first run and style pictures, not paths."""
    found, source = dict(model), model.get("initial_weights")
    if isinstance(source, str) and not source.startswith(hub.SCHEME):
        found["initial_weights"] = Path(source).name
    styles = model.get("styles", [])  # their pixels are among the weights
    if styles:
        paths = [styles] if isinstance(styles, str) else styles
        found["styles"] = [Path(path).name for path in paths]
    return found


def _picture(model: TrainedModel) -> Image.Image:
    if model.reads_text:
        return pictures_of_texts(model, NUM_TEXTS)
    images = torch.from_numpy(model.sample(NUM_SAMPLES)).movedim(-1, -3)
    if model.reads_frames:
        return sheet(to_float(images[:NUM_ROWS]))[0]
    return grid(to_float(images), columns=round(NUM_SAMPLES**0.5))


def _scores(folder: Path) -> dict[str, Any]:
    """Return the entries of the run's scores.json; an empty dict if there is no file."""
    path = folder.expanduser() / "scores.json"
    try:
        return dict(read_scores(path))
    except NotPlainError as error:
        raise UserError(f"{path} is damaged: {error}.") from error
