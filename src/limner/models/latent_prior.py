"""Second stage of an autoencoder: a density of its codes, from which images are drawn.

    max_p  E_x E_q(z|x)[log p(z)]

The first stage is a regularised autoencoder or a VAE. The code z of a regularised autoencoder is a
function of x; see section 4 of Ghosh et al. (2020), https://arxiv.org/abs/1903.12436. The codes of
a VAE may not follow its own prior; see Dai and Wipf (2019), https://arxiv.org/abs/1903.05789.
"""

__all__ = ["LatentPrior"]

from typing import Any

import lightning as L
import torch
from torch import Generator, Tensor, nn
from torch.optim import Optimizer

from limner.interfaces import Batch, OptimizerFactory, trait
from limner.models.conditions import drawn_labels, given_labels, labels_at
from limner.models.ema import best, evaluating, follow, freeze, make_ema
from limner.models.gradients import Gradients
from limner.models.lightning_internals import finish_update, report_evaluation
from limner.models.optimization import OptimizerStep, micro_batches
from limner.models.vae import VAE
from limner.models.variational import Prior
from limner.pixels import to_float
from limner.randomness import Noise

FITTED_AT_ONCE = 1000  # images per batch of the encoder


class LatentPrior(L.LightningModule):
    """Density p(z) of codes, trained by maximum likelihood.

    Gradients train the density, unless the density is a Gaussian mixture. A mixture is fitted by
    EM to the codes of all training images before the first update, which is the only update.

    Args:
        first_stage: Trained autoencoder, which stays fixed.
        prior: p(z), see `limner.networks.priors`.
        latent_dim: Size of z, equal to the first stage's.
        optimizer: Factory of the optimizer.
        gradients: Options of gradient accumulation and clipping.
        ema_half_life: Number of images after which an old weight counts half in the average that
            samples and scores use; None for no average.
    """

    batches_per_update = 1
    loss_functions = ("_loss",)

    def __init__(
        self,
        *,
        first_stage: nn.Module,
        prior: Prior,
        latent_dim: int,
        optimizer: OptimizerFactory,
        gradients: Gradients,
        ema_half_life: float | None,
    ) -> None:
        super().__init__()
        self.is_fitted = hasattr(prior, "set")
        if trait(prior, Prior, "uses_encoder") or not (
            self.is_fitted or any(True for _ in prior.parameters())
        ):
            raise ValueError(
                f"A {type(prior).__name__} cannot be learned from codes alone: choose "
                "model/prior=gaussian_mixture, flow or mixture."
            )
        self.automatic_optimization = False
        self.first_stage: VAE = freeze(first_stage)
        self.latent_dim, self.num_classes = latent_dim, first_stage.num_classes
        self.network = nn.ModuleDict({"prior": prior})
        self.optimizer, self.gradients = optimizer, gradients
        self.ema = None if self.is_fitted else make_ema(self.network, ema_half_life, ramp=None)
        self.noise = Noise()

    @staticmethod
    def facts(first_stage: nn.Module) -> dict[str, Any]:
        """Return the config values that the first stage determines.

        Raises:
            ValueError: If the first stage is not an autoencoder.
        """
        if not isinstance(first_stage, VAE):
            raise ValueError(
                "model=latent_prior learns the codes of a VAE or RAE, but this is a run of a "
                f"{type(first_stage).__name__}: choose a run of model=rae or vae "
                "(model=code_prior learns the codes of a VQ-VAE)."
            )
        return {"model.latent_dim": first_stage.latent_dim}

    def train(self, mode: bool = True) -> "LatentPrior":
        """Set the mode; the first stage stays in evaluation mode (see `CodePrior.train`)."""
        super().train(mode)
        self.first_stage.eval()
        return self

    def configure_optimizers(self) -> Optimizer | None:
        return None if self.is_fitted else self.optimizer(self.network.parameters())

    def sample_codes(self, num_codes: int, *, generator: Generator | None = None) -> Tensor:
        """Draw codes (num_codes, latent_dim) from p(z)."""
        with evaluating(best(self)) as network:
            return _density(network).sample(num_codes, generator=generator)

    def sample(
        self, num_images: int, *, generator: Generator | None = None, labels: Tensor | None = None
    ) -> Tensor:
        """Draw images (num_images, C, H, W) in [-1, 1], from codes of p(z).

        Args:
            num_images: Number of images.
            generator: Generator of all random numbers.
            labels: Classes int64 (num_images,) of a conditional first stage; None to draw them
                uniformly.
        """
        codes = self.sample_codes(num_images, generator=generator)
        if labels is None:
            labels = drawn_labels(self, num_images, generator=generator)
        return self.generate(codes, labels)

    def generate(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return the first stage's images (B, C, H, W) of codes (B, latent_dim)."""
        return self.first_stage.generate(z, labels)

    def encode(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return the first stage's mean codes (B, latent_dim) of images (B, C, H, W)."""
        return self.first_stage.encode(images, labels)

    def reconstruct(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return the first stage's reconstructions (B, C, H, W) of `images`."""
        return self.first_stage.reconstruct(images, labels)

    def on_train_start(self) -> None:
        if self.is_fitted and self.global_step == 0:
            self._fit()

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        images, labels = batch["image"], self._labels(batch)
        eps = self.noise.normal(images, self.latent_dim)
        if self.is_fitted:
            values = {"loss": self._loss(self.network, self._codes(images, labels, eps))}
            self.trainer.should_stop = True
        else:
            step = OptimizerStep(self, self.optimizers(use_pl_optimizer=False), self.gradients)
            for part in micro_batches(self.gradients, images, labels, eps):
                loss = self._loss(self.network, self._codes(*part))
                step.backward(loss, {"loss": loss})
            values = step.finish()
        follow(self, self.network)
        return finish_update(self, values)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        images = batch["image"]
        eps = torch.randn(len(images), self.latent_dim).to(images)
        loss = self._loss(best(self), self._codes(images, self._labels(batch), eps))
        report_evaluation(self, {"loss": loss}, num_images=len(images))

    test_step = validation_step

    def _labels(self, batch: Batch) -> Tensor | None:
        return given_labels(self, batch)

    def _codes(self, images: Tensor, labels: Tensor | None, eps: Tensor) -> Tensor:
        mean, logvar = self.first_stage.posterior(images, labels)
        is_drawn = self.first_stage.objective.is_variational
        return mean + torch.exp(logvar / 2) * eps if is_drawn else mean

    def _loss(self, network: nn.ModuleDict, codes: Tensor) -> Tensor:
        """Return -log p of codes (B, latent_dim) in nats, averaged over images."""
        return -_density(network).log_prob(codes).mean()

    def _fit(self) -> None:
        """Fit the mixture by EM from k-means, on one code of each training image.

        The result is the same in every process.
        """
        from sklearn import mixture  # this import takes a second, and few runs need it

        store, indices = self.trainer.datamodule.split("train")
        generator, codes = torch.Generator().manual_seed(0), []
        for part in indices.split(FITTED_AT_ONCE):
            images = to_float(store.gather(part)).to(self.device)
            labels = labels_at(self, store, part)
            labels = None if labels is None else labels.to(self.device)
            eps = torch.randn(len(part), self.latent_dim, generator=generator).to(images)
            codes.append(self._codes(images, labels, eps).cpu())
        prior = self.network["prior"]
        fit = mixture.GaussianMixture(len(prior.means), random_state=0)
        fit.fit(torch.cat(codes).double().numpy())
        found = {"weights": fit.weights_, "means": fit.means_, "covariances": fit.covariances_}
        prior.set(**{name: torch.as_tensor(value).float() for name, value in found.items()})


def _density(network: nn.ModuleDict) -> Any:
    return network["prior"].given(None)
