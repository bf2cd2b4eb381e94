"""The players of a GAN that read texts: an encoder of texts before networks that read codes.

    G(z, text) = G(z, e(text))     D(x, text) = psi(phi(x)) + e(text)^T V phi(x)

Both networks are conditional networks (`limner.networks.conditions`) that get the code e(text) in
the place of a class. They share one encoder e. It belongs to D: D's optimizer trains it, by D's
losses, and G reads codes without their gradient. Otherwise G could move the codes instead of the
images. `limner.losses.matching` defines the losses that only texts have.
"""

__all__ = ["TextDiscriminator", "TextGenerator", "own_weights", "with_texts"]

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import Parameter

from limner.interfaces import AuxiliaryLoss, trait
from limner.losses.kl import kl_standard_normal
from limner.losses.matching import Matched
from limner.models.style_generator import StyleGenerator


class TextGenerator(nn.Module):
    """Generator from z (B, latent_dim) and texts int64 (B, L) to images (B, C, H, W).

    With conditioning augmentation the network reads a code drawn from N(mean(e), var(e)), where
    the first code_dim numbers of z draw the code; the network reads zeros in their place.

    Args:
        network: Generator from z and codes of texts (B, code_dim) to images.
        encoder: Encoder from texts to codes; G's losses do not reach it.
        augmentation_weight: Factor of the KL from N(mean, var) to N(0, I) in G's loss, above 0;
            None for no conditioning augmentation. Zhang et al. (2017), section 3.2,
            https://arxiv.org/abs/1612.03242
    """

    def __init__(
        self, network: nn.Module, encoder: nn.Module, *, augmentation_weight: float | None
    ) -> None:
        super().__init__()
        self.network, self.encoder, self.weight = network, encoder, augmentation_weight
        if augmentation_weight is not None:
            self.gaussian = nn.Linear(encoder.code_dim, 2 * encoder.code_dim)

    @property
    def num_draws(self) -> int:
        """Number of random numbers behind z, see `StyleGenerator`."""
        return trait(self.network, StyleGenerator, "num_draws")

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        """Return images (B, C, H, W) in [-1, 1]."""
        z, codes = self.read(z, labels)
        return self.network(z, labels=codes)

    def read(self, z: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return what the network reads: codes z (B, latent_dim), and codes of the texts.

        One text may stand for all z. Without conditioning augmentation, it has one code.
        """
        codes = self.encoder(labels).detach()
        if self.weight is not None:
            mean, logvar = self.gaussian(codes).chunk(2, dim=1)
            eps = z[:, : self.encoder.code_dim]
            codes = mean + (logvar / 2).exp() * eps
            z = torch.cat([torch.zeros_like(eps), z[:, eps.shape[1] :]], dim=1)
        return z, codes

    def losses(self, labels: Tensor) -> dict[str, Tensor]:
        """Return further losses () of G by name, for texts int64 (B, L)."""
        if self.weight is None:
            return {}
        mean, logvar = self.gaussian(self.encoder(labels).detach()).chunk(2, dim=1)
        return {"augmentation_generator": self.weight * kl_standard_normal(mean, logvar).mean()}


class TextDiscriminator(nn.Module):
    """Discriminator of images (B, C, H, W) with texts int64 (B, L).

    Args:
        network: Discriminator with the condition "projection". It has the methods
            `features(images)` and `classify(features, labels)`.
        encoder: Encoder from texts to codes (B, code_dim).
        num_features: Size of the features.
    """

    def __init__(self, network: nn.Module, encoder: nn.Module, *, num_features: int) -> None:
        super().__init__()
        self.network, self.encoder = network, encoder
        self.image_code = nn.Linear(num_features, encoder.code_dim)

    def forward(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Matched]:
        """Return logits (B,), and what the matching losses read."""
        features, codes = self.network.features(images), self.encoder(labels)
        logits = self.network.classify(features, codes)
        wrong_logits = self.network.classify(features, codes.roll(1, 0))
        return logits, Matched(logits, wrong_logits, self.image_code(features), codes)


def with_texts(
    encoder: nn.Module | None,
    generator: nn.Module,
    discriminator: nn.Module,
    *,
    auxiliary: AuxiliaryLoss | None,
    latent_dim: int,
) -> tuple[nn.Module, nn.Module]:
    """Return both players behind an encoder of texts, or as they are if there is none.

    Raises:
        ValueError: If the discriminator cannot read the codes of texts, or z has too few numbers
            for conditioning augmentation.
    """
    if encoder is None:
        return generator, discriminator
    name, head = type(discriminator).__name__, getattr(discriminator, "classify", None)
    if not hasattr(discriminator, "features") or not isinstance(head, nn.Linear):
        raise ValueError(
            "model/condition=text needs a discriminator with features(images) and a last layer "
            f"`classify`;\n{name} has none: choose network=dcgan, mlp, resnet, resnet_large, "
            "stylegan2 or r3gan."
        )
    if getattr(head, "condition", "projection") != "projection":
        raise ValueError(
            f"network.discriminator_condition={head.condition}: a discriminator of texts needs "
            "projection\n(model/condition=text)."
        )
    augmentation_weight = getattr(auxiliary, "augmentation_weight", None)
    if augmentation_weight is not None and not latent_dim > encoder.code_dim:
        raise ValueError(
            f"model.latent_dim={latent_dim}: conditioning augmentation draws a code from the "
            f"first numbers of z,\nso it must be above model.text.code_dim={encoder.code_dim}."
        )
    discriminator = TextDiscriminator(discriminator, encoder, num_features=head.in_features)
    generator = TextGenerator(generator, encoder, augmentation_weight=augmentation_weight)
    return generator, discriminator


def own_weights(generator: nn.Module) -> Iterator[Parameter]:
    """Return the weights that G's losses train: all except the encoder of texts."""
    is_text = isinstance(generator, TextGenerator)
    for name, weight in generator.named_parameters():
        if not (is_text and name.startswith("encoder.")):
            yield weight
