"""Vector-quantised autoencoder, van den Oord et al. (2017), https://arxiv.org/abs/1711.00937.

    loss(x) = -log p(x | e) + commitment_weight ||z(x) - sg(e)||^2

for a map z(x) and the nearest entries e of a codebook, in nats per image. The codebook follows the
encoder's codes, see `limner.networks.codebook`. A VQ-VAE cannot draw images by itself; a prior of
its codes is trained afterwards, see `limner.models.code_prior`.
"""

__all__ = ["VQVAE"]

import lightning as L
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from limner.interfaces import Batch, OptimizerFactory
from limner.models.ema import best, evaluating, follow, make_ema
from limner.models.gradients import Gradients
from limner.models.lightning_internals import finish_update, report_evaluation
from limner.models.optimization import OptimizerStep, micro_batches
from limner.models.variational import Likelihood, check_readable, log_likelihood
from limner.processes import from_all_processes


class VQVAE(L.LightningModule):
    """Vector-quantised autoencoder: an encoder, a decoder and a codebook.

    Args:
        encoder: Network from images (B, C, H, W) to maps (B, code_dim, h, w).
        decoder: Network from quantised maps to the parameters of the likelihood.
        codebook: Quantiser of the maps, see `limner.networks.codebook`.
        likelihood: Distribution of images given the parameters.
        commitment_weight: Factor of the commitment term, which pulls the encoder's codes to the
            codebook, at least 0.
        optimizer: Factory of the optimizer.
        gradients: Options of gradient accumulation and clipping.
        ema_half_life: Number of images after which an old weight counts half in the average that
            reconstructions and scores use; None for no average.
    """

    batches_per_update = 1
    loss_functions = ("_losses",)
    compiles_on_several_processes = False  # the codes that the codebook chooses would differ

    def __init__(
        self,
        *,
        encoder: nn.Module,
        decoder: nn.Module,
        codebook: nn.Module,
        likelihood: Likelihood,
        commitment_weight: float,
        optimizer: OptimizerFactory,
        gradients: Gradients,
        ema_half_life: float | None,
    ) -> None:
        if commitment_weight < 0:
            raise ValueError(f"model.commitment_weight={commitment_weight}: must be 0 or more.")
        super().__init__()
        self.automatic_optimization = False
        self.commitment_weight = commitment_weight
        self.optimizer, self.gradients = optimizer, gradients
        self.network = nn.ModuleDict(
            {"encoder": encoder, "codebook": codebook, "decoder": decoder}
            | {"likelihood": likelihood}
        )
        self.num_codes: int = codebook.num_codes
        self.map_size: tuple[int, int] = encoder.map_size
        """Size (h, w) of a map of codes."""
        self.ema = make_ema(self.network, ema_half_life, ramp=None)
        self._counts = torch.zeros(self.num_codes)

    def setup(self, stage: str) -> None:
        check_readable(best(self)["likelihood"], self.trainer.datamodule)

    def configure_optimizers(self) -> Optimizer:
        return self.optimizer(self.network.parameters())

    def indices(self, images: Tensor) -> Tensor:
        """Return codebook indices int64 (B, h, w) in [0, num_codes) of images (B, C, H, W)."""
        with evaluating(best(self)) as network:
            z = network["encoder"](images.to(self.device, self.dtype))
            return network["codebook"](z).indices

    def decode(self, indices: Tensor) -> Tensor:
        """Return expected images (B, C, H, W) in [-1, 1] of codebook indices (B, h, w)."""
        with evaluating(best(self)) as network:
            codes = network["codebook"].look_up(indices.to(self.device)).to(self.dtype)
            return network["likelihood"].mean(network["decoder"](codes))

    def reconstruct(self, images: Tensor) -> Tensor:
        """Return expected images (B, C, H, W) of the codes of `images`."""
        return self.decode(self.indices(images))

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        images = batch["image"]
        step = OptimizerStep(self, self.optimizers(use_pl_optimizer=False), self.gradients)
        for (part,) in micro_batches(self.gradients, images):
            losses, counts = self._losses(self.network, part)
            # in nats per pixel value, so that one learning rate suits images of any size
            step.backward(losses["loss"] / images[0].numel(), losses | self._use(counts))
        values = step.finish()
        follow(self, self.network)
        return finish_update(self, values)

    def on_validation_epoch_start(self) -> None:
        self._counts = torch.zeros(self.num_codes, device=self.device)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        losses, counts = self._losses(best(self), batch["image"])
        self._counts += counts
        report_evaluation(self, losses, num_images=len(batch["image"]))

    test_step = validation_step

    def on_validation_epoch_end(self) -> None:
        counts = from_all_processes(self._counts[None]).sum(0)
        report_evaluation(self, self._use(counts), num_images=1)

    on_test_epoch_start = on_validation_epoch_start
    on_test_epoch_end = on_validation_epoch_end

    def _losses(self, network: nn.ModuleDict, images: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """Return the loss and its terms, averaged over the batch, and the count of each code."""
        quantised = network["codebook"](network["encoder"](images))
        params = network["decoder"](quantised.codes)
        reconstruction = -log_likelihood(network["likelihood"], params, images).mean()
        commitment = quantised.commitment.mean()
        loss = reconstruction + self.commitment_weight * commitment
        parts = {"loss": loss, "reconstruction": reconstruction, "commitment": commitment}
        return parts, quantised.counts

    def _use(self, counts: Tensor) -> dict[str, Tensor]:
        """Return the share of codes that were chosen, and their perplexity."""
        usage, perplexity = self.network["codebook"].use(counts)
        return {"codebook_usage": usage, "codebook_perplexity": perplexity}
