"""VAE-GAN, Larsen et al. (2016), https://arxiv.org/abs/1512.09300.

A VAE whose decoder is the generator G of a GAN. The reconstruction error is measured in the
features f of the discriminator D (section 2.3, equations 5 to 9):

    encoder    KL(q(z | x) || N(0, I)) + ||f(x) - f(G(z))||^2 / 2
    G          reconstruction_weight ||f(x) - f(G(z))||^2 / 2 + adversarial loss of G(z) and G(u)
    D          adversarial loss of x against G(z) and against G(u)

where z is from q(z | x) and u from N(0, I).
"""

__all__ = ["VAEGAN", "separate_losses"]

from collections.abc import Sequence

import lightning as L
import torch
from torch import Generator, Tensor, nn
from torch.optim import Optimizer

from limner.interfaces import AdversarialLoss, Batch, OptimizerFactory, trait
from limner.losses.kl import kl_standard_normal
from limner.models.adversarial_checks import is_relativistic
from limner.models.ema import best, evaluating, follow, make_ema
from limner.models.gradients import Gradients
from limner.models.lightning_internals import finish_update, report_evaluation
from limner.models.optimization import OptimizerStep, micro_batches
from limner.randomness import Noise


class VAEGAN(L.LightningModule):
    """VAE-GAN: an encoder, a generator and a discriminator. In each update, D steps first.

    Args:
        encoder: Network from images (B, C, H, W) to mean and logvar, each (B, latent_dim).
        generator: Network from codes (B, latent_dim) to images (B, C, H, W) in [-1, 1].
        discriminator: Network from images to logits (B,), large for real images. Its method
            `features` returns the features f.
        loss: Adversarial loss.
        latent_dim: Size of a code.
        kl_weight: Factor of the KL term, at least 0.
        reconstruction_weight: Factor of the reconstruction error in G's loss, at least 0.
        optimizer: Factory of two optimizers: one for encoder and G, and one for D.
        discriminator_lr: Learning rate of D; None for the optimizer's learning rate.
        gradients: Options of gradient accumulation and clipping, for each optimizer.
        ema_half_life: Number of images after which an old weight of encoder and G counts half in
            the average that samples and scores use; None for no average.
    """

    batches_per_update = 1
    loss_functions = ("_discriminator_losses", "_autoencoder_losses")
    num_classes = None

    def __init__(
        self,
        *,
        encoder: nn.Module,
        generator: nn.Module,
        discriminator: nn.Module,
        loss: AdversarialLoss,
        latent_dim: int,
        kl_weight: float,
        reconstruction_weight: float,
        optimizer: OptimizerFactory,
        discriminator_lr: float | None,
        gradients: Gradients,
        ema_half_life: float | None,
    ) -> None:
        if trait(loss, AdversarialLoss, "needs_lipschitz") or is_relativistic(loss):
            raise ValueError(
                f"model/loss={type(loss).__name__.lower()} needs a penalty, but a VAE-GAN has "
                "none: choose minimax, non_saturating, least_squares or hinge."
            )
        for name, weight in (("kl", kl_weight), ("reconstruction", reconstruction_weight)):
            if weight < 0:
                raise ValueError(f"model.{name}_weight={weight}: must be 0 or more.")
        super().__init__()
        self.automatic_optimization = False
        self.network = nn.ModuleDict({"encoder": encoder, "generator": generator})
        self.discriminator, self.loss, self.latent_dim = discriminator, loss, latent_dim
        self.kl_weight, self.reconstruction_weight = kl_weight, reconstruction_weight
        self.optimizer, self.discriminator_lr = optimizer, discriminator_lr
        self.gradients = gradients
        self.ema = make_ema(self.network, ema_half_life, ramp=None)
        self.noise = Noise()

    def configure_optimizers(self) -> tuple[Optimizer, Optimizer]:
        own_lr = {} if self.discriminator_lr is None else {"lr": self.discriminator_lr}
        return (
            self.optimizer(self.network.parameters()),
            self.optimizer(self.discriminator.parameters(), **own_lr),
        )

    def sample(
        self, num_images: int, *, generator: Generator | None = None, labels: Tensor | None = None
    ) -> Tensor:
        """Return images (num_images, C, H, W) in [-1, 1] of codes from N(0, I)."""
        return self.generate(torch.randn(num_images, self.latent_dim, generator=generator))

    def generate(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return images (B, C, H, W) in [-1, 1] of codes (B, latent_dim), with the EMA weights."""
        with evaluating(best(self)) as network:
            return network["generator"](z.to(self.device, self.dtype))

    def posterior(self, images: Tensor, labels: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return mean and log-variance (B, latent_dim) of q(z | x) for images (B, C, H, W)."""
        with evaluating(best(self)) as network:
            return network["encoder"](images.to(self.device, self.dtype))

    def encode(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return mean codes (B, latent_dim) of images (B, C, H, W) in [-1, 1]."""
        return self.posterior(images)[0]

    def reconstruct(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return the images (B, C, H, W) of the mean codes of `images`."""
        return self.generate(self.encode(images))

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        images = batch["image"]
        eps, u = self.noise.normal(images, 2, self.latent_dim).unbind(1)
        parts = micro_batches(self.gradients, images, eps, u)
        for_autoencoder, for_discriminator = self.optimizers(use_pl_optimizer=False)
        self.discriminator.requires_grad_(True)
        step = OptimizerStep(self, for_discriminator, self.gradients)
        for part in parts:
            losses = self._discriminator_losses(*part)
            step.backward(losses["loss_discriminator"], losses)
        values = step.finish()
        self.discriminator.requires_grad_(False)
        step = OptimizerStep(self, for_autoencoder, self.gradients)
        for part in parts:
            total, losses = self._autoencoder_losses(*part)
            step.backward(total, losses)
        values |= step.finish()
        follow(self, self.network)
        return finish_update(self, values)

    def _discriminator_losses(self, images: Tensor, eps: Tensor, u: Tensor) -> dict[str, Tensor]:
        with torch.no_grad():
            mean, logvar = self.network["encoder"](images)
            made = [self.network["generator"](z) for z in (_codes(mean, logvar, eps), u)]
        real, *fakes = self.discriminator(torch.cat([images, *made])).chunk(3)
        loss = torch.stack([self.loss.discriminator(real, fake) for fake in fakes]).mean()
        logits = {"logits_real": real.mean(), "logits_fake": torch.cat(fakes).mean()}
        return {"loss_discriminator": loss, **logits}

    def _autoencoder_losses(
        self, images: Tensor, eps: Tensor, u: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the scalar of `separate_losses`, and the losses by name."""
        mean, logvar = self.network["encoder"](images)
        made = [self.network["generator"](z) for z in (_codes(mean, logvar, eps), u)]
        kl = kl_standard_normal(mean, logvar).mean()
        reconstruction = self._distance(images, made[0])
        losses = [self.loss.generator(None, self.discriminator(fake)) for fake in made]
        adversarial = torch.stack(losses).mean()
        for_encoder = self.kl_weight * kl + reconstruction
        for_generator = self.reconstruction_weight * reconstruction + adversarial
        total = separate_losses(
            [(for_encoder, self.network["encoder"]), (for_generator, self.network["generator"])]
        )
        named = {"loss_generator": adversarial, "reconstruction": reconstruction, "kl": kl}
        return total, named

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        images = batch["image"]
        mean, logvar = best(self)["encoder"](images)
        kl = kl_standard_normal(mean, logvar).mean()
        reconstruction = self._distance(images, best(self)["generator"](mean))
        losses = {"kl": kl, "reconstruction": reconstruction}
        report_evaluation(self, losses, num_images=len(images))

    test_step = validation_step

    def _distance(self, images: Tensor, made: Tensor) -> Tensor:
        """Return half the squared distance in the features of D, averaged over the batch."""
        features, others = (self.discriminator.features(x) for x in (images, made))
        return 0.5 * (features - others).square().flatten(1).sum(1).mean()


def _codes(mean: Tensor, logvar: Tensor, eps: Tensor) -> Tensor:
    return mean + torch.exp(logvar / 2) * eps


def separate_losses(losses: Sequence[tuple[Tensor, nn.Module]]) -> Tensor:
    """Return a scalar whose gradient by each network is the gradient of that network's own loss.

    The gradients g of the weights w are found first; the scalar is sum(w g). DDP takes part in one
    backward pass by all weights in its graph, so networks that minimise different losses need one
    scalar together (tests/callbacks/test_automatic_optimization.py, case vaegan).

    Args:
        losses: Pairs of a loss () and the network that minimises this loss, and no other.
    """
    products = []
    for loss, network in losses:
        weights = list(network.parameters())
        gradients = torch.autograd.grad(loss, weights, retain_graph=True)
        products += [(w * g).sum() for w, g in zip(weights, gradients, strict=True)]
    return torch.stack(products).sum()
