"""Video prediction: a network continues a sequence of frames.

    loss(x) = sum_k weight_k loss_k(network(x_1 ... x_n), x_{n+1} ... x_{n+m})

Each loss is the mean over the predicted frames.

A network that reads its own predictions may read true frames instead in training, each with the
probability that a schedule gives to the update: scheduled sampling of Bengio et al. (2015),
https://arxiv.org/abs/1506.03099.
"""

__all__ = ["VideoPrediction"]

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from limner.errors import UserError
from limner.files.printable import counted
from limner.interfaces import Batch, OptimizerFactory, Schedule
from limner.models.ema import best, evaluating, follow
from limner.models.gradients import Gradients
from limner.models.image_to_image import ImageToImage, PairLoss
from limner.models.lightning_internals import finish_update, report_evaluation
from limner.randomness import Noise


class VideoPrediction(ImageToImage):
    """Model that predicts the next `num_targets` frames of sequences from `num_inputs` frames.

    The network returns a logit l for each pixel value, which stands for the value tanh(l / 2).
    A sequence whose loss or gradient is not finite is left out of the mean, see `ImageToImage`.

    Args:
        network: Network `network(inputs, num_targets)` from frames (B, T, C, H, W) to logits
            (B, num_targets, C, H, W) with the attribute `feeds_back`; if it is true, the network
            also takes `truth` and `reads_truth`, see `limner.networks.conv_lstm`. In training the
            logits of the last input frames may stand before them.
        losses: Losses by name, of single frames. A loss that `reads_logits` gets logits.
        num_inputs: Number of frames that are read, at least 1.
        num_targets: Number of frames that are predicted in training and for scores, at least 1.
        scheduled_sampling: Schedule of the probability with which a step of training reads the
            true frame instead of the prediction; None to always read predictions.
        optimizer: Factory of the optimizer.
        gradients: Options of gradient accumulation and clipping.
        ema_half_life: Number of sequences after which an old weight counts half in the average
            that predictions and scores use; None for no average.
    """

    reads_input = False
    reads_frames = True
    returns_logits = True
    fitting_losses = "bernoulli, pixel_l2, pixel, ssim or perceptual, or several"

    def __init__(
        self,
        *,
        network: nn.Module,
        losses: Mapping[str, PairLoss],
        num_inputs: int,
        num_targets: int,
        scheduled_sampling: Schedule | None,
        optimizer: OptimizerFactory,
        gradients: Gradients,
        ema_half_life: float | None,
    ) -> None:
        if min(num_inputs, num_targets) < 1:
            raise ValueError(
                f"data.num_inputs={num_inputs} and data.num_targets={num_targets}: must be 1 or "
                "more."
            )
        if scheduled_sampling is not None and not network.feeds_back:
            raise ValueError(
                "model/scheduled_sampling needs a network that reads its own predictions:\n"
                "choose network=conv_lstm, or model/scheduled_sampling=none."
            )
        for name in ("start", "end"):
            share = getattr(scheduled_sampling, name, 0.0)
            if not 0 <= share <= 1:
                raise ValueError(
                    f"model.scheduled_sampling.{name}={share}: must be in [0, 1] (a probability)."
                )
        super().__init__(
            network=network, losses=losses, scale=1, optimizer=optimizer, gradients=gradients,
            ema_half_life=ema_half_life,
        )  # fmt: skip
        self.num_inputs, self.num_targets = num_inputs, num_targets
        self.scheduled_sampling = scheduled_sampling
        self.noise = Noise()

    def transform(self, inputs: Tensor, num_targets: int | None = None) -> Tensor:
        """Return the next frames (B, num_targets, C, H, W) in [-1, 1], with the EMA weights.

        Args:
            inputs: Frames (B, T, C, H, W) in [-1, 1]; the last `num_inputs` of them are read.
            num_targets: Number of frames to predict, at least 1; None for the number of training.

        Raises:
            UserError: If there are fewer than `num_inputs` frames.
        """
        if inputs.shape[1] < self.num_inputs:
            raise UserError(
                f"This model predicts from {counted(self.num_inputs, 'frame')}, and the sequence "
                f"has {inputs.shape[1]}."
            )
        return _images(self._logits(inputs[:, -self.num_inputs :], num_targets))

    forward = transform

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        frames = batch["frames"]
        optimizer = self.optimizers(use_pl_optimizer=False)
        more, values = [], {}
        if self.scheduled_sampling is not None:
            share = self.scheduled_sampling(self.global_step)
            more = [self.noise.uniform(frames, self.num_targets - 1) < share]
            values = {"true_frames": torch.tensor(share, device=self.device)}
        # the whole sequence is the input too, since a step may read true frames
        found, _ = self._network_step(optimizer, frames, frames, *more)
        follow(self, self.network)
        return finish_update(self, found | values)

    def validation_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        frames = batch["frames"]
        logits = self._logits(frames[:, : self.num_inputs], None)
        means = {name: values.mean() for name, values in self._losses(logits, frames).items()}
        report_evaluation(self, means, num_images=len(frames))
        return {"output": _images(logits)}

    test_step = validation_step

    def _logits(self, inputs: Tensor, num_targets: int | None) -> Tensor:
        with evaluating(best(self)) as network:
            number = self.num_targets if num_targets is None else num_targets
            return network(inputs.to(self.device, self.dtype), number)

    def _output(self, frames: Tensor, reads_truth: Tensor | None = None) -> Tensor:
        """Return logits of the last frames of sequences (B, num_inputs + num_targets, C, H, W)."""
        inputs, truth = frames.split([self.num_inputs, self.num_targets], 1)
        if reads_truth is None:
            return self.network(inputs, self.num_targets)
        return self.network(inputs, self.num_targets, truth, reads_truth)

    def _losses(self, output: Tensor, frames: Tensor, *more: Tensor) -> dict[str, Tensor]:
        """Return the sum of the losses, and each loss by its name, (B,), as means over frames.

        Args:
            output: Logits (B, N, C, H, W) of the last N frames.
            frames: Sequences (B, T, C, H, W).
            more: Which true frames the network has read; the losses do not need it.
        """
        number = output.shape[1]
        logits, targets = output.flatten(0, 1), frames[:, -number:].flatten(0, 1)
        images = _images(logits)
        found = {
            name: loss(logits if getattr(loss, "reads_logits", False) else images, targets)
            .unflatten(0, (-1, number))
            .mean(1)
            for name, loss in self.losses.items()
        }
        total = sum(self.losses[name].weight * values for name, values in found.items())
        return {"loss": total} | found


def _images(logits: Tensor) -> Tensor:
    return torch.tanh(logits / 2)
