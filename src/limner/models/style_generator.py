"""Protocol of generators whose layers read styles, such as StyleGAN2's."""

__all__ = ["StyleGenerator"]

from typing import Protocol, runtime_checkable

from torch import Tensor


@runtime_checkable
class StyleGenerator(Protocol):
    """A generator whose layers read styles w: images = paint(styles(z)), as in StyleGAN2.

    Its codes are z (B, latent_dim), or z with `num_draws` further numbers from N(0, 1) behind it.
    With z alone, the noise inputs are 0 and no styles are mixed. With a text, `labels` are codes.
    """

    latent_dim: int
    num_draws: int = 0
    """Number of further random numbers per image: noise inputs, and mixing in training."""
    num_noise: int
    """Number of noise inputs per image, the first of the further numbers."""
    num_styles: int
    """Number of styles that an image has, from the coarsest layer to the finest."""

    def styles(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return w (B, style_dim) of z (B, latent_dim): the mapping network."""

    def paint(self, w: Tensor, noise: Tensor | None = None) -> Tensor:
        """Return images (B, C, H, W), about in [-1, 1], of styles.

        Args:
            w: Styles (B, style_dim), or of each layer (B, num_styles, style_dim).
            noise: Noise inputs (B, num_noise); None for zeros.
        """

    def modulations(self) -> list[Tensor]:
        """Return the weight (channels, style_dim) of the linear layer that reads each style."""

    def __call__(self, codes: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return images (B, C, H, W) of codes (B, latent_dim or latent_dim + num_draws)."""
