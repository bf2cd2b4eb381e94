"""The styles of a generator with a mapping network: their mean, truncation, and images of them.

    w = f(z, y)                        style code of a latent code z and a class y
    w' = mean_y + psi (w - mean_y)     truncation: Karras et al. (2019), appendix B,
                                       https://arxiv.org/abs/1812.04948
    image = g(w_1, ..., w_L, noise)    L layers; each reads a style

mean_y is the mean of f(z, y) over 4,096 codes z of a fixed seed. The noise inputs are multiplied
by psi, too, so that psi = 0 gives one image for each class. In the paper they are not.
"""

__all__ = ["StyleSpace", "style_generator"]

import torch
from torch import Tensor, nn

from limner.interfaces import label_kwargs
from limner.models.style_generator import StyleGenerator
from limner.models.text import TextGenerator
from limner.randomness import generator_for

NUM_CODES = 4096
"""Number of codes whose styles have the mean and the standard deviation."""


def style_generator(module: nn.Module) -> nn.Module | None:
    """Return the style generator of a model, with the EMA weights if any; None without styles.

    The generator of a model of texts is the network behind its encoder of texts.
    """
    network = _network(module)
    inner = network.network if isinstance(network, TextGenerator) else network
    return inner if isinstance(inner, StyleGenerator) else None


class StyleSpace:
    """Styles of a trained model, as tensors on its device.

    Args:
        module: Model with a style generator, in evaluation mode; its weights do not change.
    """

    def __init__(self, module: nn.Module) -> None:
        self._network = _network(module)
        self.generator: StyleGenerator = style_generator(module)
        self._weight = next(module.parameters())
        self._samples: dict[tuple[int, ...], tuple[Tensor, Tensor]] = {}

    @torch.no_grad()
    def codes(self, z: Tensor, labels: Tensor | None) -> Tensor:
        """Return w (B, style_dim) of codes (B, latent_dim or more), and their classes or texts."""
        z = self._moved(z[:, : self.generator.latent_dim])
        if isinstance(self._network, TextGenerator):
            z, labels = self._network.read(z, labels)
        if labels is not None and len(labels) < len(z):  # one class or text for all
            labels = labels.expand(len(z), *labels.shape[1:])
        return self.generator.styles(z, **label_kwargs(labels))

    def mean(self, labels: Tensor | None) -> Tensor:
        """Return the mean w of the class or text of each image, (B, style_dim).

        Without labels, B is 1. The labels are classes (B,) or texts (B, L).
        """
        return self._statistics(labels)[0]

    def spread(self, labels: Tensor | None) -> Tensor:
        """Return sigma = E[|w - mean|^2]^(1/2) for the class or text of each image, (B, 1)."""
        return self._statistics(labels)[1]

    def truncated(self, w: Tensor, labels: Tensor | None, psi: float | None) -> Tensor:
        """Return w (B, style_dim), moved to the mean of its class or text; psi None changes none.

        Args:
            w: Styles (B, style_dim).
            labels: Classes (B,) or texts (B, L), or None.
            psi: Factor of the distance to the mean, at least 0.
        """
        return w if psi is None else self.mean(labels).lerp(w, psi)

    @torch.no_grad()
    def images(self, codes: Tensor, labels: Tensor | None, psi: float) -> Tensor:
        """Return images (B, C, H, W) in [-1, 1] of truncated styles.

        Args:
            codes: Codes (B, latent_dim), and the numbers of the noise inputs behind them, if any.
            labels: Classes (B,) or texts (B, L), or None.
            psi: Factor of the distance to the mean, at least 0.
        """
        w = self.truncated(self.codes(codes, labels), labels, psi)
        noise = self.noise(codes)
        return self.generator.paint(w, None if noise is None else psi * noise).clamp(-1, 1)

    def noise(self, codes: Tensor) -> Tensor | None:
        """Return the noise inputs (B, num_noise) behind codes z; None if there are none."""
        start = self.generator.latent_dim
        noise = codes[:, start : start + self.generator.num_noise]
        return self._moved(noise) if noise.shape[1] > 0 else None

    def _statistics(self, labels: Tensor | None) -> tuple[Tensor, Tensor]:
        if labels is None:
            return self._of(None)
        each, places = labels.unique(dim=0, return_inverse=True)
        means, spreads = zip(*(self._of(label[None]) for label in each), strict=True)
        return torch.cat(means)[places], torch.cat(spreads)[places]

    def _of(self, label: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return the mean (1, style_dim) and the spread (1, 1) of a class (1,) or text (1, L)."""
        key = () if label is None else tuple(label.flatten().tolist())
        if key not in self._samples:
            generator = generator_for(0, "styles")
            z = torch.randn(NUM_CODES, self.generator.latent_dim, generator=generator)
            w = self.codes(z, label)
            mean = w.mean(0, keepdim=True)
            self._samples[key] = mean, (w - mean).square().sum(1).mean().sqrt()[None, None]
        return self._samples[key]

    def _moved(self, numbers: Tensor) -> Tensor:
        return numbers.to(self._weight.device, self._weight.dtype)


def _network(module: nn.Module) -> nn.Module | None:
    """Return the generator of a model that samples and scores use."""
    ema = getattr(module, "ema", None)
    return getattr(module, "generator", None) if ema is None else ema.network
