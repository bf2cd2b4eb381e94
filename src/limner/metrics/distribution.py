"""FID and IS of torchmetrics, fed with features that were computed once for both."""

__all__ = ["DistributionScores"]

import torch
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.inception import InceptionScore

from limner.interfaces import Features


class _Computed(nn.Module):
    """Stands where torchmetrics expects a feature network: its input is the features already."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features

    def forward(self, features: Tensor) -> Tensor:
        return features


class DistributionScores:
    """How near generated images come to real ones, and how varied they are.

    `fid`: |m - m'|^2 + tr(C + C' - 2 (C C')^(1/2)) of the means and covariances of the features;
    Heusel et al. (2017), equation 6, https://arxiv.org/abs/1706.08500.
    `inception_score`: exp(E KL(p(y|x) || p(y))), the mean over `num_splits` parts; Salimans et al.
    (2016), https://arxiv.org/abs/1606.03498.

    Under several processes each adds its share, and `compute` gives all of them the same result.

    Args:
        num_features: Size of a feature vector.
        num_splits: Parts of the inception score, at least 2 for a standard deviation.
        device: Where the sums are kept, in float64.
    """

    def __init__(self, *, num_features: int, num_splits: int, device: torch.device) -> None:
        network = _Computed(num_features)
        self.fid = FrechetInceptionDistance(network, reset_real_features=False).to(device)
        self.inception_score = InceptionScore(network, splits=num_splits).to(device)
        self.fid.set_dtype(torch.float64)

    def add_real(self, seen: Features) -> None:
        """Adds what the feature network saw in real images."""
        self.fid.update(seen.features.to(self.fid.device, torch.float64), real=True)

    def add_generated(self, seen: Features) -> None:
        """Adds what the feature network saw in generated images."""
        self.fid.update(seen.features.to(self.fid.device, torch.float64), real=False)
        self.inception_score.update(seen.logits.to(self.fid.device))

    def compute(self) -> dict[str, tuple[float, float | None]]:
        """Name to (value, standard deviation or None); forgets the generated images."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)  # of the shuffle before the splits
            mean, deviation = self.inception_score.compute()
        scores = {
            "fid": (self.fid.compute().item(), None),
            "inception_score": (mean.item(), deviation.item()),
        }
        self.fid.reset()
        self.inception_score.reset()
        return scores
