"""Export of the sampling network as ONNX, checked against torch."""

__all__ = ["export", "require"]

import contextlib
import importlib
import io
import logging
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

from limner.errors import UserError
from limner.interfaces import Generates
from limner.pretrained.trained_model import TrainedModel
from limner.randomness import uniform_labels

PACKAGES = ("onnx", "onnxscript", "onnxruntime")
TOLERANCE = 1e-4  # largest difference of pixels in [-1, 1]
CHECKED = (1, 5)  # batch sizes of the check


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
    """Write the network z (N, latent_dim) -> images (N, C, H, W) in [-1, 1] with EMA weights.

    N is free. The network of a conditional model takes (z, labels (N,)).

    Raises:
        UserError: If the model does not map codes to images, or if the images of both differ by
            more than 1e-4.
    """
    if not isinstance(model.module, Generates):
        raise UserError(
            f"onnx=true: {type(model.module).__name__} is not a function of a latent code."
        )
    network = _Generate(model.module)
    num_classes = model.num_classes if model.is_conditional else None
    example = _inputs(model.module, 3, num_classes)
    with _quiet():
        torch.onnx.export(
            network, tuple(example.values()), path, dynamo=True, external_data=False,
            input_names=list(example), output_names=["images"],
            dynamic_shapes=({0: torch.export.Dim("batch")},) * len(example),
        )  # fmt: skip
    _check(network, path, num_classes)


class _Generate(nn.Module):
    """Module that calls `generate` of another module in its forward pass."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module.eval()

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.module.generate(z) if labels is None else self.module.generate(z, labels)


def _inputs(module: Generates, num_images: int, num_classes: int | None) -> dict[str, Tensor]:
    """Return random inputs of the network, by their names."""
    generator = torch.Generator().manual_seed(num_images)
    z = torch.randn(num_images, module.latent_dim, generator=generator)
    labels = uniform_labels(num_images, num_classes, generator=generator)
    return {"z": z} if labels is None else {"z": z, "labels": labels}


def _check(network: _Generate, path: Path, num_classes: int | None) -> None:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for num_images in CHECKED:
        inputs = _inputs(network.module, num_images, num_classes)
        (images,) = session.run(None, {name: each.numpy() for name, each in inputs.items()})
        expected = network(**inputs)
        difference = (torch.from_numpy(images) - expected).abs().max().item()
        if not difference <= TOLERANCE:  # true for nan too
            path.unlink()
            raise UserError(f"onnx=true: ONNX's images differ from torch's by {difference:.2g}.")


@contextlib.contextmanager
def _quiet():
    """Hide the exporter's log lines, warnings and prints, which are meant for its developers."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    try:
        logger.setLevel(logging.ERROR)
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
