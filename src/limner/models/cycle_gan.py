"""CycleGAN, Zhu et al. (2017), https://arxiv.org/abs/1703.10593: translation without pairs.

G maps domain A to domain B, F maps B to A, and each domain has a discriminator:

    G, F    adversarial(D_B(G(a))) + adversarial(D_A(F(b)))
            + cycle_weight    (|F(G(a)) - a| + |G(F(b)) - b|)        equation 2
            + identity_weight (|F(a) - a| + |G(b) - b|)              section 5.2
    D_B     adversarial loss of b against earlier G(a)               D_A likewise

In each update, G and F take one step together. Then both discriminators take one step.
"""

__all__ = ["CycleGAN"]

import copy
from collections.abc import Callable, Mapping
from typing import Any

import lightning as L
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from limner.interfaces import AdversarialLoss, Augmentation, Batch, OptimizerFactory
from limner.losses.penalty import Penalties, Weighted
from limner.models.adversarial import AdversarialObjective, Inputs
from limner.models.adversarial_checks import load_pretrained, observe_logits
from limner.models.ema import best, evaluating, follow, make_ema
from limner.models.gradients import Gradients
from limner.models.image_pool import ImagePool
from limner.models.lightning_internals import finish_update, report_evaluation
from limner.models.optimization import OptimizerStep, micro_batches
from limner.randomness import Noise

LEVELS = 127.5  # levels of 255 in a difference of 1


class CycleGAN(L.LightningModule):
    """Two generators and two discriminators, which translate between two sets of images.

    Args:
        generator_ab: Network G from images (B, C, H, W) of domain A to images of domain B of the
            same shape, in [-1, 1], with the attributes of `ImageToImage`'s network; scale 1.
        generator_ba: Network F from domain B to domain A.
        discriminator_a: Network from images of domain A to logits (B,) or (B, K), large for real
            images.
        discriminator_b: Network from images of domain B to logits.
        loss: Adversarial loss of all players.
        penalty: Penalties of each discriminator by name; None for no penalty.
        augmentation: Change of all images that a discriminator sees; None for no change.
        cycle_loss: Distance of two batches of images, in the cycle and identity losses.
        cycle_weight: Factor of the cycle losses, at least 0.
        identity_weight: Factor of the identity losses, at least 0.
        pool_size: Number of earlier fake images of each domain to show the discriminators, at
            least 0, see `ImagePool`.
        optimizer: Factory of two optimizers: for the generators, and for the discriminators.
        discriminator_lr: Learning rate of the discriminators; None for the optimizer's rate.
        gradients: Options of gradient accumulation and clipping, for each optimizer.
        ema_half_life: Number of images of a domain after which an old weight of the generators
            counts half in the average that `transform` and scores use; None for no average.

    Validation reports `cycle_loss` and `identity_loss` of each domain, and `change_ab` and
    `change_ba`: how far a translation is from its picture, in levels of 255.
    """

    reads_domains = True
    choices = {"direction": ("ab", "ba")}  # noqa: RUF012  of `transform`
    batches_per_update = 1
    loss_functions = (
        "_generator_losses", "objective_a.pairs", "objective_a.losses_of_pairs",
        "objective_b.pairs", "objective_b.losses_of_pairs",
    )  # fmt: skip

    def __init__(
        self,
        *,
        generator_ab: nn.Module,
        generator_ba: nn.Module,
        discriminator_a: nn.Module,
        discriminator_b: nn.Module,
        loss: AdversarialLoss,
        penalty: Mapping[str, Weighted] | None,
        augmentation: Augmentation | None,
        cycle_loss: Callable[[Tensor, Tensor], Tensor],
        cycle_weight: float,
        identity_weight: float,
        pool_size: int,
        optimizer: OptimizerFactory,
        discriminator_lr: float | None,
        gradients: Gradients,
        ema_half_life: float | None,
    ) -> None:
        for name, weight in (("cycle", cycle_weight), ("identity", identity_weight)):
            if not weight >= 0:
                raise ValueError(f"model.{name}_weight={weight}: must be 0 or more.")
        for name, network in (("ab", generator_ab), ("ba", generator_ba)):
            if (scale := getattr(network, "scale", None)) != 1:
                raise ValueError(
                    f"model.generator_{name}: the attribute `scale` of the network is {scale}; a "
                    "CycleGAN keeps the size of a picture, so it must be 1."
                )
        super().__init__()
        self.automatic_optimization = False
        self.network = nn.ModuleDict({"ab": generator_ab, "ba": generator_ba})
        self.discriminators = nn.ModuleDict({"a": discriminator_a, "b": discriminator_b})
        self.penalty_a, self.penalty_b = Penalties(penalty), Penalties(copy.deepcopy(penalty))
        self.augmentation_a, self.augmentation_b = augmentation, copy.deepcopy(augmentation)
        # the generators run outside of the objectives, since a fake image is also part of a cycle
        self.objective_a = AdversarialObjective(
            nn.Identity(), discriminator_a, loss, None, self.penalty_a, self.augmentation_a
        )
        self.objective_b = AdversarialObjective(
            nn.Identity(), discriminator_b, loss, None, self.penalty_b, self.augmentation_b
        )
        self.cycle_loss, self.cycle_weight = cycle_loss, cycle_weight
        self.identity_weight = identity_weight
        self.pool_a, self.pool_b = ImagePool(pool_size), ImagePool(pool_size)
        self.optimizer, self.discriminator_lr = optimizer, discriminator_lr
        self.gradients = gradients
        self.ema = make_ema(self.network, ema_half_life, ramp=None)
        self.noise = Noise()

    def setup(self, stage: str) -> None:
        for discriminator in self.discriminators.values():
            load_pretrained(discriminator)

    def configure_optimizers(self) -> tuple[Optimizer, Optimizer]:
        own_lr = {} if self.discriminator_lr is None else {"lr": self.discriminator_lr}
        return (
            self.optimizer(self.network.parameters()),
            self.optimizer(self.discriminators.parameters(), **own_lr),
        )

    def transform(self, images: Tensor, direction: str) -> Tensor:
        """Return images (B, C, H, W) in [-1, 1] of the other domain, with the EMA weights.

        Args:
            images: Images (B, C, H, W) in [-1, 1].
            direction: "ab" for images of domain A, "ba" for images of domain B.
        """
        with evaluating(best(self)) as networks:
            return networks[direction](images.to(self.device, self.dtype)).clamp(-1, 1)

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        a, b = batch["image_a"], batch["image_b"]
        (d_a, g_a), (d_b, g_b) = self._draw(self.objective_a, a), self._draw(self.objective_b, b)
        for_pool_a, for_pool_b = (self.noise.uniform(x, ImagePool.num_draws) for x in (a, b))
        self.discriminators.requires_grad_(False)
        values, fake_a, fake_b = self._generator_step(g_a, g_b)
        self.discriminators.requires_grad_(True)
        old_a = self.pool_a(fake_a, uniform=for_pool_a)
        old_b = self.pool_b(fake_b, uniform=for_pool_b)
        values |= self._discriminator_step(d_a._replace(z=old_a), d_b._replace(z=old_b))
        follow(self, self.network)
        return finish_update(self, values)

    def validation_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        a, b = batch["image_a"], batch["image_b"]
        made = {"output_b": self.transform(a, "ab"), "output_a": self.transform(b, "ba")}
        made |= {
            "cycle_a": self.transform(made["output_b"], "ba"),
            "cycle_b": self.transform(made["output_a"], "ab"),
            "identity_a": self.transform(a, "ba"),
            "identity_b": self.transform(b, "ab"),
        }
        values, numbers = {}, {}
        for real, here, there in ((a, "a", "b"), (b, "b", "a")):
            own = {
                f"cycle_loss_{here}": self.cycle_loss(made[f"cycle_{here}"], real).mean(),
                f"identity_loss_{here}": self.cycle_loss(made[f"identity_{here}"], real).mean(),
                f"change_{here}{there}": LEVELS * (made[f"output_{there}"] - real).abs().mean(),
            }
            # a picture of weight 0 is repeated, since the other domain has more pictures
            number = int(batch.get(f"weight_{here}", torch.ones(len(real))).sum())
            values, numbers = values | own, numbers | dict.fromkeys(own, number)
        report_evaluation(self, values, num_images=numbers)
        return made

    test_step = validation_step

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["pools"] = [pool.state_dict() for pool in (self.pool_a, self.pool_b)]

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        for pool, state in zip((self.pool_a, self.pool_b), checkpoint["pools"], strict=True):
            pool.load_state_dict(state)

    def _draw(self, objective: AdversarialObjective, real: Tensor) -> list[Inputs]:
        """Return the inputs of the steps of D and of the generators, without fake images."""
        return objective.draw_inputs(real, None, self.noise, num_steps=1, num_normal=0)

    def _generator_step(
        self, inputs_a: Inputs, inputs_b: Inputs
    ) -> tuple[dict[str, Tensor], Tensor, Tensor]:
        """Return values to log, and the fake images of both domains before the step."""
        optimizer, _ = self.optimizers(use_pl_optimizer=False)
        step, fakes = OptimizerStep(self, optimizer, self.gradients), []
        for a, b in self._micro_batches(inputs_a, inputs_b):
            total, losses, *made = self._generator_losses(a, b)
            step.backward(total, losses)
            fakes.append([fake.detach() for fake in made])
        values = step.finish(norm_name="gradient_norm_generator")
        return values, *(torch.cat(parts) for parts in zip(*fakes, strict=True))

    def _generator_losses(
        self, a: Inputs, b: Inputs
    ) -> tuple[Tensor, dict[str, Tensor], Tensor, Tensor]:
        """Return the loss () of both generators, its parts, and the fake images they made."""
        to_b, to_a = self.network["ab"], self.network["ba"]
        fake_a, fake_b = to_a(b.real), to_b(a.real)
        losses = {
            "loss_generator_a": self._adversarial(self.objective_a, a._replace(z=fake_a)),
            "loss_generator_b": self._adversarial(self.objective_b, b._replace(z=fake_b)),
            "cycle_loss_a": self.cycle_loss(to_a(fake_b), a.real).mean(),
            "cycle_loss_b": self.cycle_loss(to_b(fake_a), b.real).mean(),
        }
        total = losses["loss_generator_a"] + losses["loss_generator_b"]
        total = total + self.cycle_weight * (losses["cycle_loss_a"] + losses["cycle_loss_b"])
        if self.identity_weight > 0:  # two passes more
            same_a = self.cycle_loss(to_a(a.real), a.real).mean()
            same_b = self.cycle_loss(to_b(b.real), b.real).mean()
            total = total + self.identity_weight * (same_a + same_b)
            losses |= {"identity_loss_a": same_a, "identity_loss_b": same_b}
        return total, losses, fake_a, fake_b

    def _adversarial(self, objective: AdversarialObjective, inputs: Inputs) -> Tensor:
        return objective.generator_losses(inputs).means["loss_generator"]

    def _discriminator_step(self, inputs_a: Inputs, inputs_b: Inputs) -> dict[str, Tensor]:
        _, optimizer = self.optimizers(use_pl_optimizer=False)
        step, number = OptimizerStep(self, optimizer, self.gradients), self.global_step
        logits: dict[str, list[Tensor]] = {"a": [], "b": []}
        for a, b in self._micro_batches(inputs_a, inputs_b):
            found = {
                "a": self.objective_a.discriminator_losses(a, number, update=number),
                "b": self.objective_b.discriminator_losses(b, number, update=number),
            }
            losses = {
                f"{name}_{domain}": value
                for domain, each in found.items()
                for name, value in each.means.items()
            }
            step.backward(sum(losses.values()), losses)
            for domain, each in found.items():
                logits[domain].append(each.logits.detach())
        values = step.finish(norm_name="gradient_norm_discriminator")
        for domain, objective in (("a", self.objective_a), ("b", self.objective_b)):
            seen = observe_logits(objective, torch.cat(logits[domain]), number)
            values |= {f"{name}_{domain}": value for name, value in seen.items()}
        return values

    def _micro_batches(self, a: Inputs, b: Inputs) -> list[tuple[Inputs, Inputs]]:
        parts = (map(Inputs._make, micro_batches(self.gradients, *each)) for each in (a, b))
        return list(zip(*parts, strict=True))
