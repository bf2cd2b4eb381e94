"""A likelihood in which an image counts as like another where a network sees it so.

    log p(x | z) = log N(x; params, sigma^2) - weight LPIPS(x, params) + a constant, left out

with the distance of Zhang et al. (2018), equation 1, https://arxiv.org/abs/1801.03924. It is not
normalised, so it measures no likelihood.
"""

__all__ = ["PerceptualGaussian"]

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

SMALLEST = 32  # pixels, below which images are enlarged for the network


class PerceptualGaussian(GaussianLikelihood):
    """Gaussian likelihood with a learned distance beside the squared one.

    The network that measures it is no part of the model: its weights are torchvision's, loaded
    when training begins, and neither trained nor saved.

    Args:
        sigma: Standard deviation, in units of images in [-1, 1].
        weight: Nats for a distance of 1, at least 0.
        network: Whose features are compared.
    """

    is_normalised = False

    def __init__(
        self, *, sigma: float, weight: float, network: Literal["alex", "vgg", "squeeze"]
    ) -> None:
        if weight < 0:
            raise ValueError(f"model.likelihood.weight={weight}: must be 0 or more.")
        super().__init__(sigma=sigma)
        self.weight, self.network = weight, network
        self._nets: list[nn.Module] = []  # in a list, so that it is no submodule

    def log_prob(self, params: Tensor, images: Tensor) -> Tensor:
        return super().log_prob(params, images) - self.weight * self._distance(params, images)

    def check(self, images: Tensor) -> None:
        """Loads the network. Raises `UserError` if its weights are not to be had."""
        if images.shape[1] not in (1, 3):
            raise ValueError(
                f"model/likelihood=perceptual compares images of 1 or 3 channels, not "
                f"{images.shape[1]}."
            )
        self._net(images)

    def _distance(self, images: Tensor, others: Tensor) -> Tensor:
        """(B,), at least 0."""
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


def _loaded(network: str) -> nn.Module:
    from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity
    from torchvision.models import _api

    try:
        # torchvision itself would run the code that a file in the folder of downloads may hold
        with patch.object(_api, "load_state_dict_from_url", load_downloaded):
            return LearnedPerceptualImagePatchSimilarity(network, reduction="none").net
    except (URLError, OSError) as error:
        raise UserError(
            f"model/likelihood=perceptual needs the weights of torchvision's {network}, and they "
            f"could not be downloaded ({error}): fetch them where there is a network, and copy "
            f"them to {torch.hub.get_dir()}/checkpoints."
        ) from error
    except (pickle.UnpicklingError, EOFError, RuntimeError, TypeError, ValueError) as error:
        raise UserError(
            f"The weights of torchvision's {network} in {torch.hub.get_dir()}/checkpoints are "
            f"damaged, or are others ({str(error).partition(chr(10))[0]}).\n"
            "Remove the file, and it is downloaded again."
        ) from error
