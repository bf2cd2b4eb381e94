"""Normalisation of the activations and of the weights of a discriminator."""

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
    """Raise ValueError if there is no norm of this name."""
    if norm not in NORMS:
        raise ValueError(f"network.discriminator_norm={norm}: choose one of {', '.join(NORMS)}.")


def norm_layer(norm: str, num_channels: int) -> nn.Module:
    """Return a norm of maps (B, num_channels, H, W): "batch", "layer" (per image) or "none"."""
    return NORMS[norm](num_channels)


def normalise_spectra(network: nn.Module) -> None:
    """Divide the weight of every convolution and linear layer by its largest singular value.

        W_SN = W / sigma(W),  sigma(W) = max_h ||W h|| / ||h||

    Miyato et al. (2018), equation 8, https://arxiv.org/abs/1802.05957, where the W of a
    convolution is reshaped to (C_out, C_in * k * k). Each forward pass in training mode does one
    power iteration for sigma (algorithm 1). So a discriminator step does two (real and fake
    images), the pass of a gradient penalty does one more, and a generator step does one more.
    In evaluation mode there is none. Inside `torch.nn.utils.parametrize.cached()` all passes share
    one iteration. The vectors of the iteration are buffers in the state dict.

    Initialise the weights before the call: afterwards `layer.weight` is a computed tensor. A norm
    that follows a layer rescales its output, so the bound holds only for discriminators of norm
    "none".
    """
    # `nn.init` on a computed weight would change nothing, and each read of it in training mode is
    # a power iteration (test_weights_are_initialised_before_spectral_norm_is_applied).
    for module in list(network.modules()):
        if isinstance(module, nn.Conv2d | nn.Linear):
            parametrizations.spectral_norm(module)
