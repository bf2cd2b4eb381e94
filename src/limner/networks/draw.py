"""DRAW: a recurrent VAE that paints an image in T steps, and reads and writes by attention.

At each step t, for an image x, a canvas c and the hidden states h of two LSTMs:

    e_t = x - tanh(c_{t-1} / 2)                        what the canvas still lacks
    r_t = read(x, e_t, h^dec_{t-1})
    h^enc_t = LSTM(h^enc_{t-1}, [r_t, h^dec_{t-1}])
    z_t ~ q(z_t | x, z_<t) = N(mean(h^enc_t), exp(logvar(h^enc_t)))
    h^dec_t = LSTM(h^dec_{t-1}, z_t)
    c_t = c_{t-1} + write(h^dec_t)

The last canvas holds the parameters of p(x | z). Gregor et al. (2015), equations 3 to 8,
https://arxiv.org/abs/1502.04623. For binary images, tanh(c / 2) in [-1, 1] is the expected image.
The prior of every z_t is N(0, I), and one code (B, latent_dim) holds the codes of all steps, the
first step first. KL(q || p) is the sum over the steps. Images and canvases are (B, H, C, W) here,
so that one batched product applies the filters of all channels.
"""

__all__ = ["Decoder", "Encoder", "Reading"]

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from limner.networks.conditions import check_classes
from limner.networks.ladder import Inferred
from limner.networks.learned_constant import Start
from limner.networks.lstm import LSTM
from limner.networks.window_attention import Window


class Encoder(nn.Module):
    """Encoder that reads images (B, C, H, W) in [-1, 1] again at each step of the decoder.

    Args:
        image_shape: Shape (C, H, W) of an image.
        params_per_value: Number of parameters that the likelihood needs for each value.
        num_codes: Number of codes of a step.
        hidden_size: Number of units of the LSTM.
        decoder_size: Number of units of the decoder's LSTM.
        read_size: Number of filters for each axis of the window that is read, at least 1, limited
            to the larger side of the image; None to read the whole image, without attention.
        num_classes: Number of classes, which choose the first state; None for an unconditional
            network.
    """

    is_recurrent = True

    def __init__(
        self,
        *,
        image_shape: Sequence[int],
        params_per_value: int,
        num_codes: int,
        hidden_size: int,
        decoder_size: int,
        read_size: int | None,
        num_classes: int | None,
    ) -> None:
        super().__init__()
        check_classes(num_classes)
        channels, height, width = image_shape
        read_size, window = _limited("encoder.read_size", read_size, max(height, width))
        self.about = f"reads {window}"
        self.params_per_value = params_per_value
        self.window = None
        area = height * width
        if read_size is not None:
            self.window = Window(
                decoder_size, size=read_size, height=height, width=width, writes=False
            )
            area = read_size**2
        num_inputs = channels * (1 + params_per_value) * area
        self.start = Start([2, hidden_size], num_classes=num_classes, std=0.0)
        self.cell = LSTM(num_inputs + decoder_size, hidden_size)
        self.to_code = nn.Linear(hidden_size, 2 * num_codes)

    def forward(self, images: Tensor, labels: Tensor | None = None) -> "Reading":
        """Return the images (B, C, H, W) as a `Reading`, from which the decoder infers codes."""
        return Reading(self, images, labels)


class Reading:
    """Images that a decoder reads step by step; it holds the state of the encoder's LSTM."""

    def __init__(self, encoder: Encoder, images: Tensor, labels: Tensor | None) -> None:
        self.encoder, self.images = encoder, images.transpose(1, 2)
        self.state = encoder.start(images.shape[0], labels).unbind(1)

    def __call__(self, canvas: Tensor, decoder_hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and logvar (B, num_codes) of q for the next step.

        Args:
            canvas: Canvas (B, H, C * params_per_value, W) of the step before.
            decoder_hidden: Hidden state (B, decoder_size) of the step before.
        """
        encoder = self.encoder
        shown = torch.tanh(canvas / 2).unflatten(2, (-1, encoder.params_per_value))
        errors = (self.images.unsqueeze(3) - shown).flatten(2, 3)
        seen = torch.cat([self.images, errors], dim=2)
        if encoder.window is not None:
            seen = encoder.window(decoder_hidden).read(seen)
        self.state = encoder.cell([seen.flatten(1), decoder_hidden], self.state)
        # in float32: under autocast the code would have 8 bits
        mean, logvar = encoder.to_code(self.state[0]).float().chunk(2, dim=1)
        return mean, logvar


class Decoder(nn.Module):
    """Decoder from codes (B, latent_dim) to the unbounded parameters of p(x | z).

    The parameters are (B, C * params_per_value, H, W). A conditional decoder takes labels (B,)
    as well.

    Args:
        image_shape: Shape (C, H, W) of an image.
        params_per_value: Number of parameters that the likelihood needs for each value.
        num_steps: Number T of steps, at least 1.
        num_codes: Number of codes of a step, at least 1.
        hidden_size: Number of units of the LSTM.
        write_size: Number of filters for each axis of the window that is written, at least 1,
            limited to the larger side of the image; None to write the whole canvas, without
            attention.
        num_classes: Number of classes, which choose the first state and the first canvas; None
            for an unconditional network.
    """

    def __init__(
        self,
        *,
        image_shape: Sequence[int],
        params_per_value: int,
        num_steps: int,
        num_codes: int,
        hidden_size: int,
        write_size: int | None,
        num_classes: int | None,
    ) -> None:
        super().__init__()
        check_classes(num_classes)
        channels, height, width = image_shape
        write_size, window = _limited("decoder.write_size", write_size, max(height, width))
        if num_steps < 1 or num_codes < 1:
            raise ValueError(
                f"network.num_steps={num_steps}, network.num_codes={num_codes}: must be 1 or more."
            )
        self.about = f"{_told(num_steps, num_codes)}, writes {window}"
        self.num_steps, self.latent_dim = num_steps, num_steps * num_codes
        self.canvas_shape = (height, channels * params_per_value, width)
        self.window, self.patch_shape = None, self.canvas_shape
        if write_size is not None:
            self.window = Window(
                hidden_size, size=write_size, height=height, width=width, writes=True
            )
            self.patch_shape = (write_size, channels * params_per_value, write_size)
        self.start = Start([2, hidden_size], num_classes=num_classes, std=0.0)
        self.canvas = Start(self.canvas_shape, num_classes=num_classes, std=0.0)
        self.cell = LSTM(num_codes, hidden_size)
        self.to_patch = nn.Linear(hidden_size, math.prod(self.patch_shape))

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return the parameters (B, C * params_per_value, H, W)."""
        return self.paint(z, labels)[-1]

    def paint(self, z: Tensor, labels: Tensor | None = None) -> list[Tensor]:
        """Return the parameters (B, C * params_per_value, H, W) after each of the T steps."""
        canvases, _ = self._steps(z, None, labels)
        return [canvas.transpose(1, 2) for canvas in canvases]

    def infer(self, reading: Reading, eps: Tensor, labels: Tensor | None = None) -> Inferred:
        """Draw z = mean + exp(logvar / 2) eps from q(z | x), step by step.

        Args:
            reading: Output of the encoder for B images.
            eps: Standard normal numbers (B, latent_dim); zeros for the means.
            labels: Classes int64 (B,) if the decoder is conditional.
        """
        canvases, drawn = self._steps(eps, reading, labels)
        z, mean, logvar = (torch.cat(part, dim=1) for part in zip(*drawn, strict=True))
        return Inferred(canvases[-1].transpose(1, 2), z, mean, logvar)

    def _steps(
        self, noise: Tensor, reading: Reading | None, labels: Tensor | None
    ) -> tuple[list[Tensor], list[tuple[Tensor, Tensor, Tensor]]]:
        """Return the canvas after each step, and z, mean and logvar of each step if it reads."""
        state = self.start(noise.shape[0], labels).unbind(1)
        canvas = self.canvas(noise.shape[0], labels)
        canvases, drawn = [], []
        for z in noise.chunk(self.num_steps, dim=1):
            if reading is not None:
                mean, logvar = reading(canvas, state[0])
                z = mean + (logvar / 2).exp() * z
                drawn.append((z, mean, logvar))
            state = self.cell([z], state)
            canvas = canvas + self._write(state[0])
            canvases.append(canvas)
        return canvases, drawn

    def _write(self, hidden: Tensor) -> Tensor:
        patch = self.to_patch(hidden).unflatten(1, self.patch_shape)
        return patch if self.window is None else self.window(hidden).write(patch)


def _told(num_steps: int, num_codes: int) -> str:
    steps, codes = "step" + "s" * (num_steps > 1), "code" + "s" * (num_codes > 1)
    return f"paints in {num_steps} {steps} of {num_codes} {codes}"


def _limited(key: str, size: int | None, side: int) -> tuple[int | None, str]:
    """Return the size of a window, limited to the side of an image, and a description of it.

    More filters than pixels cannot see more, and the size of a recipe for larger images must work.
    """
    if size is None:
        return None, "whole images"
    if size < 1:
        raise ValueError(f"network.{key}={size}: must be 1 or more, or null for no attention.")
    used = min(size, side)
    limited = f", as network.{key}={size} exceeds the image" if size > side else ""
    return used, f"by attention of {used}x{used} filters{limited}"
