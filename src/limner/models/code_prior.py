"""Second stage of a VQ-VAE: a distribution of its codes, from which images are drawn.

    p(k) = prod_t p(k_t | k_1 ... k_(t-1), y)        for the codes of an image, row by row

van den Oord et al. (2017), section 3.3, https://arxiv.org/abs/1711.00937. The network is a
PixelCNN as in the paper, or a transformer.
"""

__all__ = ["CodePrior"]

from typing import Any

import lightning as L
from torch import Generator, Tensor, nn
from torch.optim import Optimizer

from limner.interfaces import Batch, OptimizerFactory
from limner.models.conditions import drawn_labels, given_labels
from limner.models.ema import best, evaluating, follow, freeze, make_ema
from limner.models.gradients import Gradients
from limner.models.lightning_internals import finish_update, report_evaluation
from limner.models.optimization import OptimizerStep, micro_batches
from limner.models.vqvae import VQVAE


class CodePrior(L.LightningModule):
    """Autoregressive network of a VQ-VAE's codes, trained by maximum likelihood.

    Args:
        first_stage: Trained VQ-VAE, which stays fixed.
        prior: Distribution of sequences of codes, see `limner.networks.transformer` and
            `CodePixelCNN` in `limner.networks.pixelcnn`.
        temperature: Divisor of the logits in sampling, above 0; 1 for p itself.
        top_k: Number of the most likely codes from which each code is drawn; None for all codes.
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
        first_stage: nn.Module,
        prior: nn.Module,
        temperature: float,
        top_k: int | None,
        num_classes: int | None,
        optimizer: OptimizerFactory,
        gradients: Gradients,
        ema_half_life: float | None,
    ) -> None:
        if temperature <= 0:
            raise ValueError(f"model.temperature={temperature}: must be above 0.")
        if top_k is not None and top_k < 1:
            raise ValueError(
                f"model.top_k={top_k}: must be 1 or more (codes), or null for all codes."
            )
        super().__init__()
        self.first_stage: VQVAE = freeze(first_stage)
        self.temperature, self.top_k = temperature, top_k
        self.automatic_optimization = False
        self.num_classes, self.optimizer, self.gradients = num_classes, optimizer, gradients
        self.network = nn.ModuleDict({"prior": prior})
        self.ema = make_ema(self.network, ema_half_life, ramp=None)

    @staticmethod
    def facts(first_stage: nn.Module) -> dict[str, Any]:
        """Return the config values that the first stage determines.

        Raises:
            ValueError: If the first stage is not a VQ-VAE.
        """
        if not isinstance(first_stage, VQVAE):
            raise ValueError(
                "model=code_prior learns the codes of a VQ-VAE, but this is a run of a "
                f"{type(first_stage).__name__}: choose a run of model=vqvae (model=latent_prior "
                "learns the codes of a VAE or RAE)."
            )
        height, width = first_stage.map_size
        sizes = {"network.map_size": [height, width], "network.length": height * width}
        return {"network.num_codes": first_stage.num_codes, **sizes}

    def train(self, mode: bool = True) -> "CodePrior":
        """Set the mode; the first stage stays in evaluation mode.

        Lightning would put the first stage into training mode too, where its codebook changes
        (test_second_stage_trains_and_samples_by_itself).
        """
        super().train(mode)
        self.first_stage.eval()
        return self

    def configure_optimizers(self) -> Optimizer:
        return self.optimizer(self.network.parameters())

    def sample(
        self, num_images: int, *, generator: Generator | None = None, labels: Tensor | None = None
    ) -> Tensor:
        """Draw images (num_images, C, H, W) in [-1, 1].

        Args:
            num_images: Number of images.
            generator: Generator of all random numbers.
            labels: Classes int64 (num_images,) of a conditional model; None to draw them
                uniformly.
        """
        if labels is None:
            labels = drawn_labels(self, num_images, generator=generator)
        if labels is not None:
            labels = labels.to(self.device)
        with evaluating(best(self)) as network:
            codes = network["prior"].sample(
                num_images, temperature=self.temperature, top_k=self.top_k, labels=labels,
                generator=generator,
            )  # fmt: skip
        return self.first_stage.decode(codes.unflatten(1, self.first_stage.map_size))

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        height, width = self.first_stage.map_size
        step = OptimizerStep(self, self.optimizers(use_pl_optimizer=False), self.gradients)
        for images, labels in micro_batches(self.gradients, batch["image"], self._labels(batch)):
            loss = self._loss(self.network, self._codes(images), labels)
            # in nats per code, so that one learning rate suits maps of any size
            step.backward(loss / (height * width), {"loss": loss})
        values = step.finish()
        follow(self, self.network)
        return finish_update(self, values)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        loss = self._loss(best(self), self._codes(batch["image"]), self._labels(batch))
        report_evaluation(self, {"loss": loss}, num_images=len(batch["image"]))

    test_step = validation_step

    def _labels(self, batch: Batch) -> Tensor | None:
        return given_labels(self, batch)

    def _codes(self, images: Tensor) -> Tensor:
        """Return the codes int64 (B, h * w) of images (B, C, H, W), row by row."""
        return self.first_stage.indices(images).flatten(1)

    def _loss(self, network: nn.ModuleDict, codes: Tensor, labels: Tensor | None) -> Tensor:
        """Return -log p of codes (B, h * w) in nats, averaged over images."""
        return -network["prior"].log_prob(codes, labels).mean()
