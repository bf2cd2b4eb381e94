"""A trained model with numpy images as inputs and outputs.

Images are uint8 (N, H, W, C), and sequences of frames (N, T, H, W, C). EMA weights are used if the
model has them. Batches have one size, so that image i of a seed does not depend on their number.
"""

__all__ = ["TrainedModel"]

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from limner.errors import UserError
from limner.files.printable import printable
from limner.interfaces import Encodes, Generates, Reconstructs, Samples
from limner.models.conditions import is_conditional
from limner.pretrained.arrays import to_numpy, to_tensor
from limner.pretrained.chosen_labels import check_number, chosen_condition
from limner.pretrained.code_paths import linear, spherical
from limner.pretrained.draws import BATCH, Draws
from limner.pretrained.picture_transform import TILE, PictureTransform, Transforms, transformed
from limner.pretrained.styles import Styles
from limner.pretrained.video_transform import PredictsFrames, predicted


class TrainedModel:
    """A trained model on a device.

    Args:
        module: LightningModule with its trained weights.
        config: Config of the model as plain data, with the facts of the data under `data`.
        update: Update at which the weights were saved; None if unknown.
        source: Folder or address from which the weights were read.
    """

    def __init__(
        self, module: nn.Module, *, config: Mapping[str, Any], update: int | None, source: str
    ) -> None:
        self.module, self.config = module.eval(), config
        self.update, self.source = update, source
        self.image_shape: tuple[int, ...] = tuple(config["data"]["image_shape"])
        self.num_classes: int = config["data"]["num_classes"]
        self.reads_frames: bool = getattr(module, "reads_frames", False)
        self.reads_text: bool = getattr(module, "reads_text", False)
        self._draws, self._transforms = Draws(module), dict[str, PictureTransform]()

    def __repr__(self) -> str:
        channels, height, width = self.image_shape
        images = f"{height}x{width}x{channels} {'frames' if self.reads_frames else 'images'}"
        if isinstance(self.module, Transforms):
            images = f"images of any size with {channels} channels"
        parameters = sum(p.numel() for p in self.module.parameters() if p.requires_grad)
        return (
            f"<{self._name} of {images}, {parameters:,} parameters, "
            f"update {self.update}, from {printable(self.source)}>"
        )

    def sample(
        self,
        num_images: int,
        *,
        seed: int = 0,
        label: int | None = None,
        labels: Sequence[int] | None = None,
        text: str | Sequence[str] | None = None,
        truncation: float | None = None,
    ) -> np.ndarray:
        """Draw images.

        Args:
            num_images: Number of images, at least 1.
            seed: Seed, at least 0. Image i depends only on the seed and on i.
            label: Class of all images, for a conditional model.
            labels: Class of each image, instead of `label`. Without both, classes are drawn with
                equal probability.
            text: Text of all images, or of each image, for a model that reads texts. Without it,
                texts are drawn from 256 training captions. A warning names unknown words.
            truncation: Factor of the latent codes, at least 0. With a factor below 1, samples are
                better, less varied and closer to the average image. For a style generator, it is
                the factor of each style's distance to the mean style of its class.

        Returns:
            Images, uint8 (num_images, H, W, C).

        Raises:
            UserError: If the model cannot do this, or an argument is out of its range.
        """
        chosen = {"label": label, "labels": labels, "text": text, "truncation": truncation}
        return np.concatenate(list(self.batches(num_images, seed=seed, **chosen)))

    def batches(
        self,
        num_images: int,
        *,
        seed: int = 0,
        label: int | None = None,
        labels: Sequence[int] | None = None,
        text: str | Sequence[str] | None = None,
        truncation: float | None = None,
    ) -> Iterator[np.ndarray]:
        """Yield the images of `sample` in batches, for more images than fit in memory."""
        check_number("num_images", num_images, 1)
        check_number("seed", seed, 0)
        if not isinstance(self.module, Samples):
            raise UserError(f"{self._name} draws no images{self.instead}.")
        if truncation is not None:
            check_number("truncation", truncation, 0)
            self._needs(Generates, "no latent codes to truncate")
        given = self._given(num_images, label=label, labels=labels, text=text)
        batches = self._draws.batches(num_images, seed, given[0] if given else None, truncation)
        return (to_numpy(images.cpu()) for images in batches)

    def latents(self, num_images: int, *, seed: int = 0) -> np.ndarray:
        """Return the codes that `sample` draws, float32 (num_images, latent_dim).

        The noise inputs of a style generator are not part of the codes, and zero in `decode`.
        """
        self._needs(Generates, "no latent codes")
        check_number("num_images", num_images, 1)
        check_number("seed", seed, 0)
        return self._draws.latents(num_images, seed).numpy()

    def decode(
        self,
        latents: np.ndarray,
        *,
        label: int | None = None,
        labels: Sequence[int] | None = None,
        text: str | Sequence[str] | None = None,
        truncation: float | None = None,
    ) -> np.ndarray:
        """Return uint8 images (N, H, W, C) of codes (N, latent_dim), truncated as in `sample`.

        A conditional model needs `label`, `labels` or `text`.
        """
        self._needs(Generates, "no latent codes")
        check_number("truncation", 1 if truncation is None else truncation, 0)
        codes = torch.as_tensor(np.asarray(latents, np.float32))
        if codes.ndim != 2 or codes.shape[1] != self.module.latent_dim:
            raise UserError(
                f"Latent codes of {self._name} are (N, {self.module.latent_dim}), not "
                f"{tuple(codes.shape)}."
            )
        more = self._given(len(codes), label=label, labels=labels, text=text)
        if not more and self.is_conditional:
            needed = "a text: it reads texts." if self.reads_text else "labels: it is conditional."
            raise UserError(f"Codes of this {self._name} need {needed}")
        generate = functools.partial(self._draws.images, truncation=truncation)
        return to_numpy(self._by_batch(generate, codes, *more))

    def encode(self, images: np.ndarray, **condition: Any) -> np.ndarray:
        """Return mean codes (N, latent_dim) of images, given `label`, `labels` or `text`."""
        self._needs(Encodes, "no encoder")
        more = self._given(len(images), **condition)
        return self._by_batch(self.module.encode, self._read(images), *more).numpy()

    def reconstruct(self, images: np.ndarray, **condition: Any) -> np.ndarray:
        """Return uint8 reconstructions of uint8 images, both (N, H, W, C); see `encode`."""
        self._needs(Reconstructs, "no encoder")
        more = self._given(len(images), **condition)
        return to_numpy(self._by_batch(self.module.reconstruct, self._read(images), *more))

    def transform(
        self, images: Any, mask: Any = None, *, tile: int | None = TILE, **choices: str | None
    ) -> Any:
        """Return the pictures that the model makes of pictures of any size.

        Args:
            images: Picture uint8 (H, W, C) or PIL image; an array of several (N, H, W, C); or a
                list of pictures. Grey (H, W) and colours are converted to what the model reads.
                For a model of several views, several pictures are the views of one picture.
            mask: For a model that fills holes: bool or uint8 (H, W), 0 in a hole, or a mask for
                each picture. Pixels with an alpha below 255 are holes, too.
            tile: Height and width in pixels of the parts in which a large input is processed; None
                for whole pictures. The result does not depend on it.
            choices: `direction`, `style`, or `num_targets` of a video prediction, see `predicted`.

        Returns:
            Picture uint8 (scale * H, scale * W, C), or an array or list of as many as `images`.

        Raises:
            UserError: If the model draws pictures instead, or a picture or choice does not fit it.
        """
        if isinstance(self.module, PredictsFrames):
            return predicted(self.module, images, mask, self.image_shape[0], **choices)
        return transformed(self.picture_transform(**choices), images, mask, tile=tile)

    def picture_transform(self, **choices: str | None) -> PictureTransform:
        """Return the function behind `transform`, for one picture; raises the same errors."""
        if not isinstance(self.module, Transforms):
            raise UserError(f"{self._name} transforms no pictures{self.instead}.")
        key = str(sorted(choices.items()))
        if key not in self._transforms:
            self._transforms[key] = PictureTransform(self.module, self.config["data"], choices)
        return self._transforms[key]

    def interpolate(
        self,
        a: np.ndarray,
        b: np.ndarray,
        num_steps: int,
        *,
        mode: Literal["linear", "spherical"] = "linear",
        label: int | None = None,
        text: str | None = None,
        truncation: float | None = None,
    ) -> np.ndarray:
        """Return images that interpolate between `a` and `b`, both ends included.

        Args:
            a: First end: a latent code (latent_dim,), or a uint8 image (H, W, C) for models that
                encode.
            b: Second end, in the same form.
            num_steps: Number of images, at least 2.
            mode: "linear", or "spherical" for the great circle, since codes from N(0, I) lie near
                a sphere.
            label: Class of all images, which a conditional model needs.
            text: Text of all images, which a model that reads texts needs.
            truncation: Factor of the codes or the styles, as in `sample`.

        Returns:
            Images, uint8 (num_steps, H, W, C).
        """
        check_number("num_steps", num_steps, 2)
        if mode not in ("linear", "spherical"):
            raise UserError(f"mode={mode}: choose linear or spherical.")
        ends = [self._code(end, label=label, text=text) for end in (a, b)]
        path = linear if mode == "linear" else spherical
        codes = path(*ends, np.linspace(0, 1, num_steps)[:, None])
        return self.decode(codes, label=label, text=text, truncation=truncation)

    @property
    def is_conditional(self) -> bool:
        """Whether the model takes the class or the text of an image."""
        return is_conditional(self.module)

    @property
    def has_styles(self) -> bool:
        """Whether the model's generator maps codes to styles, as network=stylegan2 does."""
        return self._draws.styles is not None

    @property
    def styles(self) -> Styles:
        """The styles of a model with a style generator; raises `UserError` for other models."""
        return Styles(self._draws, self.config["data"])

    @property
    def _name(self) -> str:
        return type(self.module).__name__

    @property
    def _device(self) -> torch.device:
        return next(self.module.parameters()).device

    @property
    def instead(self) -> str:
        """The command that fits the model, for a message; "" if there is none."""
        if isinstance(self.module, Transforms):
            return "; it transforms pictures: limner transform, or transform() in Python"
        can_draw = isinstance(self.module, Samples)
        return "; it draws them: limner sample, or sample() in Python" if can_draw else ""

    def _needs(self, protocol: type, lack: str) -> None:
        if not isinstance(self.module, protocol):
            changes = isinstance(self.module, Transforms)
            raise UserError(f"{self._name} has {lack}{self.instead if changes else ''}.")

    def _given(self, num_images: int, **condition: Any) -> list[Tensor]:
        """Return the classes or texts of images on the device, in a list; [] if none are given."""
        found = chosen_condition(self.module, self.config["data"], num_images, **condition)
        return [] if found is None else [found.to(self._device)]

    def _code(self, end: np.ndarray, **condition: Any) -> np.ndarray:
        if np.ndim(end) != 1:
            return self.encode(np.asarray(end)[None], **condition)[0]
        return np.asarray(end, np.float32)

    def _read(self, images: np.ndarray) -> Tensor:
        return to_tensor(images, self.image_shape, are_frames=self.reads_frames)

    def _by_batch(self, function: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
        batches = zip(*(each.to(self._device).split(BATCH) for each in inputs), strict=True)
        return torch.cat([function(*batch).float().cpu() for batch in batches])
