"""Variational autoencoder of sequences of frames, with one code for each sequence.

    p(frames, z) = p(z) prod_t p(frame_t | z)        q(z | frames) = N(mean, exp(logvar))

It is the VAE of Kingma and Welling (2014), https://arxiv.org/abs/1312.6114, whose images are
sequences (B, T, C, H, W) and whose networks are recurrent, see `limner.networks.recurrent`. So it
has the same likelihoods, priors, bounds of log p and pictures of codes.
"""

__all__ = ["SequenceVAE"]

from torch import Tensor, nn

from limner.interfaces import Batch, label_kwargs, trait
from limner.models.ema import best, evaluating
from limner.models.vae import VAE
from limner.models.variational import Likelihood, Prior


class SequenceVAE(VAE):
    """VAE of sequences: the arguments are the arguments of `VAE`, whose images are sequences.

    `encoder` maps frames (B, T, C, H, W) to mean and logvar (B, latent_dim), `decoder` maps codes
    to the parameters (B, T, C * params_per_value, H, W) of the likelihood. The decoder has an
    attribute `num_frames`, the length T, and a keyword of this name for another length.

    Raises:
        ValueError: If a part reads single images.
    """

    reads_frames = True

    def generate(
        self, z: Tensor, labels: Tensor | None = None, *, num_frames: int | None = None
    ) -> Tensor:
        """Return expected frames (B, T, C, H, W) in [-1, 1] of codes (B, latent_dim).

        The EMA weights are used if there are any.

        Args:
            z: Codes (B, latent_dim).
            labels: Classes int64 (B,) of a conditional model.
            num_frames: Number T of frames, at least 1; None for the length of training.
        """
        with evaluating(best(self)) as network:
            z = z.to(self.device, self.dtype)
            given = label_kwargs(self._placed(labels))
            params = network["decoder"](z, **given, num_frames=num_frames)
            return network["likelihood"].mean(params)

    @staticmethod
    def _check_kind(decoder: nn.Module, likelihood: Likelihood, prior: Prior) -> None:
        """Raise ValueError for a part that reads single images."""
        if not hasattr(decoder, "num_frames"):
            raise ValueError(
                "model=sequence_vae draws sequences, and the chosen network draws single images:\n"
                "choose network=recurrent."
            )
        if not getattr(likelihood, "is_normalised", True):
            raise ValueError(
                f"{type(likelihood).__name__} compares single images, and model=sequence_vae\n"
                "draws sequences: choose model/likelihood=gaussian, bernoulli, learned_gaussian,\n"
                "optimal_gaussian or logistic."
            )
        if trait(prior, Prior, "uses_encoder"):
            raise ValueError(
                f"The pseudo-inputs of {type(prior).__name__} are single images, and\n"
                "model=sequence_vae reads sequences: choose another model/prior, such as flow."
            )

    def _images(self, batch: Batch) -> Tensor:
        return batch["frames"]
