"""How a discriminator is kept in bounds: norms of its activations, and of its weights."""

__all__ = ["check_norm", "norm_layer", "normalise_spectra"]

from collections.abc import Callable

from torch import nn
from torch.nn.utils import parametrizations

NORMS: dict[str, Callable[[int], nn.Module]] = {
    "batch": nn.BatchNorm2d,
    "layer": lambda channels: nn.GroupNorm(1, channels),
    "none": lambda channels: nn.Identity(),
}


def check_norm(norm: str) -> None:
    """Raises ValueError for a norm that there is not."""
    if norm not in NORMS:
        raise ValueError(f"network.discriminator_norm={norm}: choose one of {', '.join(NORMS)}.")


def norm_layer(norm: str, num_channels: int) -> nn.Module:
    """A norm of maps (B, num_channels, H, W): "batch", "layer" (of each image), or "none"."""
    return NORMS[norm](num_channels)


def normalise_spectra(network: nn.Module) -> None:
    """Divides the weight of every convolution and linear layer by its largest singular value.

        W_SN = W / sigma(W),  sigma(W) = max_h ||W h|| / ||h||

    Miyato et al. (2018), equation 8, https://arxiv.org/abs/1802.05957, W of a convolution as a
    matrix (C_out, C_in * k * k). Each forward pass in training mode does one power iteration for
    sigma (algorithm 1), so a discriminator step on real and on fake images does two, a gradient
    penalty's own pass one more, and a generator step another one; in evaluation mode there are
    none. The vectors of the iteration are buffers and part of the state dict. Initialise the
    weights before: afterwards, `layer.weight` is computed. What a norm follows is rescaled by it
    anyway, so the bound holds for discriminators of norm "none" only.
    """
    for module in list(network.modules()):
        if isinstance(module, nn.Conv2d | nn.Linear):
            parametrizations.spectral_norm(module)
