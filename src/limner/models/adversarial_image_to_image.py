"""Image-to-image model with a discriminator: pix2pix and SRGAN.

    network N: sum_k weight_k loss_k(N(x), y) + adversarial_weight loss(D(T(N(x)), x))
    D:         loss(D(T(y), x), D(T(N(x)), x)) + penalties

In each update the network takes a step, and then D takes a step on the outputs of that step. D
sees the input x beside the image (pix2pix), or does not (SRGAN). T is the augmentation, if there
is one; it changes the input as it changes the image beside it.

pix2pix: Isola et al. (2017), https://arxiv.org/abs/1611.07004.
SRGAN: Ledig et al. (2017), https://arxiv.org/abs/1609.04802.
"""

__all__ = ["AdversarialImageToImage"]

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate
from torch.optim import Optimizer

from limner.errors import UserError
from limner.interfaces import AdversarialLoss, Augmentation, Batch, OptimizerFactory
from limner.losses.penalty import Penalties, Weighted
from limner.models.adversarial import AdversarialObjective, Inputs, PlayerLosses
from limner.models.adversarial_checks import (
    is_relativistic,
    load_pretrained,
    num_draws_of,
    observe_logits,
)
from limner.models.ema import follow
from limner.models.gradients import Gradients
from limner.models.image_to_image import ImageToImage, PairLoss, joined, readable_pairs
from limner.models.lightning_internals import finish_update
from limner.models.optimization import OptimizerStep, micro_batches
from limner.randomness import Noise

RESERVED = ("adversarial", "discriminator")
"""Names NAME of losses `loss_NAME` that this class reports itself."""


class Draws(NamedTuple):
    """Random numbers of an update, each (B, num_draws)."""

    for_real: Tensor
    """Numbers to augment the targets with, in D's step."""
    for_fake: Tensor
    """Numbers to augment the outputs with, in D's step."""
    for_network: Tensor
    """Numbers to augment the outputs with, and the targets of a relativistic loss, in N's step."""
    for_penalty: Tensor
    """Numbers of the penalties."""


class AdversarialImageToImage(ImageToImage):
    """Model that changes images, with losses of pairs and a discriminator.

    A pair that is not finite is left out of the network's step, as in `ImageToImage`. In D's step
    another pair takes its place.

    Args:
        discriminator: Network from images (B, C, H, W), or images and inputs (B, C + C_in, H, W),
            to logits (B,), or (B, K) of K patches, whose losses are averaged. Smaller inputs are
            enlarged to the size of the images.
        loss: Adversarial loss of both players.
        penalty: Penalties of D by name; None for no penalty.
        augmentation: Change of all images that D sees; None for no change.
        adversarial_weight: Factor of the adversarial loss in the network's sum, at least 0.
        discriminator_sees_input: Whether D sees the input beside the image.
        discriminator_lr: Learning rate of D; None for the optimizer's learning rate.
        initial_weights: Run from whose network a new run starts, read by
            `limner.pretrained.initial_weights`; None for random weights.
        network: Network, see `ImageToImage`, as are the other arguments.
    """

    loss_functions = ("_output", "_losses", "objective.losses_of_pairs")

    def __init__(
        self,
        *,
        network: nn.Module,
        discriminator: nn.Module,
        losses: Mapping[str, PairLoss],
        loss: AdversarialLoss,
        penalty: Mapping[str, Weighted] | None,
        augmentation: Augmentation | None,
        adversarial_weight: float,
        discriminator_sees_input: bool,
        scale: int,
        optimizer: OptimizerFactory,
        discriminator_lr: float | None,
        gradients: Gradients,
        ema_half_life: float | None,
        initial_weights: str | None,
    ) -> None:
        if not 0 <= adversarial_weight < float("inf"):
            raise ValueError(f"model.adversarial_weight={adversarial_weight}: must be 0 or more.")
        for name in RESERVED:
            if name in losses:
                raise ValueError(f"model.losses.{name}: this name is taken; choose another name.")
        super().__init__(
            network=network, losses=losses, scale=scale, optimizer=optimizer, gradients=gradients,
            ema_half_life=ema_half_life,
        )  # fmt: skip
        self.discriminator, self.augmentation = discriminator, augmentation
        self.penalty = Penalties(penalty)
        self.objective = AdversarialObjective(
            network, discriminator, loss, None, self.penalty, augmentation
        )
        self.adversarial_weight, self.discriminator_lr = adversarial_weight, discriminator_lr
        self.discriminator_sees_input = discriminator_sees_input
        self.initial_weights = initial_weights
        self.noise = Noise()

    def setup(self, stage: str) -> None:
        super().setup(stage)
        load_pretrained(self.discriminator)
        shape = getattr(self.trainer.datamodule, "input_shape", None)
        if self.augmentation is not None and self.discriminator_sees_input and shape is not None:
            self._check_augmentation(shape[0])

    def configure_optimizers(self) -> tuple[Optimizer, Optimizer]:
        own_lr = {} if self.discriminator_lr is None else {"lr": self.discriminator_lr}
        return (
            self.optimizer(self.network.parameters()),
            self.optimizer(self.discriminator.parameters(), **own_lr),
        )

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        inputs, targets = joined(batch["input"], batch.get("mask")), batch["image"]
        optimizer, of_discriminator = self.optimizers(use_pl_optimizer=False)
        draws = self._draw(targets)
        self.discriminator.requires_grad_(False)
        values, outputs = self._network_step(optimizer, inputs, targets, inputs, draws.for_network)
        self.discriminator.requires_grad_(True)
        values |= self._discriminator_step(of_discriminator, inputs, targets, outputs, draws)
        follow(self, self.network)
        return finish_update(self, values)

    def _discriminator_step(
        self,
        optimizer: Optimizer,
        inputs: Tensor,
        targets: Tensor,
        outputs: Tensor,
        draws: Draws,
    ) -> dict[str, Tensor]:
        step = self.global_step
        kept, inputs, targets = readable_pairs(inputs, targets)
        places = torch.arange(len(kept), device=kept.device)
        places = torch.where(kept, places, kept.long().argmax())  # the first pair that is finite
        columns = (each[places] for each in (inputs, targets, outputs.to(targets.dtype)))
        factors = self.penalty.factors(step=step, update=step)
        optimizer_step, logits = OptimizerStep(self, optimizer, self.gradients), []
        for part in micro_batches(
            self.gradients, *columns, draws.for_real, draws.for_fake, draws.for_penalty
        ):
            losses = self._discriminator_losses(*part, factors)
            optimizer_step.backward(sum(losses.means.values()), losses.means)
            logits.append(losses.logits.detach())
        values = optimizer_step.finish(norm_name="gradient_norm_discriminator")
        return values | observe_logits(self.objective, torch.cat(logits), step)

    def _losses(self, output: Tensor, target: Tensor, *shown: Tensor) -> dict[str, Tensor]:
        """Return the sum `loss` of the losses, and each loss as `loss_NAME`, (B,).

        Args:
            output: Outputs (B, C, H, W).
            target: Targets (B, C, H, W).
            shown: In training, the inputs that D may see, and random numbers for the
                augmentation. Without them there is no adversarial loss.
        """
        losses = super()._losses(output, target)
        if not shown:
            return losses
        judge, loss, real = self.discriminator, self.objective.loss, None
        if is_relativistic(loss):
            real = judge(self._shown(target, *shown))
        values = loss.generator(real, judge(self._shown(output, *shown)))
        adversarial = values.reshape(len(output), -1).mean(1)  # over the patches
        losses["loss"] = losses["loss"] + self.adversarial_weight * adversarial
        return losses | {"loss_adversarial": adversarial}

    def _discriminator_losses(
        self,
        inputs: Tensor,
        targets: Tensor,
        outputs: Tensor,
        for_real: Tensor,
        for_fake: Tensor,
        for_penalty: Tensor,
        factors: dict[str, float],
    ) -> PlayerLosses:
        real = self._shown(targets, inputs, for_real)
        fake = self._shown(outputs, inputs, for_fake)
        if len(self.penalty) > 0:
            real, fake = (images.detach().requires_grad_() for images in (real, fake))
        given = Inputs(targets, None, inputs, for_real, for_fake, for_penalty)
        return self.objective.losses_of_pairs(real, fake, given, factors)

    def _shown(self, images: Tensor, inputs: Tensor, uniform: Tensor) -> Tensor:
        """Return what D sees of images (B, C, H, W), and of their inputs (B, C_in, h, w)."""
        seen = [images]
        if self.discriminator_sees_input:
            size = images.shape[2:]
            same = inputs.shape[2:] == size
            seen += [inputs if same else interpolate(inputs, size, mode="bilinear")]
        if self.augmentation is not None:
            seen = [self.augmentation(each, uniform=uniform) for each in seen]
        return torch.cat([each.to(images.dtype) for each in seen], 1)

    def _check_augmentation(self, num_channels: int) -> None:
        """Raise UserError if the augmentation cannot change inputs of this number of channels."""
        inputs = torch.zeros(1, num_channels, 16, 16, device=self.device)
        uniform = inputs.new_zeros(1, num_draws_of(self.augmentation))
        try:
            self.augmentation(inputs, uniform=uniform)
        except RuntimeError as error:
            raise UserError(
                f"model/augmentation={type(self.augmentation).__name__.lower()} cannot change "
                f"inputs of {num_channels} channels:\nchoose diffaugment or none, or "
                "model.discriminator_sees_input=false."
            ) from error

    def _draw(self, targets: Tensor) -> Draws:
        num = num_draws_of(self.augmentation)
        nums = [num, num, num, self.penalty.num_draws]
        return Draws(*self.noise.uniform(targets, sum(nums)).split(nums, 1))
