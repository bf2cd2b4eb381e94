"""Pictures of a model's latent codes: interpolations, traversals, the KL of each dimension."""

__all__ = ["Codes", "collapse"]

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

import lightning as L
import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from limner.callbacks.films import film, write_film
from limner.callbacks.picture_labels import with_labels
from limner.callbacks.pictures import grid
from limner.callbacks.run_pictures import PeriodicPictures, write_picture
from limner.callbacks.validation_images import held_out
from limner.metrics.latents import active_units

log = logging.getLogger(__name__)

NUM_ROWS, NUM_STEPS, REACH = 8, 11, 3.0
SPEED = 8.0  # frames per second of films
MANIFOLD = 20  # images on each side of the manifold picture
NAMED = 32  # largest number of bars with a name; more names would overlap
SHARE = 0.1  # fraction of active units below which the posterior has collapsed


@runtime_checkable
class Posterior(Protocol):
    """Model with a posterior q(z | x) = N(mean, exp(logvar))."""

    latent_dim: int

    def posterior(self, images: Tensor, labels: Tensor | None = None) -> tuple[Tensor, Tensor]: ...
    def generate(self, z: Tensor, labels: Tensor | None = None) -> Tensor: ...


class Walk(NamedTuple):
    """Images of codes along lines or on a grid."""

    kind: str
    """Name of the picture."""
    about: str
    """Description, for the second line of the picture and for loggers."""
    images: Tensor
    """Images (N, C, H, W) or sequences (N, T, C, H, W) in [-1, 1], row by row."""
    rows: Sequence[str]
    """Label of each row; () for none."""
    columns: Sequence[str]
    """Label of each column."""


class Codes(PeriodicPictures):
    """Callback that writes pictures of latent codes, and warns of posterior collapse.

    The names of the pictures begin with `samples/update_<n>`, and at the end of training with
    `final`. The pictures are

        ..._interpolations.png    interpolations between the codes of held-out images
        ..._traversal.png         a row for each of the 8 dimensions with the largest KL, with
                                  values from -3 to 3
        ..._manifold.png          a grid of codes, only if codes have two dimensions
        ..._kl.png                the KL of each dimension

    For a model of sequences, the pictures show the middle frame of each sequence, and a GIF with
    the same name shows all frames. Loggers that accept images get the pictures too. The callback
    also logs `val/active_units`.

    Args:
        every_num_updates: Smallest number of updates between pictures, at least 1; also the first
            update at which to warn of a collapse.
        num_images: Number of held-out images to encode, at least 2.
    """

    key, fewest = "codes", 2
    _has_warned = False

    def draw(self, trainer: L.Trainer, model: L.LightningModule, name: str) -> None:
        if not isinstance(model, Posterior):
            return
        images, labels = held_out(trainer, model, self.num_images)
        mean, logvar = model.posterior(images, *labels)
        kl = 0.5 * (mean.square() + logvar.exp() - logvar - 1).float().mean(0).cpu()
        active = active_units(mean.float().cpu()) if len(mean) > 1 else model.latent_dim
        for logger in trainer.loggers:
            logger.log_metrics({"val/active_units": active}, step=trainer.global_step)
        warning = collapse(active, model.latent_dim)
        if warning and trainer.global_step >= self.interval.every and not self._has_warned:
            log.warning("%s", warning)
            self._has_warned = True
        with self.writing():
            for walk in _walks(model, mean, labels, kl):
                if walk.images.ndim == 5:
                    walk = self._film(trainer, walk, f"{name}_{walk.kind}")
                picture = with_labels(
                    grid(walk.images, columns=len(walk.columns)),
                    title=f"{walk.kind.capitalize()} of codes, update {trainer.global_step:,}",
                    about=walk.about,
                    rows=walk.rows,
                    columns=walk.columns,
                )
                write_picture(
                    trainer, picture, f"{name}_{walk.kind}", key=walk.kind, caption=walk.about
                )
            what = "KL of each latent dimension"
            bars = _bars(kl, title=f"{what}, update {trainer.global_step:,}")
            caption = f"{what} in nats, the largest first."
            write_picture(trainer, bars, f"{name}_kl", key="kl", caption=caption)

    def _film(self, trainer: L.Trainer, walk: Walk, name: str) -> Walk:
        """Write a film of a walk through sequences; return the walk of their middle frames."""
        path = Path(trainer.default_root_dir, f"{name}.gif")
        moving = film(walk.images, columns=len(walk.columns))
        write_film(path, moving, frames_per_second=SPEED)
        about = walk.about.replace("held-out image", "held-out sequence")
        about = f"{about} Each image is the middle frame of a sequence; {path.name} moves."
        return walk._replace(images=walk.images[:, walk.images.shape[1] // 2], about=about)


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


def _walks(model: Posterior, mean: Tensor, labels: list[Tensor], kl: Tensor) -> Iterator[Walk]:
    """Yield the walks through the space of codes.

    Args:
        model: The model that decodes the codes.
        mean: Codes (N, D) of held-out images.
        labels: List with the classes (N,) or texts (N, L) of the images; [] for a model without.
        kl: KL (D,) of each dimension, in nats.
    """
    steps = torch.linspace(0, 1, NUM_STEPS, device=mean.device)[:, None]
    pairs = range(min(NUM_ROWS, len(mean) // 2))
    between = [mean[2 * i] + steps * (mean[2 * i + 1] - mean[2 * i]) for i in pairs]
    of_first = [[_repeated(part[2 * i], NUM_STEPS) for part in labels] for i in pairs]
    if between:
        yield Walk(
            "interpolations",
            "Each row goes from the code of one held-out image to the code of a second. The "
            "numbers are the weights of the second code.",
            _drawn(model, between, of_first),
            rows=(),
            columns=[f"{weight:.1f}" for weight in steps.flatten().tolist()],
        )

    values = torch.linspace(-REACH, REACH, NUM_STEPS, device=mean.device)
    dimensions = kl.argsort(descending=True)[:NUM_ROWS].tolist()
    along = []
    for dimension in dimensions:
        codes = mean[:1].repeat(NUM_STEPS, 1)
        codes[:, dimension] = values
        along.append(codes)
    first = [part[0] for part in labels]
    yield Walk(
        "traversal",
        "Each row changes one dimension of the code of a held-out image to the values above. The "
        "dimensions with the largest KL, in nats, are shown.",
        _drawn(model, along, [[_repeated(p, NUM_STEPS) for p in first]] * NUM_ROWS),
        rows=[f"z[{dimension}]  KL {kl[dimension]:.2f}" for dimension in dimensions],
        columns=[f"{value:z.1f}" for value in values.tolist()],
    )

    if mean.shape[1] == 2:
        axis = torch.special.ndtri((torch.arange(MANIFOLD, device=mean.device) + 0.5) / MANIFOLD)
        codes = torch.cartesian_prod(-axis, axis).flip(1)  # quantiles of N(0, 1), y upwards
        conditions = [[_repeated(part, len(codes)) for part in first]]
        marks = [f"{value:.2f}" for value in axis.tolist()]
        yield Walk(
            "manifold",
            "Each image has a code of two dimensions: z[0] is above, z[1] on the left. The values "
            "are quantiles of N(0, 1).",
            _drawn(model, [codes], conditions),
            rows=marks[::-1],
            columns=marks,
        )


def _repeated(condition: Tensor, num: int) -> Tensor:
    """Return a class () as (num,), or a text (L,) as (num, L)."""
    return condition.expand(num, *condition.shape)


def _drawn(model: Posterior, rows: list[Tensor], labels: list[list[Tensor]]) -> Tensor:
    return torch.cat([model.generate(z, *y) for z, y in zip(rows, labels, strict=False)])


def _bars(kl: Tensor, *, title: str) -> Image.Image:
    """Draw the KL of each dimension in nats as bars, the largest first."""
    values, order = kl.sort(descending=True)
    figure = Figure(figsize=(8, 3), dpi=100)  # an automatic layout would draw everything twice
    axes = figure.add_axes((0.08, 0.17, 0.9, 0.72))
    axes.stairs(values.tolist(), torch.arange(-0.5, len(kl)).tolist(), fill=True)
    axes.set(xlabel="latent dimensions, the largest KL first", ylabel="KL in nats", title=title)
    if len(kl) <= NAMED:
        axes.set_xticks(range(len(kl)), order.tolist(), fontsize="small")
        axes.set_xlabel("index i of the latent dimension z[i], the largest KL first")
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
