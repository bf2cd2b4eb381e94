"""Inception-v3 with the weights and the resize of published FID and IS values.

The network, its weights (a port of TensorFlow's graph of 2015-12-05) and its TF1-style bilinear
resize to 299x299 come from torch-fidelity, so that scores are comparable with scores of papers.
"""

__all__ = ["InceptionFeatures", "resize_clean"]

import pickle
from typing import Any, Literal
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from limner.errors import UserError
from limner.files.downloaded_weights import downloaded_path, load_downloaded
from limner.interfaces import Features, RealImages
from limner.metrics.weights import weights_hash

SIZE = (299, 299)
RESIZES = {
    "tf1": "299x299, bilinear as in TensorFlow 1",
    "clean": "299x299, bicubic with antialiasing, not rounded (clean-fid)",
}


class InceptionFeatures:
    """Pool features (B, 2048) and logits (B, 1008) without bias.

    The channel of grey images is repeated three times.

    Args:
        resize: Method of resizing. "tf1" is the method of nearly all published scores: bilinear
            interpolation between the nearest pixels, whatever the size. "clean" is bicubic with
            antialiasing, as recommended by Parmar et al. (2022), section 3,
            https://arxiv.org/abs/2104.11222.
    """

    suffix = ""
    num_features = 2048
    num_logits = 1008

    def __init__(self, *, resize: Literal["tf1", "clean"]) -> None:
        if resize not in RESIZES:
            raise ValueError(f"metrics.features.resize={resize}: choose tf1 or clean.")
        self.resize = resize
        self._body: nn.Module | None = None

    def prepare(self, real: RealImages | None) -> None:
        """Load the weights once, after downloading them if necessary."""
        if self._body is not None:
            return
        from torch_fidelity.interpolate_compat_tensorflow import (
            interpolate_bilinear_2d_like_tensorflow1x,
        )

        network = _network()
        self._hash = weights_hash(network.state_dict())
        *layers, self._head = network.children()
        self._body = nn.Sequential(*layers, nn.Flatten())
        self._resized = interpolate_bilinear_2d_like_tensorflow1x

    def to(self, device: torch.device) -> "InceptionFeatures":
        """Move the network to a device."""
        self._body.to(device)
        self._head.to(device)
        return self

    def __call__(self, images: Tensor) -> Features:
        """Return the features and logits of uint8 images (B, 1 or 3, H, W)."""
        if images.shape[1] == 1:
            images = images.expand(-1, 3, -1, -1)
        if images.shape[1] != 3:
            raise UserError(
                f"Inception takes images of 1 or 3 channels, not {images.shape[1]}: "
                "metrics=classifier takes any number of channels."
            )
        with torch.no_grad():
            if self.resize == "tf1":
                resized = self._resized(images.float(), size=SIZE, align_corners=False)
            else:
                resized = resize_clean(images, SIZE)
            features = self._body((resized - 128) / 128)
            return Features(features, features @ self._head.weight.T)

    def protocol(self) -> dict[str, Any]:
        """Return the facts about the network that comparisons of scores need."""
        return {
            "feature_network": "inception-v3-2015-12-05 (torch-fidelity)",
            "weights_sha256": self._hash,
            "resize": RESIZES[self.resize],
        }


def resize_clean(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize by bicubic interpolation whose filter widens when it shrinks images.

    PIL resizes float pictures in the same way.

    Args:
        images: Images (B, C, H, W), uint8 or float, in [0, 255].
        size: New (height, width).

    Returns:
        float32 (B, C, height, width), clipped to [0, 255] but not rounded.
    """
    resized = interpolate(images.float(), size, mode="bicubic", antialias=True)
    return resized.clamp(0, 255)


def _network() -> nn.Module:
    """Return torch-fidelity's network with the published weights; run no code from the file."""
    from torch_fidelity import feature_extractor_inceptionv3 as module

    url = module.URL_INCEPTION_V3
    file = downloaded_path(url)
    try:
        weights = load_downloaded(url)
        # torch-fidelity itself would unpickle the file, and thus execute any code in it
        with patch.object(module, "load_state_dict_from_url", lambda *_, **__: weights):
            return module.FeatureExtractorInceptionV3("inception", ["2048"])
    except (
        pickle.UnpicklingError,
        EOFError,
        OSError,
        RuntimeError,
        TypeError,
        ValueError,
    ) as error:
        problem = str(error).partition("\n")[0]
        if file.exists():
            raise UserError(
                f"{file} is damaged, or is not Inception's weights ({problem}).\n"
                f"Remove it, or download {url} again."
            ) from error
        raise UserError(
            f"Inception's weights could not be downloaded ({problem}).\n"
            f"Fetch {url}\nby hand and put it at {file},\n"
            "or score with a network that is installed (metrics=lite0) or trained on the data\n"
            "(metrics=classifier)."
        ) from error
