"""Export of a model's network as ONNX with sizes that are free, checked against torch.

A model that draws becomes z (N, latent_dim) -> images; N is free. A model that transforms pictures
becomes input (N, C, H, W) -> image; N, H and W are free. For a model of several views, the
channels of all views of training stand one after another. A model that predicts frames becomes
input (N, T, C, H, W) -> frames, with the numbers and the size of frames of training; N is free.
All have the EMA weights. A model with choices, such as a direction, becomes a file for each
choice: model_ab.onnx and model_ba.onnx.
"""

__all__ = ["export", "require"]

import contextlib
import importlib
import io
import logging
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from limner.errors import UserError
from limner.interfaces import Generates
from limner.models.conditions import drawn_labels
from limner.pretrained.picture_transform import PictureTransform, Transforms, choices_of
from limner.pretrained.trained_model import TrainedModel
from limner.pretrained.video_transform import PredictsFrames

PACKAGES = ("onnx", "onnxscript", "onnxruntime")
TOLERANCE = 1e-4  # largest difference of pixels in [-1, 1]
CHECKED = (1, 5)  # batch sizes of the check
CHECKED_SIZES = ((24, 40), (57, 33))  # heights and widths of the pictures of the check


def require() -> None:
    """Raise UserError unless all packages that ONNX needs are installed."""
    for name in PACKAGES:
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise UserError(
                f"onnx=true needs the package {name}: pip install limner[onnx]"
            ) from error


def export(model: TrainedModel, path: Path) -> None:
    """Write the network of a model: codes or pictures -> images (N, C, H, W) in [-1, 1].

    A model that draws takes `z` (N, latent_dim), and `labels`, classes (N,) or texts (N, L), if
    it is conditional. A model
    that transforms pictures takes `input` (N, C, H, W) in [-1, 1], and `mask` (N, 1, H, W) if it
    fills holes. For each choice of a model with choices, the name of the file ends in the choice.

    Raises:
        UserError: If the model is no such function, if ONNX cannot express it, or if the images
            of both differ by more than 1e-4.
    """
    if isinstance(model.module, PredictsFrames):
        _export_prediction(model, path)
    elif isinstance(model.module, Transforms):
        _export_transform(model, path)
    elif isinstance(model.module, Generates):
        _export_generate(model, path)
    else:
        raise UserError(
            f"onnx=true: {type(model.module).__name__} is neither a function of a latent code "
            "nor of a picture."
        )


def _export_generate(model: TrainedModel, path: Path) -> None:
    network = _Generate(model.module)
    example = _codes(model.module, 3)
    _write(network, example, path, output="images", free={0: torch.export.Dim("batch")})
    for num_images in CHECKED:
        _check(network, path, _codes(model.module, num_images))


def _export_transform(model: TrainedModel, path: Path) -> None:
    for choices in choices_of(model.module):
        transform = model.picture_transform(**choices)
        several = [v for name, v in choices.items() if len(model.module.choices[name]) > 1]
        name = "_".join([path.stem, *several])
        _export_picture_transform(transform, path.with_stem(name))


def _export_prediction(model: TrainedModel, path: Path) -> None:
    network = _Predict(model.module)
    _write(network, _frames(model, 2), path, output="frames", free={0: torch.export.Dim("batch")})
    for num_sequences in CHECKED:
        _check(network, path, _frames(model, num_sequences))


def _export_picture_transform(transform: PictureTransform, path: Path) -> None:
    network = _Transform(transform)
    free = dict(zip((0, 2, 3), map(torch.export.Dim, ("batch", "height", "width")), strict=True))
    example = _pictures(transform, 2, 40, 48)
    _write(network, example, path, output="image", free=free)
    for num_images, size in zip(CHECKED, CHECKED_SIZES, strict=True):
        _check(network, path, _pictures(transform, num_images, *size))


class _Generate(nn.Module):
    """Module that calls `generate` of another module in its forward pass."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module.eval()

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.module.generate(z) if labels is None else self.module.generate(z, labels)


class _Predict(nn.Module):
    """Module that calls `transform` of a model that predicts frames in its forward pass."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module.eval()

    def forward(self, input: Tensor) -> Tensor:
        return self.module.transform(input)


class _Transform(nn.Module):
    """Module that calls a picture transform in its forward pass."""

    def __init__(self, transform: PictureTransform) -> None:
        super().__init__()
        self.module, self.transform = transform.module.eval(), transform

    def forward(self, input: Tensor, mask: Tensor | None = None) -> Tensor:
        return self.transform.apply(input, mask)


def _codes(module: Generates, num_images: int) -> dict[str, Tensor]:
    """Return random inputs of a network that draws, by their names."""
    generator = torch.Generator().manual_seed(num_images)
    z = torch.randn(num_images, module.latent_dim, generator=generator)
    labels = drawn_labels(module, num_images, generator=generator)
    return {"z": z} if labels is None else {"z": z, "labels": labels}


def _frames(model: TrainedModel, num_sequences: int) -> dict[str, Tensor]:
    """Return random inputs of a network that predicts frames, by their names."""
    generator = torch.Generator().manual_seed(num_sequences)
    shape = num_sequences, model.module.num_inputs, *model.image_shape
    return {"input": torch.rand(shape, generator=generator) * 2 - 1}


def _pictures(
    transform: PictureTransform, num_images: int, height: int, width: int
) -> dict[str, Tensor]:
    """Return random inputs of a network that transforms pictures, by their names."""
    generator = torch.Generator().manual_seed(num_images)
    channels = transform.channels * (transform.num_views or 1)
    shape = num_images, channels, height, width
    images = torch.rand(shape, generator=generator) * 2 - 1
    if not transform.needs_mask:
        return {"input": images}
    known = (torch.rand(num_images, 1, height, width, generator=generator) < 0.8).float()
    return {"input": images * known, "mask": known}


def _write(
    network: nn.Module, example: dict[str, Tensor], path: Path, *, output: str, free: Any
) -> None:
    try:
        with _quiet(), torch.no_grad():
            torch.onnx.export(
                network, tuple(example.values()), path, dynamo=True, external_data=False,
                input_names=list(example), output_names=[output],
                dynamic_shapes=(free,) * len(example),
            )  # fmt: skip
    except torch.onnx.OnnxExporterError as error:
        lines = [line.strip() for line in str(error.__cause__ or error).splitlines()]
        reason = next(filter(None, lines), type(error).__name__)
        raise UserError(f"onnx=true: ONNX cannot express this network: {reason}") from error


def _check(network: nn.Module, path: Path, inputs: dict[str, Tensor]) -> None:
    """Raise UserError, and remove the file, if ONNX's images differ from torch's."""
    import onnxruntime

    try:
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        (images,) = session.run(None, {name: each.numpy() for name, each in inputs.items()})
    except Exception as error:  # onnxruntime's exceptions share no other base class
        path.unlink()
        raise UserError(f"onnx=true: onnxruntime cannot run the file: {error}") from error
    with torch.no_grad():
        expected = network(**inputs)
    difference = (torch.from_numpy(images) - expected).abs().max().item()
    if not difference <= TOLERANCE:  # true for nan too
        path.unlink()
        raise UserError(f"onnx=true: ONNX's images differ from torch's by {difference:.2g}.")


@contextlib.contextmanager
def _quiet():
    """Hide the exporter's log lines, warnings and prints, which are meant for its developers."""
    disabled = logging.root.manager.disable
    try:
        logging.disable(logging.CRITICAL)
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
