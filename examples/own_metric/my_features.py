"""Features in which scores compare images: the colours and edges of a few coarse cells.

The class follows `limner.interfaces.FeatureExtractor`. limner computes FID
and the other scores from them; the features need not come from a network.
"""

import torch
from torch.nn.functional import adaptive_avg_pool2d

from limner.interfaces import Features

CELLS = 4


class Coarse:
    """Mean and contrast of 4x4 cells of the grey picture."""

    suffix = "_coarse"  # ends the name of every score: val/fid_coarse
    num_features = 2 * CELLS**2
    num_logits = 2  # the inception score reads logits; this metric does not ask for that score

    def prepare(self, real):
        """Load or train weights, with the real images: there are none here."""

    def to(self, device):
        return self

    def __call__(self, images):
        grey = images.float().mean(1, keepdim=True) / 255
        means = adaptive_avg_pool2d(grey, CELLS)
        squares = adaptive_avg_pool2d(grey.square(), CELLS)
        contrast = (squares - means.square()).clamp(min=0).sqrt()
        features = torch.cat([means.flatten(1), contrast.flatten(1)], dim=1)
        return Features(features, features[:, : self.num_logits])

    def protocol(self):
        """Return the facts that a reader needs to compare scores."""
        return {"feature_network": "coarse cells", "cells": CELLS}
