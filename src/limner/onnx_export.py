"""The sampling network as ONNX, checked against torch before it is handed out."""

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
from limner.trained import Trained

PACKAGES = ("onnx", "onnxscript", "onnxruntime")
TOLERANCE = 1e-4  # of pixels in [-1, 1]
CHECKED = (1, 5)  # batch sizes


def require() -> None:
    """Raises `UserError` unless all packages that ONNX needs are installed."""
    for name in PACKAGES:
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise UserError(
                f"onnx=true needs the package {name}: pip install limner[onnx]"
            ) from error


def export(model: Trained, path: Path) -> None:
    """Writes z (N, latent_dim) -> images (N, C, H, W) in [-1, 1], for any N; EMA weights.

    Raises:
        UserError: If the model has no such function, or ONNX's differs from torch's by more than
            1e-4.
    """
    if not isinstance(model.module, Generates):
        raise UserError(
            f"onnx=true: {type(model.module).__name__} is not a function of a latent code."
        )
    network = _Generate(model.module)
    example = torch.randn(3, model.module.latent_dim, generator=torch.Generator().manual_seed(0))
    with _quiet():
        torch.onnx.export(
            network, (example,), path, dynamo=True, external_data=False,
            input_names=["z"], output_names=["images"],
            dynamic_shapes=({0: torch.export.Dim("batch")},),
        )  # fmt: skip
    _check(network, path)


class _Generate(nn.Module):
    """`generate` as a module's forward."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module.eval()

    def forward(self, z: Tensor) -> Tensor:
        return self.module.generate(z)


def _check(network: _Generate, path: Path) -> None:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for num_images in CHECKED:
        generator = torch.Generator().manual_seed(num_images)
        z = torch.randn(num_images, network.module.latent_dim, generator=generator)
        (images,) = session.run(None, {"z": z.numpy()})
        difference = (torch.from_numpy(images) - network(z)).abs().max().item()
        if not difference <= TOLERANCE:  # nan differs too
            path.unlink()
            raise UserError(f"onnx=true: ONNX's images differ from torch's by {difference:.2g}.")


@contextlib.contextmanager
def _quiet():
    """Without what the exporter tells its own developers."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    try:
        logger.setLevel(logging.ERROR)
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
