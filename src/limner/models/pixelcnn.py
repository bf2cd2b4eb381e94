"""PixelCNN: an autoregressive model of images, whose likelihood is exact.

    log p(x | y) = sum_i log p(x_i | x_1 ... x_(i-1), y)      for the values of an image, in order

van den Oord et al. (2016), https://arxiv.org/abs/1601.06759 and https://arxiv.org/abs/1606.05328.
"""

__all__ = ["DiscreteLikelihood", "PixelCNN"]

from typing import Any, Protocol

import lightning as L
import torch
from torch import Generator, Tensor, nn
from torch.optim import Optimizer

from limner.errors import UserError
from limner.interfaces import Batch, OptimizerFactory, label_kwargs
from limner.models.conditions import drawn_labels, given_labels
from limner.models.ema import best, evaluating, follow, make_ema
from limner.models.gradients import Gradients
from limner.models.lightning_internals import finish_update, report_evaluation
from limner.models.optimization import OptimizerStep, micro_batches
from limner.models.variational import Likelihood, check_readable
from limner.pixels import to_float


class DiscreteLikelihood(Likelihood, Protocol):
    """Distribution of values on evenly spaced levels, a module, see `limner.losses.likelihood`."""

    params_per_value: int

    def level_log_probs(self, params: Tensor) -> Tensor: ...


class PixelCNN(L.LightningModule):
    """Autoregressive network of an image's values, trained by maximum likelihood.

    Args:
        pixelcnn: Network from images, and labels if conditional, to the parameters of the
            distribution of each value given the earlier values, see `limner.networks.pixelcnn`.
        likelihood: Distribution of a value given its parameters, a `DiscreteLikelihood`.
        temperature: Divisor of the log-probabilities in sampling, above 0; 1 for p itself.
        num_classes: Number of classes that condition the network; None for no condition.
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
        pixelcnn: nn.Module,
        likelihood: Likelihood,  # a message of this class names the likelihoods that fit
        temperature: float,
        num_classes: int | None,
        optimizer: OptimizerFactory,
        gradients: Gradients,
        ema_half_life: float | None,
    ) -> None:
        if temperature <= 0:
            raise ValueError(f"model.temperature={temperature}: must be above 0.")
        if not hasattr(likelihood, "level_log_probs"):
            raise ValueError(
                f"A {type(likelihood).__name__} has no levels that a PixelCNN can draw: choose "
                "model/likelihood=categorical, logistic, or (for black and white) bernoulli."
            )
        super().__init__()
        self.automatic_optimization = False
        self.temperature, self.num_classes = temperature, num_classes
        self.optimizer, self.gradients = optimizer, gradients
        self.network = nn.ModuleDict({"pixelcnn": pixelcnn, "likelihood": likelihood})
        self.ema = make_ema(self.network, ema_half_life, ramp=None)

    @property
    def likelihood(self) -> DiscreteLikelihood:
        """Distribution of a value, with the EMA weights if there are any."""
        return best(self)["likelihood"]

    def setup(self, stage: str) -> None:
        check_readable(self.likelihood, self.trainer.datamodule)
        _check_levels(self.likelihood, self.trainer.datamodule)

    def configure_optimizers(self) -> Optimizer:
        return self.optimizer(self.network.parameters())

    def sample(
        self, num_images: int, *, generator: Generator | None = None, labels: Tensor | None = None
    ) -> Tensor:
        """Draw images (num_images, C, H, W) in [-1, 1].

        Args:
            num_images: Number of images.
            generator: Generator of all random numbers, on the CPU.
            labels: Classes int64 (num_images,) of a conditional model; None to draw them
                uniformly.
        """
        return self._drawn(num_images, generator, labels)

    def complete(
        self,
        start: Tensor,
        *,
        generator: Generator | None = None,
        labels: Tensor | None = None,
    ) -> Tensor:
        """Draw the rest of images whose first rows are given.

        Args:
            start: First rows (B, C, h, W) in [-1, 1] of images (B, C, H, W), with h <= H.
            generator: Generator of all random numbers, on the CPU.
            labels: Classes int64 (B,) of a conditional model; None to draw them uniformly.

        Returns:
            Images (B, C, H, W) in [-1, 1].
        """
        return self._drawn(len(start), generator, labels, start=start.to(self.device, self.dtype))

    def log_prob(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return log p (B,) of images (B, C, H, W) in [-1, 1] exactly, in nats.

        Args:
            images: Images, which are rounded to the levels of the likelihood.
            labels: Classes int64 (B,) of a conditional model, else None.
        """
        images = images.to(self.device, self.dtype)
        with evaluating(best(self)) as network:
            return self._log_prob(network, images, self._placed(labels))

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        step = OptimizerStep(self, self.optimizers(use_pl_optimizer=False), self.gradients)
        for images, labels in micro_batches(self.gradients, batch["image"], self._labels(batch)):
            loss = self._loss(self.network, images, labels)
            # in nats per pixel value, so that one learning rate suits images of any size
            step.backward(loss / images[0].numel(), {"loss": loss})
        values = step.finish()
        follow(self, self.network)
        return finish_update(self, values)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        loss = self._loss(best(self), batch["image"], self._labels(batch))
        report_evaluation(self, {"loss": loss}, num_images=len(batch["image"]))

    test_step = validation_step

    def _labels(self, batch: Batch) -> Tensor | None:
        return given_labels(self, batch)

    def _loss(self, network: nn.ModuleDict, images: Tensor, labels: Tensor | None) -> Tensor:
        """Return -log p of images (B, C, H, W) in nats, averaged over images."""
        return -self._log_prob(network, images, labels).mean()

    def _log_prob(self, network: nn.ModuleDict, images: Tensor, labels: Tensor | None) -> Tensor:
        params = network["pixelcnn"](images, **label_kwargs(labels))
        return network["likelihood"].log_prob(params, images)

    def _drawn(
        self, num_images: int, generator: Generator | None, labels: Tensor | None, **given: Tensor
    ) -> Tensor:
        """Draw images (num_images, C, H, W), with keywords `given` for the network."""
        if labels is None:
            labels = drawn_labels(self, num_images, generator=generator)
        with evaluating(best(self)) as network:
            pixelcnn = network["pixelcnn"]
            uniform = torch.rand(num_images, *pixelcnn.image_shape, generator=generator)
            given |= label_kwargs(self._placed(labels))
            return pixelcnn.sample(draw=self._draw_level, uniform=uniform, **given)

    def _draw_level(self, params: Tensor, uniform: Tensor) -> Tensor:
        """Draw values (B, 1, 1, 1) in [-1, 1] by their parameters and uniform numbers."""
        log_probs = self.likelihood.level_log_probs(params)[:, 0, :, 0, 0].float()
        cumulative = (log_probs / self.temperature).softmax(1).cumsum(1)
        cumulative = cumulative / cumulative[:, -1:]  # rounding may leave the last entry below 1
        levels = torch.searchsorted(
            cumulative, uniform[:, :, 0, 0].float().contiguous(), right=True
        )
        return (levels * (2 / (log_probs.shape[1] - 1)) - 1).to(params)[:, :, None, None]

    def _placed(self, labels: Tensor | None) -> Tensor | None:
        return None if labels is None else labels.to(self.device)


def _check_levels(likelihood: DiscreteLikelihood, data: Any) -> None:
    """Raise UserError if limner's images lie between the levels of a likelihood."""
    if not hasattr(data, "split"):
        return  # the batches come from the user's own loaders
    params = torch.zeros(1, likelihood.params_per_value, 1, 1)
    highest = likelihood.level_log_probs(params).shape[2] - 1
    store, indices = data.split("train")
    levels = (to_float(store.gather(indices[:64])) + 1) / 2 * highest
    if (levels - levels.round()).abs().max() > 0.01:
        raise UserError(
            f"A PixelCNN with {highest + 1} levels reads images of these levels only, but the "
            "images have others:\nset data.binarisation=dynamic, or choose "
            "model/likelihood=categorical."
        )
