"""Variational autoencoder of sequences of frames, with one code for each sequence.

    p(frames, z) = p(z) prod_t p(frame_t | z)        q(z | frames) = N(mean, exp(logvar))

It is the VAE of Kingma and Welling (2014), https://arxiv.org/abs/1312.6114, whose images are
sequences (B, T, C, H, W) and whose networks are recurrent, see `limner.networks.recurrent`. So it
has the same likelihoods, priors, bounds of log p and pictures of codes.
"""

__all__ = ["SequenceVAE"]

from torch import Tensor, nn

from limner.interfaces import Batch, OptimizerFactory, Schedule, label_kwargs, trait
from limner.models.ema import best, evaluating
from limner.models.gradients import Gradients
from limner.models.vae import VAE
from limner.models.variational import Likelihood, Objective, Prior


class SequenceVAE(VAE):
    """VAE of sequences of frames, with one code for each sequence.

    Args:
        encoder: Network from frames (B, T, C, H, W), and labels if conditional, to mean and
            logvar (B, latent_dim).
        decoder: Network from codes (B, latent_dim), and labels if conditional, to the parameters
            (B, T, C * params_per_value, H, W) of the likelihood. Its keyword `num_frames` replaces
            the length T of training.
        likelihood: Distribution of frames given those parameters, without a distance of images.
        prior: Distribution of the codes, without pseudo-inputs.
        objective: Objective to minimise, in nats per sequence.
        latent_dim: Size of a code.
        num_frames: Length T of a sequence in training, at least 1.
        kl_weight: See `VAE`, as for the other arguments.
        kl_schedule: See `VAE`.
        num_classes: See `VAE`.
        text: See `VAE`.
        optimizer: See `VAE`.
        gradients: See `VAE`.
        ema_half_life: Number of sequences, see `VAE`.

    Raises:
        ValueError: If a part reads single images.
    """

    reads_frames = True

    def __init__(
        self,
        *,
        encoder: nn.Module,
        decoder: nn.Module,
        likelihood: Likelihood,
        prior: Prior,
        objective: Objective,
        latent_dim: int,
        num_frames: int,
        kl_weight: float,
        kl_schedule: Schedule | None,
        num_classes: int | None,
        text: nn.Module | None,
        optimizer: OptimizerFactory,
        gradients: Gradients,
        ema_half_life: float | None,
    ) -> None:
        _refuse_parts_of_images(decoder, likelihood, prior)
        super().__init__(
            encoder=encoder, decoder=decoder, likelihood=likelihood, prior=prior,
            objective=objective, latent_dim=latent_dim, kl_weight=kl_weight,
            kl_schedule=kl_schedule, num_classes=num_classes, text=text,
            optimizer=optimizer, gradients=gradients, ema_half_life=ema_half_life,
        )  # fmt: skip
        self.num_frames = num_frames

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
            given = label_kwargs(self._condition(network, labels))
            params = network["decoder"](z, **given, num_frames=num_frames)
            return network["likelihood"].mean(params)

    def _images(self, batch: Batch) -> Tensor:
        return batch["frames"]


def _refuse_parts_of_images(decoder: nn.Module, likelihood: Likelihood, prior: Prior) -> None:
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
