"""Image-to-image model: one network from an input to a target, and a sum of losses.

    loss(x, y) = sum_k weight_k loss_k(network(x), y)       the mean over the patches of a batch

Super-resolution and restoration differ only in the network's scale and in the data.
"""

__all__ = ["ImageToImage", "PairLoss", "joined", "named_losses", "readable_pairs"]

import math
from collections.abc import Mapping
from typing import Protocol

import lightning as L
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from limner.errors import UserError
from limner.interfaces import Batch, OptimizerFactory
from limner.models.ema import best, evaluating, follow, make_ema
from limner.models.gradients import Gradients
from limner.models.lightning_internals import finish_update, report_evaluation
from limner.models.optimization import OptimizerStep, micro_batches
from limner.processes import from_all_processes, world_size


class PairLoss(Protocol):
    """Loss of an output and its target; `check(images)`, if there is one, runs before training.

    `check` gets some targets (B, C, H, W), and raises ValueError if the loss cannot read them.
    """

    weight: float
    """Factor of the loss in the sum, at least 0."""

    def __call__(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the losses (B,) of outputs (B, C, H, W) and targets of this shape in [-1, 1]."""


class ImageToImage(L.LightningModule):
    """Model that changes images: the network learns the target `image` of each `input`.

    If a batch has a `mask` (1 where a pixel is known), the network reads it as one more channel of
    the input, 1 or -1. A patch whose loss or gradient is not finite is left out of the mean, and
    `train/num_skipped` counts such patches of all processes. Training and validation report the
    sum as `loss` and each loss as `loss_NAME`, so that no loss has the name of a score.

    Args:
        network: Network from inputs (B, C_in, h, w) to images (B, C, scale * h, scale * w), with
            the attributes `scale`; `overlap`, the number of input pixels on each side on which an
            output pixel depends, None for all pixels; and `multiple`, by which the borders of
            tiles must divide.
        losses: Losses by name.
        scale: Height of a target divided by the height of its input, at least 1.
        optimizer: Factory of the optimizer.
        gradients: Options of gradient accumulation and clipping.
        ema_half_life: Number of images after which an old weight counts half in the average that
            `transform` and scores use; None for no average.
    """

    reads_input = True
    compares_with_target = True
    """Whether a good output equals its target, so that PSNR and the like are scores."""
    returns_logits = False
    """Whether the network returns logits, for losses that `reads_logits`."""
    fitting_losses = "pixel, pixel_l2, ssim or perceptual, or several"
    """Options of model/losses that fit the model, for messages."""
    batches_per_update = 1
    loss_functions = ("_output", "_losses")

    def __init__(
        self,
        *,
        network: nn.Module,
        losses: Mapping[str, PairLoss],
        scale: int,
        optimizer: OptimizerFactory,
        gradients: Gradients,
        ema_half_life: float | None,
    ) -> None:
        _check(network, losses, scale)
        self._refuse_losses(losses)
        super().__init__()
        self.automatic_optimization = False
        self.network, self.losses, self.scale = network, dict(losses), scale
        self.optimizer, self.gradients = optimizer, gradients
        self.ema = make_ema(network, ema_half_life, ramp=None)

    @property
    def weights_sha256(self) -> str | None:
        """SHA-256 of the pretrained weights that train the model; None without such weights."""
        found = [getattr(loss, "weights_sha256", None) for loss in self.losses.values()]
        return next((sha256 for sha256 in found if sha256 is not None), None)

    def setup(self, stage: str) -> None:
        images = torch.zeros(1, *getattr(self.trainer.datamodule, "image_shape", (3, 64, 64)))
        try:
            for loss in self.losses.values():
                getattr(loss, "check", lambda images: None)(images)
        except ValueError as error:
            raise UserError(str(error)) from error

    def configure_optimizers(self) -> Optimizer:
        return self.optimizer(self.network.parameters())

    def transform(self, inputs: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return images (B, C, scale * h, scale * w) in [-1, 1], with the EMA weights.

        Args:
            inputs: Inputs (B, C, h, w).
            mask: Mask (B, 1, h, w), 1 where a pixel is known, for a model trained with holes.
        """
        return self._transformed(inputs, mask)

    forward = transform

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        inputs = joined(batch["input"], batch.get("mask"))
        optimizer = self.optimizers(use_pl_optimizer=False)
        targets = batch["image"]
        values, _ = self._network_step(optimizer, inputs, targets, *self._more(targets))
        follow(self, self.network)
        return finish_update(self, values)

    def validation_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        output = self.transform(batch["input"], batch.get("mask"))
        losses = self._losses(output, batch["image"])
        means = {name: values.mean() for name, values in losses.items()}
        # a picture of weight 0 belongs to another process, see limner.data.picture_batches
        num_images = int(batch["weight"].sum()) if "weight" in batch else len(output)
        report_evaluation(self, means, num_images=num_images)
        return {"output": output}

    test_step = validation_step

    def _network_step(
        self, optimizer: Optimizer, inputs: Tensor, targets: Tensor, *more: Tensor
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Take a step of the network; return the values to log, and the outputs, detached.

        Args:
            optimizer: Optimizer of the network.
            inputs: What the network reads, (B, C_in, h, w).
            targets: Targets (B, C, H, W).
            more: Further tensors (B, ...) that `_output` and `_losses` get.
        """
        step, outputs = OptimizerStep(self, optimizer, self.gradients), []
        for part in micro_batches(self.gradients, inputs, targets, *more):
            surrogate, sums, output = self._sums(*part)
            sums = _over_processes(sums)
            step.backward(surrogate * (world_size() / sums["kept"].clamp(min=1)), sums)
            outputs.append(output)
        sums = step.finish()
        kept = sums.pop("kept")  # the mean over the micro-batches, like the other sums
        num_skipped = len(targets) * world_size() - self.gradients.accumulate * kept
        values = {name: value / kept for name, value in sums.items()}
        return values | {"num_skipped": num_skipped}, torch.cat(outputs)

    def _transformed(self, inputs: Tensor, mask: Tensor | None, *more: Tensor) -> Tensor:
        """Return the network's outputs; `more` is what the network reads beside the inputs."""
        with evaluating(best(self)) as network:
            read = joined(inputs, mask).to(self.device, self.dtype)
            return network(read, *more).clamp(-1, 1)

    @classmethod
    def _refuse_losses(cls, losses: Mapping[str, PairLoss]) -> None:
        """Raise ValueError for a loss that compares something else than outputs and targets."""
        for name, loss in losses.items():
            reason = None
            if getattr(loss, "reads_logits", False) and not cls.returns_logits:
                reason = "reads logits, and the network returns images"
            elif getattr(loss, "compares_styles", False) and cls.compares_with_target:
                reason = "is a loss of style transfer"
            if reason is not None:
                raise ValueError(
                    f"model.losses.{name} {reason}:\nchoose model/losses={cls.fitting_losses}."
                )

    def _more(self, targets: Tensor) -> tuple[Tensor, ...]:
        """Return further tensors (B, ...) for `_output` and `_losses` in an update."""
        return ()

    def _output(self, inputs: Tensor, *more: Tensor) -> Tensor:
        return self.network(inputs)

    def _losses(self, output: Tensor, target: Tensor, *more: Tensor) -> dict[str, Tensor]:
        """Return the sum `loss` of the losses, and each loss as `loss_NAME`, (B,)."""
        found = {name: loss(output, target) for name, loss in self.losses.items()}
        return named_losses(self.losses, found)

    def _sums(
        self, inputs: Tensor, targets: Tensor, *more: Tensor
    ) -> tuple[Tensor, dict[str, Tensor], Tensor]:
        """Return a number with the gradient of the summed loss, all sums, and the detached output.

        Patches that are not finite are left out; `kept` counts the others. The gradient of such a
        patch ends at the network's output, since 0 times NaN further back would be NaN.
        """
        readable, inputs, targets = readable_pairs(inputs, targets)
        output = self._output(inputs, *more)
        leaf = output.detach().requires_grad_()
        losses = self._losses(leaf, targets, *more)
        (gradients,) = torch.autograd.grad(losses["loss"].sum(), leaf)
        kept = readable & losses["loss"].detach().isfinite() & _are_finite(gradients)
        surrogate = (output * _where(kept, gradients)).sum()
        dtype = torch.promote_types(
            output.dtype, torch.float32
        )  # sums in bfloat16 would be rounded
        sums = {
            name: _where(kept, values.detach()).sum(dtype=dtype) for name, values in losses.items()
        }
        return surrogate, sums | {"kept": kept.sum().to(dtype)}, leaf.detach()


def joined(inputs: Tensor, mask: Tensor | None) -> Tensor:
    """Return what the network reads: the inputs, and the mask as a channel in [-1, 1]."""
    return inputs if mask is None else torch.cat([inputs, 2 * mask.to(inputs) - 1], 1)


def named_losses(losses: Mapping[str, PairLoss], found: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weighted sum of losses as "loss", and each loss as "loss_NAME".

    Args:
        losses: Losses by name, with their weights.
        found: Values of these losses by name, all of one shape.
    """
    total = sum(losses[name].weight * values for name, values in found.items())
    return {"loss": total} | {f"loss_{name}": values for name, values in found.items()}


def _are_finite(values: Tensor) -> Tensor:
    """Return for each image whether all its values are finite, (B,)."""
    return values.isfinite().flatten(1).all(1)


def _where(kept: Tensor, values: Tensor) -> Tensor:
    """Return values (B, ...) with zeros for the images that are not kept."""
    return torch.where(kept.view(-1, *[1] * (values.dim() - 1)), values, 0)


def readable_pairs(inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return which pairs are finite, (B,), and inputs and targets with zeros for the others."""
    readable = _are_finite(inputs) & _are_finite(targets)
    return readable, _where(readable, inputs), _where(readable, targets)


def _over_processes(sums: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the sums over all processes."""
    if world_size() == 1:
        return sums
    total = from_all_processes(torch.stack(list(sums.values()))[None]).sum(0)
    return dict(zip(sums, total, strict=True))


def _check(network: nn.Module, losses: Mapping[str, PairLoss], scale: int) -> None:
    if not losses:
        raise ValueError("model.losses has no loss: choose model/losses=pixel, or several.")
    for name, loss in losses.items():
        if not 0 <= loss.weight < math.inf:
            raise ValueError(f"model.losses.{name}.weight={loss.weight}: must be 0 or more.")
    found = getattr(network, "scale", None)
    if found != scale:
        raise ValueError(
            f"model.scale={scale}: the attribute `scale` of the network is {found}; both must be "
            "data.scale."
        )
