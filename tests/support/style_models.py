"""A model whose generator is linear in the styles, so that all results have closed forms."""

import torch
from torch import nn

from limner.pretrained.trained_model import TrainedModel
from limner.randomness import uniform_labels

LATENT, STYLE, LAYERS, NOISE = 4, 5, 3, 2
SHAPE = (1, 4, 4)
GAIN = 2  # so that images differ by several grey values


class LinearPainter(nn.Module):
    """Style generator: w = tanh(M z) + e_y, image = sum over layers of 2 B_l A_l w_l + N noise."""

    latent_dim, num_styles, num_noise = LATENT, LAYERS, NOISE
    num_draws = NOISE + 1  # a number of mixing, which evaluation does not read

    def __init__(self, num_classes=None):
        super().__init__()
        self.mapping = nn.Linear(LATENT, STYLE, bias=False)
        self.classes = None if num_classes is None else nn.Embedding(num_classes, STYLE)
        self.affine = nn.ModuleList(nn.Linear(STYLE, 6, bias=False) for _ in range(LAYERS))
        self.to_image = nn.ModuleList(nn.Linear(6, 16, bias=False) for _ in range(LAYERS))
        self.of_noise = nn.Linear(NOISE, 16, bias=False)

    def styles(self, z, labels=None):
        assert z.shape[1] == LATENT
        w = self.mapping(z).tanh()
        return w if labels is None else w + self.classes(labels)

    def paint(self, w, noise=None):
        w = w[:, None].expand(-1, LAYERS, -1) if w.ndim == 2 else w
        layers = zip(self.affine, self.to_image, w.unbind(1), strict=True)
        image = sum(image(affine(style)) for affine, image, style in layers) * GAIN
        image = image if noise is None else image + self.of_noise(noise)
        return image.unflatten(1, SHAPE)

    def modulations(self):
        return [layer.weight for layer in self.affine]

    def forward(self, codes, labels=None):
        noise = codes[:, LATENT : LATENT + NOISE]
        w = self.styles(codes[:, :LATENT], labels)
        return self.paint(w, noise if noise.shape[1] else None)


class StyleModel(nn.Module):
    """Model of a linear painter, with the methods of a GAN."""

    latent_dim, ema = LATENT, None

    def __init__(self, num_classes=None):
        super().__init__()
        self.generator, self.num_classes = LinearPainter(num_classes), num_classes

    def sample(self, num_images, *, generator=None, labels=None):
        codes = torch.randn(num_images, LATENT + self.generator.num_draws, generator=generator)
        if labels is None:
            labels = uniform_labels(num_images, self.num_classes, generator=generator)
        return self.generate(codes, labels)

    def generate(self, z, labels=None):
        with torch.no_grad():
            return self.generator(z, labels)


def style_model(num_classes=None) -> TrainedModel:
    """Return a model with styles, unconditional or of some classes."""
    data = {"image_shape": list(SHAPE), "num_classes": num_classes or 0}
    return TrainedModel(
        StyleModel(num_classes).requires_grad_(True),
        config={"data": data},
        update=1,
        source="here",
    )
