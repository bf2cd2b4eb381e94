"""A recurrent encoder and decoder for autoencoders of sequences of frames.

The encoder reads each frame by strided convolutions, and the frames in both directions of time by
an LSTM: Srivastava et al. (2015), https://arxiv.org/abs/1502.04681. The decoder turns one code
into the first state of a convolutional LSTM, and unrolls it:

    (h_0, c_0, x) = f(z)        (h_t, c_t) = ConvLSTM(x, (h_t-1, c_t-1))        frame_t = g(h_t)

The maps have one position for each patch of p x p pixels of a frame, as in section 4.1 of Shi et
al. (2015), https://arxiv.org/abs/1506.04214, so that a step in time is cheap. All randomness lies
in z: the motion after it is a function of the code.
"""

__all__ = ["Decoder", "Encoder"]

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from limner.networks.conditions import ClassCode, check_classes
from limner.networks.conv_lstm import ConvLSTMCell
from limner.networks.resolution import SMALLEST, crop, pad, pyramid

NUM_GROUPS = 8


class Encoder(nn.Module):
    """Encoder from frames (B, T, C, H, W) to mean and logvar (B, latent_dim) of q(z | frames).

    A conditional encoder takes labels y (B,) as well, and describes q(z | frames, y).

    Args:
        latent_dim: Size of z.
        image_shape: Shape (C, H, W) of a frame.
        width: Number of channels of the finest level, a multiple of 8. Each coarser level has
            twice as many, up to `max_width`.
        max_width: Largest number of channels of a level.
        hidden_dim: Size of the LSTM's state in each direction of time.
        num_classes: Number of classes; an embedding of the class joins the LSTM's last states.
            None for an unconditional network.
    """

    def __init__(
        self,
        *,
        latent_dim: int,
        image_shape: Sequence[int],
        width: int,
        max_width: int,
        hidden_dim: int,
        num_classes: int | None,
    ) -> None:
        super().__init__()
        check_classes(num_classes)
        self.image_shape = tuple(image_shape)
        channels, height, width_ = pyramid(image_shape, width, max_width)
        layers: list[nn.Module] = []
        for before, after in zip([image_shape[0], *channels], channels, strict=False):
            layers += [nn.Conv2d(before, after, 4, stride=2, padding=1), *_activation(after)]
        num_features = channels[-1] * height * width_
        self.layers = nn.Sequential(*layers, nn.Flatten(), nn.Linear(num_features, hidden_dim))
        self.lstm = nn.LSTM(hidden_dim, hidden_dim, batch_first=True, bidirectional=True)
        self.label = ClassCode(2 * hidden_dim, num_classes)
        self.posterior = nn.Linear(self.label.num_outputs, 2 * latent_dim)

    def forward(self, frames: Tensor, labels: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return mean and logvar, each (B, latent_dim), of sequences of any length T."""
        padded = pad(frames.flatten(0, 1), self.image_shape)
        _, (last, _) = self.lstm(self.layers(padded).unflatten(0, frames.shape[:2]))
        states = last.transpose(0, 1).flatten(1)
        mean, logvar = self.posterior(self.label(states, labels)).chunk(2, dim=1)
        return mean, logvar


class Decoder(nn.Module):
    """Decoder from z (B, latent_dim) to the unbounded parameters of p(frames | z).

    The parameters are (B, T, C * params_per_value, H, W). A conditional decoder takes labels y
    (B,) as well, and describes p(frames | z, y).

    Args:
        latent_dim: Size of z.
        image_shape: Shape (C, H, W) of a frame.
        num_frames: Number T of frames, at least 1.
        params_per_value: Number of parameters that the likelihood needs for each value.
        width: Number of channels of the memory, a multiple of 8.
        patch_size: Height and width in pixels of the patch of each position of the memory.
        kernel_size: Height and width of the ConvLSTM's kernel, an odd number.
        num_classes: Number of classes; an embedding of the class joins z. None for an
            unconditional network.

    Raises:
        ValueError: If a frame has fewer than 4 patches along a side, or an argument is out of its
            range.
    """

    def __init__(
        self,
        *,
        latent_dim: int,
        image_shape: Sequence[int],
        num_frames: int,
        params_per_value: int,
        width: int,
        patch_size: int,
        kernel_size: int,
        num_classes: int | None,
    ) -> None:
        super().__init__()
        check_classes(num_classes)
        if num_frames < 1 or patch_size < 1:
            raise ValueError(
                f"network.decoder: num_frames={num_frames} and patch_size={patch_size} must be 1 "
                "or more."
            )
        channels, *size = image_shape
        sides = [-(-side // patch_size) for side in size]
        if min(sides) < SMALLEST:
            raise ValueError(
                f"network.decoder.patch_size={patch_size}: frames of {size[0]}x{size[1]} pixels "
                f"need {SMALLEST}\npatches or more along each side; choose a smaller patch_size."
            )
        self.image_shape, self.num_frames = tuple(image_shape), num_frames
        self.patch_size = patch_size
        self.code = ClassCode(latent_dim, num_classes)
        self.parts = width, width, width // 4
        self.first = _first_maps(self.code.num_outputs, 2 * width, sum(self.parts), sides)
        self.cell = ConvLSTMCell(width // 4, width, kernel_size)
        num_outputs = channels * params_per_value * patch_size**2
        self.frame = nn.Sequential(
            nn.Conv2d(width, 2 * width, 3, padding=1),
            *_activation(2 * width),
            nn.Conv2d(2 * width, num_outputs, 3, padding=1),
            nn.PixelShuffle(patch_size),
        )
        self.sides = sides

    def forward(
        self, z: Tensor, labels: Tensor | None = None, *, num_frames: int | None = None
    ) -> Tensor:
        """Return the parameters (B, T, C * params_per_value, H, W).

        Args:
            z: Codes (B, latent_dim).
            labels: Classes int64 (B,) of a conditional decoder.
            num_frames: Number T of frames; None for the length of training. A longer sequence
                begins with the same frames.
        """
        first = self.first(self.code(z, labels))
        h, c, x = crop(first, (0, *self.sides)).split(self.parts, 1)
        state, maps = (h.tanh(), c), []
        for _ in range(self.num_frames if num_frames is None else num_frames):
            state = self.cell(x, state)
            maps.append(state[0])
        hidden = torch.stack(maps, 1)
        frames = crop(self.frame(hidden.flatten(0, 1)), self.image_shape)
        return frames.unflatten(0, hidden.shape[:2])


def _first_maps(
    num_inputs: int, num_channels: int, num_maps: int, sides: Sequence[int]
) -> nn.Sequential:
    """Return layers from codes (B, num_inputs) to `num_maps` maps at least as large as `sides`.

    The coarsest map has 4 to 7 positions along its shorter side, and is doubled.
    """
    num_doublings = max(1, min(sides) // SMALLEST).bit_length() - 1
    coarsest = [-(-side // 2**num_doublings) for side in sides]
    num_outputs = num_channels * coarsest[0] * coarsest[1]
    layers = [nn.Linear(num_inputs, num_outputs), nn.Unflatten(1, (num_channels, *coarsest))]
    for _ in range(num_doublings):
        layers += [nn.SiLU(), nn.ConvTranspose2d(num_channels, num_channels, 4, 2, 1)]
        layers += [nn.GroupNorm(NUM_GROUPS, num_channels)]
    return nn.Sequential(*layers, nn.SiLU(), nn.Conv2d(num_channels, num_maps, 3, padding=1))


def _activation(channels: int) -> tuple[nn.Module, nn.Module]:
    return nn.GroupNorm(NUM_GROUPS, channels), nn.SiLU()
