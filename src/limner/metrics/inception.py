"""Inception-v3 with the weights and the resize that published FID and IS are computed with.

The network, its weights (a port of TensorFlow's graph of 2015-12-05) and its TF1-style bilinear
resize to 299x299 are torch-fidelity's, so that numbers compare with the papers'.
"""

__all__ = ["InceptionFeatures"]

from pathlib import Path
from typing import Any
from urllib.error import URLError

import torch
from torch import Tensor

from limner.errors import UserError
from limner.interfaces import Features, RealImages
from limner.metrics.weights import weights_hash


class InceptionFeatures:
    """Pool features (B, 2048) and logits (B, 1008) without bias; grey images are tripled."""

    suffix = ""
    num_features = 2048

    def __init__(self) -> None:
        self._network: torch.nn.Module | None = None

    def prepare(self, real: RealImages) -> None:
        from torch_fidelity.feature_extractor_inceptionv3 import (
            URL_INCEPTION_V3,
            FeatureExtractorInceptionV3,
        )

        try:
            self._network = FeatureExtractorInceptionV3("inception", ["2048", "logits_unbiased"])
        except (URLError, OSError) as error:
            file = Path(torch.hub.get_dir(), "checkpoints", Path(URL_INCEPTION_V3).name)
            raise UserError(
                f"Inception's weights could not be downloaded ({error}).\n"
                f"Fetch {URL_INCEPTION_V3}\nby hand and put it at {file},\n"
                "or score with a small classifier trained on the data: metrics=classifier"
            ) from error

    def to(self, device: torch.device) -> "InceptionFeatures":
        """Moves the network."""
        self._network.to(device)
        return self

    def __call__(self, images: Tensor) -> Features:
        if images.shape[1] == 1:
            images = images.expand(-1, 3, -1, -1)
        if images.shape[1] != 3:
            raise UserError(
                f"Inception takes images of 1 or 3 channels, not {images.shape[1]}: "
                "metrics=classifier takes any."
            )
        with torch.no_grad():
            return Features(*self._network(images))

    def protocol(self) -> dict[str, Any]:
        return {
            "feature_network": "inception-v3-2015-12-05 (torch-fidelity)",
            "weights_sha256": weights_hash(self._network.state_dict()),
            "resize": "299x299, bilinear as in TensorFlow 1",
        }
