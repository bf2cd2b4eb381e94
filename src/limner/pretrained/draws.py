"""Codes that a trained model draws, and images of codes, in batches of one size.

Image i of a seed does not depend on the number of images, since batches have one size.
"""

__all__ = ["BATCH", "Draws"]

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from limner.interfaces import DrawsCodes, Generates, label_kwargs
from limner.models.conditions import drawn_labels
from limner.pretrained.style_space import StyleSpace, style_generator
from limner.randomness import generator_for

BATCH = 64
"""Number of images in a batch."""


class Draws:
    """Codes and images of a trained model.

    Args:
        module: Model in evaluation mode, on its device.
    """

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self.styles = None if style_generator(module) is None else StyleSpace(module)

    def codes(self, seed: int, block: int) -> tuple[Tensor, Tensor | None]:
        """Return the codes of a batch, and their classes or texts, as the model's `sample` does.

        Returns:
            Codes (BATCH, latent_dim) on the CPU, with further numbers behind them if the generator
            of a GAN reads some; and labels on the CPU, None for an unconditional model.
        """
        generator = generator_for(seed, "samples", block)
        if isinstance(self.module, DrawsCodes):
            codes = self.module.sample_codes(BATCH, generator=generator).cpu()
        else:
            num_normal = getattr(self.module, "num_normal", self.module.latent_dim)  # of a GAN
            codes = torch.randn(BATCH, num_normal, generator=generator)
        return codes, drawn_labels(self.module, BATCH, generator=generator)

    def latents(self, num_images: int, seed: int) -> Tensor:
        """Return the codes (num_images, latent_dim) of the images of a seed, without noise."""
        blocks = [self.codes(seed, block)[0] for block in range(-(-num_images // BATCH))]
        return torch.cat(blocks)[:num_images, : self.module.latent_dim]

    def images(
        self, codes: Tensor, labels: Tensor | None = None, *, truncation: float | None
    ) -> Tensor:
        """Return images (B, C, H, W) in [-1, 1] of codes and their labels, on the model's device.

        Args:
            codes: Codes (B, latent_dim), or with further numbers as in `codes`.
            labels: Classes (B,) or texts (B, L), or None.
            truncation: Factor of the codes, or of the styles of a style generator, see
                `limner.pretrained.style_space`; None for 1.
        """
        if truncation is not None and self.styles is not None:
            return self.styles.images(codes, labels, truncation)
        codes = codes if truncation is None else truncation * codes
        return self.module.generate(codes, **label_kwargs(labels))

    def batches(
        self, num_images: int, seed: int, labels: Tensor | None, truncation: float | None
    ) -> Iterator[Tensor]:
        """Yield batches of images (B, C, H, W) in [-1, 1] of a seed; draw labels that are None."""
        device = next(self.module.parameters()).device
        for block, start in enumerate(range(0, num_images, BATCH)):
            size = min(BATCH, num_images - start)
            given = None if labels is None else labels[start : start + size]
            if isinstance(self.module, Generates):
                codes, drawn = self.codes(seed, block)
                if given is None and drawn is not None:
                    given = drawn[:size].to(device)
                yield self.images(codes[:size].to(device), given, truncation=truncation)
            else:
                generator = generator_for(seed, "samples", block)
                yield self.module.sample(size, generator=generator, **label_kwargs(given))
