"""Pictures of a model's latent codes: interpolations, traversals, the KL of each dimension."""

__all__ = ["Codes", "collapse"]

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol, runtime_checkable

import lightning as L
import torch
from matplotlib.figure import Figure
from torch import Tensor

from limner.callbacks.pictures import grid, save
from limner.callbacks.validation_images import held_out
from limner.metrics.latents import active_units
from limner.warn_once import WarnOnce

log = logging.getLogger(__name__)

NUM_ROWS, NUM_STEPS, REACH = 8, 11, 3.0
MANIFOLD = 20  # images on each side of the manifold picture
SHARE = 0.1  # fraction of active units below which the posterior has collapsed


@runtime_checkable
class Posterior(Protocol):
    """Model with a posterior q(z | x) = N(mean, exp(logvar))."""

    latent_dim: int

    def posterior(self, images: Tensor, labels: Tensor | None = None) -> tuple[Tensor, Tensor]: ...
    def generate(self, z: Tensor, labels: Tensor | None = None) -> Tensor: ...


class Codes(L.Callback):
    """Callback that writes pictures of latent codes, and warns of posterior collapse.

    The names of the pictures begin with `samples/update_<n>`, and at the end of training with
    `final`. The pictures are

        ..._interpolations.png    interpolations between the codes of held-out images
        ..._traversal.png         a row for each of the 8 dimensions with the largest KL, with
                                  values from -3 to 3
        ..._manifold.png          a grid of codes, only if codes have two dimensions
        ..._kl.png                the KL of each dimension

    The callback also logs `val/active_units`.

    Args:
        every_num_updates: Number of updates between pictures, at least 1; also the first update
            at which to warn of a collapse.
        num_images: Number of held-out images to encode, at least 2.
    """

    def __init__(self, *, every_num_updates: int, num_images: int) -> None:
        if every_num_updates < 1 or num_images < 2:
            raise ValueError(
                "callbacks.codes: every_num_updates must be 1 or more, num_images 2 or more."
            )
        self.every_num_updates, self.num_images = every_num_updates, num_images
        self.writing = WarnOnce("Writing pictures of codes", OSError)
        self._has_warned = False

    def on_train_batch_end(
        self, trainer: L.Trainer, model: L.LightningModule, *args: object
    ) -> None:
        if trainer.global_step % self.every_num_updates == 0:
            self._look(trainer, model, f"samples/update_{trainer.global_step:08d}")

    def on_train_end(self, trainer: L.Trainer, model: L.LightningModule) -> None:
        self._look(trainer, model, "final")

    def _look(self, trainer: L.Trainer, model: L.LightningModule, name: str) -> None:
        if not trainer.is_global_zero or not isinstance(model, Posterior):
            return
        images, labels = held_out(trainer, model, self.num_images)
        mean, logvar = model.posterior(images, *labels)
        kl = 0.5 * (mean.square() + logvar.exp() - logvar - 1).float().mean(0).cpu()
        active = active_units(mean.float().cpu()) if len(mean) > 1 else model.latent_dim
        for logger in trainer.loggers:
            logger.log_metrics({"val/active_units": active}, step=trainer.global_step)
        warning = collapse(active, model.latent_dim)
        if warning and trainer.global_step >= self.every_num_updates and not self._has_warned:
            log.warning("%s", warning)
            self._has_warned = True
        with self.writing():
            folder = Path(trainer.default_root_dir, name)
            for kind, columns, drawn in _walks(model, mean, labels, kl):
                save(grid(drawn, columns=columns), Path(f"{folder}_{kind}.png"))
            _draw_bars(kl, f"{folder}_kl.png")


def collapse(active: int, latent_dim: int) -> str | None:
    """Return a warning if too few dimensions of z depend on the image; None otherwise.

    Args:
        active: Number of dimensions of z that depend on the image.
        latent_dim: Number of dimensions of z.
    """
    if active >= SHARE * latent_dim:
        return None
    return (
        f"Posterior collapse: {active} of {latent_dim} latent dimensions depend on the image. The "
        "usual cures: model/kl_schedule=linear, model.objective.free_bits=0.1, a smaller "
        "model.kl_weight, a smaller sigma of the likelihood, a weaker decoder."
    )


def _walks(
    model: Posterior, mean: Tensor, labels: list[Tensor], kl: Tensor
) -> Iterator[tuple[str, int, Tensor]]:
    """Yield the name, the number of columns and the images of each picture.

    Args:
        model: The model that decodes the codes.
        mean: Codes (N, D) of held-out images.
        labels: List with the labels (N,) of the images; [] for a model without classes.
        kl: KL (D,) of each dimension, in nats.
    """
    steps = torch.linspace(0, 1, NUM_STEPS, device=mean.device)[:, None]
    pairs = range(min(NUM_ROWS, len(mean) // 2))
    between = [mean[2 * i] + steps * (mean[2 * i + 1] - mean[2 * i]) for i in pairs]
    of_first = [[part[2 * i].expand(NUM_STEPS) for part in labels] for i in pairs]
    if between:
        yield "interpolations", NUM_STEPS, _drawn(model, between, of_first)

    values = torch.linspace(-REACH, REACH, NUM_STEPS, device=mean.device)
    along = []
    for dimension in kl.argsort(descending=True)[:NUM_ROWS].tolist():
        codes = mean[:1].repeat(NUM_STEPS, 1)
        codes[:, dimension] = values
        along.append(codes)
    one = [part[:1] for part in labels]
    yield "traversal", NUM_STEPS, _drawn(model, along, [[p.expand(NUM_STEPS) for p in one]] * 8)

    if mean.shape[1] == 2:
        axis = torch.special.ndtri((torch.arange(MANIFOLD, device=mean.device) + 0.5) / MANIFOLD)
        codes = torch.cartesian_prod(-axis, axis).flip(1)  # quantiles of N(0, 1), y upwards
        classes = [[part.expand(len(codes)) for part in one]]
        yield "manifold", MANIFOLD, _drawn(model, [codes], classes)


def _drawn(model: Posterior, rows: list[Tensor], labels: list[list[Tensor]]) -> Tensor:
    return torch.cat([model.generate(z, *y) for z, y in zip(rows, labels, strict=False)])


def _draw_bars(kl: Tensor, path: str) -> None:
    """Draw the KL of each dimension in nats as bars, the largest first."""
    figure = Figure(figsize=(6, 3))  # matplotlib's automatic layout would draw everything twice
    axes = figure.add_axes((0.12, 0.17, 0.86, 0.79))
    axes.stairs(kl.sort(descending=True).values.tolist(), fill=True)
    axes.set(xlabel="latent dimension, by KL", ylabel="KL in nats")
    figure.savefig(path, dpi=100)
