"""Trial of a user's own networks and losses on two images, before training.

A trial works on a copy of a part in evaluation mode, and torch's random state is restored. A run
that has only limner's own parts tries nothing.
"""

__all__ = ["part_of", "try_own_parts"]

import copy
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import lightning as L
import torch
from omegaconf import DictConfig
from torch import Tensor, nn

from limner.errors import UserError
from limner.files.own_code import origin
from limner.interfaces import label_kwargs, trait
from limner.losses.penalty import Pairs, Penalty
from limner.models import (
    GAN,
    VAE,
    VAEGAN,
    AdversarialImageToImage,
    Classifier,
    CycleGAN,
    ImageToImage,
    SequenceVAE,
    VideoPrediction,
)
from limner.models.adversarial_checks import is_relativistic, num_draws_of
from limner.models.conditions import is_conditional
from limner.models.text import TextDiscriminator, TextGenerator
from limner.models.variational import is_ladder
from limner.training.tried_part import NUM_IMAGES, TriedPart

log = logging.getLogger(__name__)

TOLERANCE = 0.05
"""Largest excess of a generator's values over [-1, 1] that gives no warning."""
ROLES = ("generator", "discriminator", "encoder", "decoder")


def try_own_parts(
    config: DictConfig, model: L.LightningModule, *, image_shape: Sequence[int]
) -> None:
    """Try each part of a model that is no class of limner on two images; change no state.

    A generator whose values are outside [-1, 1] gets a warning.

    Args:
        config: Config of the run.
        model: The model, built from the config, before its training.
        image_shape: Shape (C, H, W) of an image.

    Raises:
        UserError: If an output has the wrong shape, or a part raises an exception.
    """
    input_shape = tuple(config.data.get("input_shape") or image_shape)
    trials = _Trials(model, config.model, tuple(image_shape), input_shape)
    parts = {role: part_of(model, role) for role in ROLES}
    if isinstance(model, Classifier):
        parts["classifier"] = model.network
    if isinstance(model, VAE):
        parts["likelihood"] = model.network["likelihood"]
    if isinstance(model, VAEGAN):
        parts["loss"] = model.loss
    if isinstance(model, GAN | AdversarialImageToImage):
        parts["loss"], parts["auxiliary"] = model.objective.loss, model.objective.auxiliary
        parts["augmentation"] = model.augmentation
        parts |= {f"penalty.{name}": each.function for name, each in model.penalty.items()}
    if isinstance(model, CycleGAN):  # the parts of both domains are of the same classes
        parts["restorer"], parts["discriminator"] = model.network["ab"], model.discriminators["b"]
        parts["loss"], parts["augmentation"] = model.objective_b.loss, model.augmentation_b
        parts |= {f"penalty.{name}": each.function for name, each in model.penalty_b.items()}
    if isinstance(model, ImageToImage):
        role = "predictor" if isinstance(model, VideoPrediction) else "restorer"
        parts[role] = model.network
        parts |= {f"losses.{name}": loss for name, loss in model.losses.items()}
    for name, part in parts.items():
        group = "network" if name in (*ROLES, "classifier", "restorer", "predictor") else "model"
        named = TriedPart(f"{group}.{name}", part)
        if part is not None and origin(type(part)) != "limner":
            getattr(trials, name.partition(".")[0])(named)


def part_of(model: L.LightningModule, role: str) -> nn.Module | None:
    """Return a network by its role; None if the model has none of this role.

    The network of a model that reads texts is the one that reads their codes.
    """
    if not isinstance(model, GAN | VAE | VAEGAN | AdversarialImageToImage):
        return None
    networks = getattr(model, "network", None)
    if isinstance(networks, nn.ModuleDict) and role in networks:
        return networks[role]
    part = getattr(model, role, None)
    return part.network if isinstance(part, TextGenerator | TextDiscriminator) else part


@dataclass(frozen=True)
class _Trials:
    """The trial of each kind of part, by the name of the part.

    Args:
        model: The model.
        config: Config of the model.
        image_shape: Shape (C, H, W) of an image.
        input_shape: Shape (C_in, h, w) of what an image-to-image model reads.
    """

    model: Any
    config: DictConfig
    image_shape: tuple[int, ...]
    input_shape: tuple[int, ...]

    @property
    def num_frames(self) -> tuple[int, ...]:
        """The length (T,) of the sequences of a `SequenceVAE`; () for a model of images."""
        return (self.model.num_frames,) if isinstance(self.model, SequenceVAE) else ()

    def generator(self, part: TriedPart) -> None:
        images = part.call("forward", self._codes(), **self._labels())
        self._check_images(part, images)
        if images is not None and (largest := images.detach().abs().max()) > 1 + TOLERANCE:
            log.warning(
                "%s: %s returned values up to %.3g, but images are in [-1, 1].\n"
                "End its forward with torch.tanh.",
                part.key, part.name, largest,
            )  # fmt: skip

    def discriminator(self, part: TriedPart) -> None:
        logits = part.call("forward", self._judged(), **self._labels())
        judges_patches = isinstance(self.model, AdversarialImageToImage | CycleGAN)
        if judges_patches and getattr(logits, "ndim", 0) == 2:
            shape = NUM_IMAGES, logits.shape[1]  # the logits of patches
            due = "logits of each image."
        elif isinstance(self.model, GAN) and self._predicts_classes:
            num_classes = self.model.num_classes
            shape = NUM_IMAGES, 1 + num_classes
            due = (
                f"{shape} for model/condition=auxiliary: the logit of a real image,\n"
                f"then the logits of the {num_classes} classes."
            )
        else:
            shape = (NUM_IMAGES,)
            is_column = isinstance(logits, Tensor) and logits.shape == (NUM_IMAGES, 1)
            due = f"one logit for each image, {shape}" + is_column * ": add `.squeeze(1)`" + "."
        part.check(logits, shape, due)
        if isinstance(self.model, VAEGAN) and not hasattr(part.part, "features"):
            raise UserError(
                f"{part.key}: {part.name} has no method features(images).\n"
                "model=vaegan compares these features (B, ...) of two images."
            )

    def encoder(self, part: TriedPart) -> None:
        if isinstance(self.model, VAE) and is_ladder(self.model.network["decoder"]):
            return
        images = self._images()
        if self.num_frames:
            images = images[:, None].expand(-1, *self.num_frames, -1, -1, -1)
        found = part.call("forward", images, **self._labels())
        latent_dim = self.model.latent_dim
        shape = NUM_IMAGES, latent_dim
        if found is None or (
            isinstance(found, tuple | list)
            and len(found) == 2
            and all(isinstance(each, Tensor) and each.shape == shape for each in found)
        ):
            return
        part.refuse(found, f"mean and logvar, both {shape}: model.latent_dim={latent_dim}.")

    def decoder(self, part: TriedPart) -> None:
        if is_ladder(part.part):
            return
        params = part.call("forward", self._codes(), **self._labels())
        num = getattr(self.model.network["likelihood"], "params_per_value", None)
        if num is None:  # a likelihood of the user, which may read any tensor
            return
        channels, *size = self.image_shape
        shape = NUM_IMAGES, *self.num_frames, num * channels, *size
        part.check(
            params,
            shape,
            f"{shape}, {num} for each value of an image:\n"
            f"data.image_shape={list(self.image_shape)}, and model/likelihood sets {num}.",
        )

    def classifier(self, part: TriedPart) -> None:
        num_classes = self.config.num_classes
        shape = NUM_IMAGES, num_classes
        due = f"logits {shape}: model.num_classes={num_classes}."
        part.check(part.call("forward", self._images()), shape, due)

    def restorer(self, part: TriedPart) -> None:
        """Try another height than the height of the crops: validation has pictures of any size."""
        channels, height, width = self.input_shape
        inputs = torch.linspace(-1, 1, NUM_IMAGES * channels * (height - 1) * width)
        inputs = inputs.view(NUM_IMAGES, channels, height - 1, width)
        scale = getattr(self.model, "scale", 1)
        shape = NUM_IMAGES, self.image_shape[0], scale * (height - 1), scale * width
        due = f"{shape} for inputs {tuple(inputs.shape)}: data.scale={scale}."
        part.check(part.call("forward", inputs), shape, due)

    def predictor(self, part: TriedPart) -> None:
        """Try the network of a video prediction as validation does."""
        frames = self._images()[:, None].expand(-1, self.model.num_inputs, -1, -1, -1)
        logits = part.call("forward", frames, self.model.num_targets)
        shape = NUM_IMAGES, self.model.num_targets, *self.image_shape
        due = f"logits {shape}: data.num_targets={self.model.num_targets}."
        part.check(logits, shape, due)

    def losses(self, part: TriedPart) -> None:
        part.check_values("__call__", self._images(), -self._images())

    def loss(self, part: TriedPart) -> None:
        real, fake = torch.tensor([0.5, -0.5]), torch.tensor([-0.25, 0.25])
        part.check_values("discriminator", real, fake)
        part.check_values("generator", real if is_relativistic(part.part) else None, fake)

    @property
    def _predicts_classes(self) -> bool:
        """Whether the discriminator of a GAN has logits of classes."""
        return self.model.objective.auxiliary is not None and not getattr(
            self.model, "reads_text", False
        )

    def auxiliary(self, part: TriedPart) -> None:
        if not self._predicts_classes:
            return
        count = NUM_IMAGES * self.model.num_classes
        logits = torch.linspace(-1, 1, count).view(NUM_IMAGES, -1)
        part.check_values("discriminator", logits, -logits, **self._labels())
        part.check_values("generator", logits, **self._labels())

    def likelihood(self, part: TriedPart) -> None:
        decoder = TriedPart("network.decoder", self.model.network["decoder"])
        if is_ladder(decoder.part):
            return
        params = decoder.call("forward", self._codes(), **self._labels())
        if params is not None:
            part.check_values("log_prob", params, self._images())
            self._check_images(part, part.call("mean", params), method="mean")

    def augmentation(self, part: TriedPart) -> None:
        uniform = torch.full((NUM_IMAGES, num_draws_of(part.part)), 0.5)
        self._check_images(part, part.call("__call__", self._images(), uniform=uniform))

    def penalty(self, part: TriedPart) -> None:
        model, is_cycle = self.model, isinstance(self.model, CycleGAN)
        discriminator = model.discriminators["b"] if is_cycle else part_of(model, "discriminator")
        discriminator = copy.deepcopy(discriminator).eval()
        has_classes = not is_cycle and model.objective.auxiliary is not None
        has_classes = has_classes and model.num_classes is not None

        def d(images: Tensor) -> Tensor:
            logits = discriminator(images, **self._labels())
            return logits[:, 0] if has_classes else logits

        real, fake = self._judged().requires_grad_(), (-self._judged()).requires_grad_()
        pairs = Pairs(real, fake, d(real), d(fake))
        uniform = torch.full((NUM_IMAGES, trait(part.part, Penalty, "num_draws")), 0.5)
        part.check_values("__call__", d, pairs, uniform=uniform)

    def _check_images(self, part: TriedPart, images: Any, *, method: str = "") -> None:
        shape = NUM_IMAGES, *self.image_shape
        due = f"images {shape}: data.image_shape={list(self.image_shape)}."
        part.check(images, shape, due, method=method)

    def _images(self, *, more_channels: int = 0) -> Tensor:
        shape = self.image_shape[0] + more_channels, *self.image_shape[1:]
        count = NUM_IMAGES * torch.Size(shape).numel()
        return torch.linspace(-1, 1, count).view(NUM_IMAGES, *shape)

    def _judged(self) -> Tensor:
        """Return what the discriminator reads: images, and their inputs if it sees the inputs."""
        sees_input = getattr(self.model, "discriminator_sees_input", False)
        return self._images(more_channels=self.input_shape[0] if sees_input else 0)

    def _codes(self) -> Tensor:
        """Return codes (2, latent_dim) from N(0, I), always the same."""
        generator = torch.Generator().manual_seed(0)
        return torch.randn(NUM_IMAGES, self.model.latent_dim, generator=generator)

    def _labels(self) -> dict[str, Tensor]:
        if getattr(self.model, "reads_text", False):
            return {"labels": torch.eye(NUM_IMAGES, self.model.code_dim)}
        return label_kwargs(
            torch.zeros(NUM_IMAGES, dtype=torch.int64) if is_conditional(self.model) else None
        )
