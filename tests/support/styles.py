"""A tiny frozen network for style losses, and models of style transfer on it."""

import torch
from torch import nn

from limner.losses.content import Content
from limner.losses.feature_maps import FeatureMaps
from limner.losses.gram import Gram
from limner.losses.pixel import Pixel
from limner.models import StyleTransfer
from limner.models.gradients import Gradients
from limner.networks.style_norm import StyleNorm


class Levels(nn.Module):
    """Network with two depths: the image itself, and twice the image at half the size."""

    num_depths, weights_sha256 = 2, "0"

    def load(self):
        return self

    def maps(self, images, *, depths):
        found = [images, 2 * nn.functional.avg_pool2d(images, 2)]
        return [found[depth] for depth in depths]


class Painter(nn.Module):
    """Network with one convolution, and a norm for each style if there are several."""

    scale, overlap, multiple = 1, None, 1

    def __init__(self, num_styles=1):
        super().__init__()
        self.num_styles = num_styles
        self.layer = nn.Conv2d(3, 3, 3, padding=1)
        self.norm = StyleNorm(3, num_styles) if num_styles > 1 else None

    def forward(self, inputs, styles=None):
        h = self.layer(inputs)
        return h if self.norm is None else torch.tanh(self.norm(h, styles))


def maps(*depths):
    return FeatureMaps(network=Levels(), depths=depths)


def style_model(*, styles=("brick.png",), size=16, accumulate=1, gram_weight=1.0, losses=(),
                lr=0.1, network=None, ema=None):  # fmt: skip
    """Return a model whose style pictures are noise, as different as their numbers."""
    torch.manual_seed(0)
    own = {"content": Content(weight=1.0, maps=maps(1))}
    own |= {"gram": Gram(weight=gram_weight, maps=maps(0, 1))} | dict(losses)
    model = StyleTransfer(
        network=Painter(len(styles)) if network is None else network, losses=own,
        styles=list(styles), style_size=size, image_shape=(3, 16, 16), scale=1,
        optimizer=lambda weights: torch.optim.SGD(weights, lr=lr),
        gradients=Gradients(max_norm=None, accumulate=accumulate), ema_half_life=ema,
    )  # fmt: skip
    for number, pixels in enumerate(model.style_pixels):
        high = 256 // (number + 1)
        pixels.copy_(torch.randint(high, pixels.shape, dtype=torch.uint8))
    return model


def pixel(weight=1.0):
    return Pixel(weight=weight, kind="l1", epsilon=1e-3)
