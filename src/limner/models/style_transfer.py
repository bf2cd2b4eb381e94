"""Style transfer: a network paints a picture in the style of another picture.

    loss(x) = w_c content(y, x) / c + w_g mean_l gram_l(y, s) / g_(s, l) + ...,   y = network(x, s)

for a picture x and a style picture s. The divisors are measured once, on the first batch: c is the
content loss between two different pictures, and g_(s, l) is the Gram loss between a picture and
the style s at depth l. So the losses have the same scale for all pictures: a copy of x has content
0 and gram 1, and another picture in the style s has content 1 and gram 0.

Johnson et al. (2016), https://arxiv.org/abs/1603.08155. Several styles in one network: Dumoulin et
al. (2017), https://arxiv.org/abs/1610.07629.
"""

__all__ = ["StyleTransfer"]

from collections.abc import Mapping, Sequence
from pathlib import PurePath

import torch
from torch import Tensor, nn

from limner.files.printable import counted
from limner.interfaces import Batch, OptimizerFactory
from limner.models.gradients import Gradients
from limner.models.image_to_image import ImageToImage, PairLoss, named_losses
from limner.models.lightning_internals import report_evaluation
from limner.models.style_measures import StyleMeasures
from limner.processes import from_all_processes
from limner.randomness import Noise

SMALLEST = 1e-8
MEASURED = 64
"""Largest number of images of the first batch that the divisors are measured on."""


class StyleTransfer(ImageToImage):
    """Network that paints pictures in one or several styles.

    The style pictures are part of the model: its checkpoints and exports contain their pixels. So
    the files are read once, when a run starts.

    Args:
        network: Network from inputs (B, C_in, h, w) to images (B, C, h, w), see `ImageToImage`. A
            network with the attribute `num_styles` above 1 also takes styles int64 (B,), or (1,)
            for all images.
        losses: Losses by name, among them "content" and "gram", see `limner.losses.content` and
            `limner.losses.gram`.
        styles: Path of the style picture, or a list of several; the names of the styles are the
            names of the files, without their endings.
        style_size: Height and width in pixels of the square of a style picture that is read.
        image_shape: Shape (C, H, W) of an output; only C matters.
        scale: Height of a target divided by the height of its input.
        optimizer: Factory of the optimizer.
        gradients: Options of gradient accumulation and clipping.
        ema_half_life: Number of images after which an old weight counts half in the average that
            `transform` and scores use; None for no average.
    """

    compares_with_target = False
    fitting_losses = "style, or a list that contains it, such as [style,pixel]"

    def __init__(
        self,
        *,
        network: nn.Module,
        losses: Mapping[str, PairLoss],
        styles: str | Sequence[str],
        style_size: int,
        image_shape: Sequence[int],
        scale: int,
        optimizer: OptimizerFactory,
        gradients: Gradients,
        ema_half_life: float | None,
    ) -> None:
        styles = [styles] if isinstance(styles, str) else list(styles)
        names = _names(styles)
        _check(network, losses, names, style_size)
        super().__init__(
            network=network, losses=losses, scale=scale, optimizer=optimizer,
            gradients=gradients, ema_half_life=ema_half_life,
        )  # fmt: skip
        self.style_paths = styles
        self.choices: dict[str, tuple[str, ...]] = {"style": tuple(names)}
        """Values of the argument `style` of `transform`."""
        self.noise = Noise()
        pixels = torch.zeros(len(names), image_shape[0], style_size, style_size, dtype=torch.uint8)
        self.register_buffer("style_pixels", pixels)
        """Style pictures, uint8 (number of styles, C, style_size, style_size)."""
        self.register_buffer("content_divisor", torch.zeros(losses["content"].num_terms))
        shape = len(names), losses["gram"].num_terms
        self.register_buffer("gram_divisor", torch.zeros(shape))  # 0 until the first batch
        self._has_divisors = False
        self._gram_matrices: list[Tensor] | None = None
        self._measures = StyleMeasures()

    @property
    def num_styles(self) -> int:
        """Number of styles."""
        return len(self.style_pixels)

    def transform(
        self, inputs: Tensor, mask: Tensor | None = None, style: str | None = None
    ) -> Tensor:
        """Return images (B, C, h, w) in [-1, 1] in one style, with the EMA weights.

        Args:
            inputs: Inputs (B, C, h, w).
            mask: Mask (B, 1, h, w), 1 where a pixel is known, for a model trained with holes.
            style: Name of the style; None for the first style.
        """
        number = 0 if style is None else self.choices["style"].index(style)
        return self._transformed(inputs, mask, *self._read_styles(number))

    forward = transform

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        if not self._has_divisors:  # of a resumed run, the checkpoint contains them
            self._has_divisors = bool((self.gram_divisor > 0).all()) or self._divide_by(
                batch["image"]
            )
        return super().training_step(batch, batch_idx)

    def on_validation_epoch_start(self) -> None:
        self._measures = StyleMeasures()

    def validation_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """Paint one whole picture in one of the styles, which alternate."""
        target, weight = batch["image"], float(batch.get("weight", torch.ones(1))[0])
        style = int(batch["index"][0] if "index" in batch else batch_idx) % self.num_styles
        read = batch["input"], batch.get("mask")
        output = self._transformed(*read, *self._read_styles(style))
        matrices = [each[style, None] for each in self._matrices()]
        divisor = self.gram_divisor[style].clamp(min=SMALLEST)
        self._measures.add(
            target, output, weight=weight, content=self.losses["content"].terms,
            gram=lambda images: self.losses["gram"].terms(images, matrices) / divisor,
            others=self._other_losses(output, target),
        )  # fmt: skip
        return {"output": output}

    def on_validation_epoch_end(self) -> None:
        values = self._measures.values(self.losses["content"].terms)
        report_evaluation(self, named_losses(self.losses, values), num_images=1)

    test_step = validation_step
    on_test_epoch_start = on_validation_epoch_start
    on_test_epoch_end = on_validation_epoch_end

    def setup(self, stage: str) -> None:
        super().setup(stage)
        self._gram_matrices = None  # a checkpoint may bring other pictures

    def _more(self, targets: Tensor) -> tuple[Tensor, ...]:
        """Return the style of each image, int64 (B,), drawn with equal probability."""
        if self.num_styles == 1:
            return (torch.zeros(len(targets), dtype=torch.int64, device=targets.device),)
        drawn = self.noise.uniform(targets.float(), 1)[:, 0]
        return ((drawn * self.num_styles).long().clamp(max=self.num_styles - 1),)

    def _read_styles(self, style: int) -> tuple[Tensor, ...]:
        """Return what the network reads for images in one style; () if there is only one."""
        return () if self.num_styles == 1 else (torch.tensor([style], device=self.device),)

    def _output(self, inputs: Tensor, *more: Tensor) -> Tensor:
        return self.network(inputs, *(more if self.num_styles > 1 else ()))

    def _losses(self, output: Tensor, target: Tensor, *more: Tensor) -> dict[str, Tensor]:
        """Return the sum `loss` of the losses, and each loss as `loss_NAME`, (B,)."""
        (styles,) = more
        content, style = self.losses["content"], self.losses["gram"]
        found = self._other_losses(output, target)
        terms = content.terms(output, target) / self.content_divisor
        found["content"] = terms.mean(1).to(output.dtype)
        matrices = [each[styles] for each in self._matrices()]
        terms = style.terms(output, matrices) / self.gram_divisor[styles]
        found["gram"] = terms.mean(1).to(output.dtype)
        return named_losses(self.losses, found)

    def _other_losses(self, output: Tensor, target: Tensor) -> dict[str, Tensor]:
        """Return the losses (B,) that compare an output with its target, without content."""
        others = self.losses.keys() - {"content", "gram"}
        return {name: self.losses[name](output, target) for name in self.losses if name in others}

    def _matrices(self) -> list[Tensor]:
        """Return the Gram matrices (number of styles, C_l, C_l) of the style pictures."""
        if self._gram_matrices is None:
            with torch.no_grad():
                self._gram_matrices = self.losses["gram"].style(self.style_pixels / 127.5 - 1)
        return self._gram_matrices

    @torch.no_grad()
    def _divide_by(self, images: Tensor) -> bool:
        """Measure the divisors on the images (B, C, H, W) of all processes, at most `MEASURED`.

        Returns:
            Whether an image has finite numbers only; the others are left out.
        """
        images = from_all_processes(images)[:MEASURED]
        images = images[images.isfinite().flatten(1).all(1)]
        if not len(images):
            return False
        others = images.roll(1, 0) if len(images) > 1 else images.flip(3)
        content, style = self.losses["content"], self.losses["gram"]
        self.content_divisor.copy_(content.terms(images, others).mean(0).clamp(min=SMALLEST))
        for number, divisor in enumerate(self.gram_divisor):
            matrices = [each[number, None] for each in self._matrices()]
            divisor.copy_(style.terms(images, matrices).mean(0).clamp(min=SMALLEST))
        return True


def _names(styles: list[str]) -> list[str]:
    """Return the names of the styles: the names of their files without the ending."""
    if not styles:
        raise ValueError("model.styles=[]: must name one or several pictures.")
    names = [PurePath(path).stem for path in styles]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(
            f"model.styles: two pictures have the name {twice[0]}, by which a style is chosen; "
            "rename one."
        )
    return names


def _check(
    network: nn.Module, losses: Mapping[str, PairLoss], names: Sequence[str], style_size: int
) -> None:
    """Raise ValueError for losses, a network or a size that do not fit style transfer."""
    for name in ("content", "gram"):
        if not hasattr(losses.get(name), "terms"):
            raise ValueError(f"model.losses.{name} is missing: choose model/losses=style.")
    if style_size < 1:
        raise ValueError(f"model.style_size={style_size}: must be 1 or more (pixels).")
    num_styles = getattr(network, "num_styles", 1)
    if num_styles != len(names):
        raise ValueError(
            f"model.styles has {counted(len(names), 'picture')}, and the network paints "
            f"{counted(num_styles, 'style')}: choose network=johnson_styles."
        )
