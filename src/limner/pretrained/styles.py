"""Styles of a trained generator as numpy arrays: draw, paint, mix, move and project them.

    styles = limner.load("RUN").styles
    w = styles.draw(2, seed=0, truncation=0.7)
    images = styles.paint(styles.mix(w[:1], w[1:], layers=[0, 1, 2]))

A style code w is float32 (style_dim,). An image may have one code, or a code for each layer of the
generator, (num_styles, style_dim), the coarsest first. Noise inputs are zero.
"""

__all__ = ["Styles"]

import numbers
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from limner.errors import UserError
from limner.metrics.image_similarity import psnr
from limner.models.conditions import is_conditional
from limner.pretrained.arrays import to_numpy, to_tensor
from limner.pretrained.chosen_labels import check_number, chosen_condition
from limner.pretrained.draws import BATCH, Draws
from limner.pretrained.projection import Projection, perceptual_distance, project
from limner.pretrained.semantic_directions import semantic_directions


class Styles:
    """Styles of a trained model, see `TrainedModel.styles`.

    A conditional model takes `label` (the class of all images), `labels` (the class of each image)
    or `text`, as in `TrainedModel.sample`.

    Args:
        draws: Codes and styles of the model.
        data: Facts of the model's data.

    Raises:
        UserError: If the model has no styles.
    """

    def __init__(self, draws: Draws, data: Mapping[str, Any]) -> None:
        if draws.styles is None:
            name = type(draws.module).__name__
            raise UserError(f"{name} has no styles: train a model with network=stylegan2.")
        self._draws, self._data, self._space = draws, data, draws.styles

    @property
    def num_layers(self) -> int:
        """Number of layers that read a style."""
        return self._space.generator.num_styles

    def draw(
        self, num_images: int, *, seed: int = 0, truncation: float | None = None, **condition: Any
    ) -> np.ndarray:
        """Return the styles (num_images, style_dim) of the images that `sample` draws."""
        _check(num_images=num_images, seed=seed, truncation=truncation)
        given = self._given(num_images, **condition)
        found = []
        for block, start in enumerate(range(0, num_images, BATCH)):
            size = min(BATCH, num_images - start)
            codes, labels = self._draws.codes(seed, block)
            labels = labels if given is None else given[start : start + size]
            labels = None if labels is None else labels[:size].to(self._device)
            w = self._space.codes(codes[:size], labels)
            found.append(self._space.truncated(w, labels, truncation).cpu())
        return torch.cat(found).numpy()

    def of(
        self, latents: np.ndarray, *, truncation: float | None = None, **condition: Any
    ) -> np.ndarray:
        """Return the styles (N, style_dim) of latent codes (N, latent_dim)."""
        _check(num_images=len(latents), truncation=truncation)
        labels = self._needed(len(latents), **condition)
        codes, latent_dim = torch.as_tensor(np.asarray(latents, np.float32)), self._latent_dim
        if codes.ndim != 2 or codes.shape[1] != latent_dim:
            raise UserError(
                f"Latent codes of this model are (N, {latent_dim}), not {tuple(codes.shape)}."
            )
        w = self._space.codes(codes, labels)
        return self._space.truncated(w, labels, truncation).cpu().numpy()

    def mean(self, **condition: Any) -> np.ndarray:
        """Return the mean style (style_dim,), of a class or a text of a conditional model."""
        return self._space.mean(self._needed(1, **condition))[0].cpu().numpy()

    def paint(self, styles: np.ndarray) -> np.ndarray:
        """Return images, uint8 (N, H, W, C), of styles (N, style_dim) or one for each layer.

        Raises:
            UserError: If the shape is another one, or a number is not finite.
        """
        given = torch.as_tensor(np.asarray(styles, np.float32))
        dim = self._style_dim
        if given.shape[1:] not in ((dim,), (self.num_layers, dim)) or len(given) == 0:
            raise UserError(
                f"Styles of this model are (N, {dim}) or (N, {self.num_layers}, {dim}), not "
                f"{tuple(given.shape)}."
            )
        if not given.isfinite().all():
            raise UserError("Styles have numbers that are not finite.")
        with torch.no_grad():
            parts = [
                self._space.generator.paint(part.to(self._device)).float().cpu()
                for part in given.split(BATCH)
            ]
        return to_numpy(torch.cat(parts))

    def mix(
        self, styles: np.ndarray, others: np.ndarray, *, layers: Sequence[int] | None = None
    ) -> np.ndarray:
        """Return styles of each layer, (N, num_layers, style_dim).

        Args:
            styles: Styles (N, style_dim) of some layers.
            others: Styles (N, style_dim) of the other layers.
            layers: Layers that read `styles`; None for the coarser half.
        """
        chosen = self.layers(range(self.num_layers // 2) if layers is None else layers)
        styles, others = np.asarray(styles), np.asarray(others)
        shapes = [each.shape for each in (styles, others)]
        if shapes[0] != shapes[1] or shapes[0][1:] != (self._style_dim,):
            raise UserError(
                f"Styles to mix are (N, {self._style_dim}) twice, not {shapes[0]} and {shapes[1]}."
            )
        mixed = np.repeat(others[:, None], self.num_layers, axis=1)
        mixed[:, chosen] = styles[:, None]
        return mixed

    def directions(self, *, layers: Sequence[int] | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Return orthonormal directions (style_dim, style_dim), the strongest first, and shares.

        They are the directions of `semantic_directions`, for the given layers or all layers. The
        shares (style_dim,) sum to 1.
        """
        weights = self._space.generator.modulations()
        chosen = self.layers(range(self.num_layers) if layers is None else layers)
        found = semantic_directions([weights[layer] for layer in chosen])
        return tuple(each.float().numpy() for each in found)

    def walk(
        self,
        start: np.ndarray,
        directions: np.ndarray,
        distances: Sequence[float],
        *,
        layers: Sequence[int] | None = None,
        **condition: Any,
    ) -> np.ndarray:
        """Return images, uint8 (directions, distances, H, W, C), along directions from a style.

        Args:
            start: Style (style_dim,), or a style for each layer (num_layers, style_dim).
            directions: Directions (K, style_dim) of length 1.
            distances: Distances; 1 is the root mean square distance of a style from the mean.
            layers: Layers whose styles move; None for all layers.
            condition: Class or text whose styles have the distance 1 from their mean.
        """
        chosen = self.layers(range(self.num_layers) if layers is None else layers)
        unit = self._space.spread(self._needed(1, **condition)).item()
        start, directions = np.asarray(start), np.asarray(directions)
        dim = self._style_dim
        if start.shape not in ((dim,), (self.num_layers, dim)):
            raise UserError(
                f"A style of this model is ({dim},) or ({self.num_layers}, {dim}), not "
                f"{start.shape}."
            )
        if directions.shape[1:] != (dim,) or len(directions) == 0 or len(distances) == 0:
            raise UserError(
                f"A walk needs directions (K, {dim}) and distances, at least one each."
            )
        rows = []
        for direction in directions:
            w = np.broadcast_to(start, (len(distances), self.num_layers, self._style_dim)).copy()
            w[:, chosen] += unit * np.multiply.outer(np.asarray(distances), direction)[:, None]
            rows.append(self.paint(w))
        return np.stack(rows)

    def project(
        self,
        images: np.ndarray,
        *,
        num_updates: int = 1000,
        lr: float = 0.1,
        progress: Callable[[int], None] = lambda _: None,
        **condition: Any,
    ) -> Projection:
        """Return the styles whose images are nearest to pictures.

        `limner.pretrained.projection` states the loss and the schedules.

        Args:
            images: Pictures, uint8 (N, H, W, C), of the size of the model's images.
            num_updates: Number of updates, at least 0; 0 gives the mean style.
            lr: Largest learning rate, above 0.
            progress: Function that gets the number of completed updates.
            condition: Class or text of the pictures, for a conditional model.
        """
        if not isinstance(num_updates, numbers.Integral):
            raise UserError(f"num_updates={num_updates}: must be a whole number.")
        check_number("num_updates", num_updates, 0)
        check_number("lr", lr, 0)
        if lr == 0:
            raise UserError(f"lr={lr}: must be above 0.")
        pictures = to_tensor(images, self._data["image_shape"]).to(self._device)
        labels = self._needed(len(pictures), **condition)
        distance = perceptual_distance(pictures.shape[1])
        w = project(
            self._space, pictures, labels, distance=distance, num_updates=num_updates, lr=lr,
            progress=progress,
        )  # fmt: skip
        made = self.paint(w.cpu().numpy())
        shown = to_tensor(made, self._data["image_shape"]).to(self._device)
        with torch.no_grad():
            far, decibels = distance(shown, pictures), psnr(shown, pictures)
        return Projection(w.cpu().numpy(), made, far.cpu().numpy(), decibels.cpu().numpy())

    def layers(self, layers: Sequence[int]) -> list[int]:
        """Return a list of layers after a check.

        Raises:
            UserError: If there is none, one is listed twice, or there is no such layer.
        """
        chosen = list(layers)
        fits = 0 < len(set(chosen)) == len(chosen)
        if not fits or not all(0 <= layer < self.num_layers for layer in chosen):
            raise UserError(
                f"layers={chosen}: must be different layers from 0 (the coarsest) to "
                f"{self.num_layers - 1}."
            )
        return chosen

    @property
    def _device(self) -> torch.device:
        return next(self._draws.module.parameters()).device

    @property
    def _latent_dim(self) -> int:
        return self._space.generator.latent_dim

    @property
    def _style_dim(self) -> int:
        return self._space.generator.modulations()[0].shape[1]

    def _given(self, num_images: int, **condition: Any) -> Tensor | None:
        found = chosen_condition(self._draws.module, self._data, num_images, **condition)
        return None if found is None else found.to(self._device)

    def _needed(self, num_images: int, **condition: Any) -> Tensor | None:
        """Return the classes or texts of images, which a conditional model needs."""
        found = self._given(num_images, **condition)
        if found is None and is_conditional(self._draws.module):
            name = type(self._draws.module).__name__
            raise UserError(f"Styles of this conditional {name} need label, labels or text.")
        return found


def _check(*, num_images: int, seed: int = 0, truncation: float | None) -> None:
    """Raise UserError unless there is an image, and the other numbers are at least 0."""
    check_number("num_images", num_images, 1)
    check_number("seed", seed, 0)
    check_number("truncation", 0 if truncation is None else truncation, 0)
