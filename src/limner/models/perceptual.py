"""Likelihoods with a perceptual distance: images are similar if a network's features are similar.

    log p(x | z) = log N(x; params, sigma^2) - penalty(x, params) + a constant, left out

`FeatureGaussian` compares the features of a network whose weights are installed with limner.
`PerceptualGaussian` uses LPIPS, the distance of Zhang et al. (2018), equation 1,
https://arxiv.org/abs/1801.03924, whose weights are downloaded. The densities are not normalised,
so they do not measure likelihood.
"""

__all__ = ["FeatureGaussian", "PerceptualGaussian"]

import math
import pickle
from typing import Literal
from unittest.mock import patch
from urllib.error import URLError

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from limner.errors import UserError
from limner.files.downloaded_weights import load_downloaded
from limner.losses.likelihood import GaussianLikelihood
from limner.losses.perceptual import PerceptualDistance

SMALLEST = 32  # pixels; smaller images are enlarged for LPIPS


class FeatureGaussian(GaussianLikelihood):
    """Gaussian likelihood with the distance of features in addition to the squared distance.

    For images of D values, and with d in [0, 4] the distance of `PerceptualDistance`,

        log p(x | z) = -D / (2 sigma^2) (|x - params|^2 / D + weight d(x, params)) + a constant

    The network of the distance is not part of the model: it is neither trained nor saved.

    Args:
        sigma: Standard deviation, for images in [-1, 1].
        weight: Mean squared error that counts as much as a distance of 1, at least 0.
        distance: Distance of two batches of images.
    """

    is_normalised = False

    def __init__(self, *, sigma: float, weight: float, distance: PerceptualDistance) -> None:
        _check_weight(weight)
        super().__init__(sigma=sigma)
        self.weight, self.distance = weight, distance

    @property
    def weights_sha256(self) -> str:
        """SHA-256 of the pretrained weights that train the model."""
        return self.distance.weights_sha256

    def log_prob(self, params: Tensor, images: Tensor) -> Tensor:
        """Return log p(x | z) (B,) in nats, up to a constant."""
        nats = self.weight * math.prod(images.shape[1:]) / (2 * self.sigma**2)
        return super().log_prob(params, images) - nats * self.distance(params, images)

    def check(self, images: Tensor) -> None:
        """Load the network, and check the number of channels.

        Raises:
            ValueError: If images do not have 1 or 3 channels.
            UserError: If the network's weights are not installed.
        """
        _check_channels(images)
        try:
            self.distance.load()
        except ValueError as error:
            raise UserError(f"model/likelihood=perceptual: {error}") from error


class PerceptualGaussian(GaussianLikelihood):
    """Gaussian likelihood with LPIPS in addition to the squared distance.

    The network of the distance is not part of the model. Its weights are torchvision's. They are
    loaded when training begins, and neither trained nor saved.

    Args:
        sigma: Standard deviation, for images in [-1, 1].
        weight: Nats for a distance of 1, at least 0.
        network: Name of the network whose features are compared.
    """

    is_normalised = False

    def __init__(
        self, *, sigma: float, weight: float, network: Literal["alex", "vgg", "squeeze"]
    ) -> None:
        _check_weight(weight)
        super().__init__(sigma=sigma)
        self.weight, self.network = weight, network
        self._nets: list[nn.Module] = []  # in a list, so that it does not become a submodule

    def log_prob(self, params: Tensor, images: Tensor) -> Tensor:
        """Return log p(x | z) (B,) in nats, up to a constant."""
        return super().log_prob(params, images) - self.weight * self._distance(params, images)

    def check(self, images: Tensor) -> None:
        """Load the network, and check the number of channels.

        Raises:
            ValueError: If images do not have 1 or 3 channels.
            UserError: If the network's weights are neither on disk nor can be downloaded.
        """
        _check_channels(images)
        self._net(images)

    def _distance(self, images: Tensor, others: Tensor) -> Tensor:
        """Return the distances (B,), at least 0."""
        pair = [x.clamp(-1, 1).expand(-1, 3, -1, -1).float() for x in (images, others)]
        if min(images.shape[2:]) < SMALLEST:
            factor = -(-SMALLEST // min(images.shape[2:]))
            pair = [interpolate(x, scale_factor=factor) for x in pair]
        with torch.autocast(images.device.type, enabled=False):
            return self._net(images)(*pair).flatten().to(images.dtype)

    def _net(self, images: Tensor) -> nn.Module:
        if not self._nets:
            self._nets.append(_loaded(self.network).requires_grad_(False).eval())
        return self._nets[0].to(images.device)


def _check_weight(weight: float) -> None:
    if weight < 0:
        raise ValueError(f"model.likelihood.weight={weight}: must be 0 or more.")


def _check_channels(images: Tensor) -> None:
    if images.shape[1] not in (1, 3):
        raise ValueError(
            "A perceptual likelihood compares images of 1 or 3 channels, not "
            f"{images.shape[1]}: choose model/likelihood=gaussian."
        )


def _loaded(network: str) -> nn.Module:
    from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity
    from torchvision.models import _api

    try:
        # torchvision itself would execute any code in the downloaded file
        with patch.object(_api, "load_state_dict_from_url", load_downloaded):
            return LearnedPerceptualImagePatchSimilarity(network, reduction="none").net
    except (URLError, OSError) as error:
        raise UserError(
            f"model/likelihood=lpips needs the weights of torchvision's {network}, and "
            f"they could not be downloaded ({error}). Download them on a machine with a "
            f"network, and copy them to {torch.hub.get_dir()}/checkpoints, or choose\n"
            "model/likelihood=perceptual, whose weights are installed."
        ) from error
    except (pickle.UnpicklingError, EOFError, RuntimeError, TypeError, ValueError) as error:
        raise UserError(
            f"The weights of torchvision's {network} in {torch.hub.get_dir()}/checkpoints are "
            f"damaged, or are the weights of another network ({str(error).partition(chr(10))[0]}"
            ").\n"
            "Remove the file: the next run downloads it again."
        ) from error
