"""The players of a GAN that read texts: an encoder of texts before networks that read codes.

    G(z, text) = G(z, e(text))     D(x, text) = psi(phi(x)) + e(text)^T V phi(x)

Both networks are conditional networks (`limner.networks.conditions`) that get the code e(text) in
the place of a class. They share one encoder e. It belongs to D: D's optimizer trains it, by D's
losses, and G reads codes without their gradient. Otherwise G could move the codes instead of the
images. `limner.losses.matching` defines the losses that only texts have.
"""

__all__ = ["TextDiscriminator", "TextGenerator", "own_weights", "with_texts"]

from collections.abc import Iterator

from torch import Tensor, nn
from torch.nn import Parameter

from limner.losses.matching import Matched


class TextGenerator(nn.Module):
    """Generator from z (B, latent_dim) and texts int64 (B, L) to images (B, C, H, W).

    Args:
        network: Generator from z and codes of texts (B, code_dim) to images.
        encoder: Encoder from texts to codes; G's losses do not reach it.
    """

    def __init__(self, network: nn.Module, encoder: nn.Module) -> None:
        super().__init__()
        self.network, self.encoder = network, encoder

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        """Return images (B, C, H, W) in [-1, 1]."""
        return self.network(z, labels=self.encoder(labels).detach())


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
    encoder: nn.Module | None, generator: nn.Module, discriminator: nn.Module
) -> tuple[nn.Module, nn.Module]:
    """Return both players behind an encoder of texts, or as they are if there is none.

    Raises:
        ValueError: If the discriminator cannot read the codes of texts.
    """
    if encoder is None:
        return generator, discriminator
    name, head = type(discriminator).__name__, getattr(discriminator, "classify", None)
    if not hasattr(discriminator, "features") or not isinstance(head, nn.Linear):
        raise ValueError(
            f"model/condition=text needs a discriminator with features(images) and a last layer "
            f"`classify`;\n{name} has none: choose network=dcgan, mlp, resnet or resnet_large."
        )
    if getattr(head, "condition", "projection") != "projection":
        raise ValueError(
            f"network.discriminator_condition={head.condition}: a discriminator of texts needs "
            "projection."
        )
    discriminator = TextDiscriminator(discriminator, encoder, num_features=head.in_features)
    return TextGenerator(generator, encoder), discriminator


def own_weights(generator: nn.Module) -> Iterator[Parameter]:
    """Return the weights that G's losses train: all but those of an encoder of texts."""
    if isinstance(generator, TextGenerator):
        return generator.network.parameters()
    return generator.parameters()
