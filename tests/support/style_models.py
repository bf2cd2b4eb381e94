"""A model whose generator is linear in the styles, so that all results have closed forms."""

import torch
from torch import nn

from limner.models.conditions import drawn_labels
from limner.models.text import TextGenerator
from limner.pretrained.trained_model import TrainedModel

LATENT, STYLE, LAYERS, NOISE = 4, 5, 3, 2
SHAPE = (1, 4, 4)
GAIN = 0.2  # so that images lie in [-1, 1], and differ by several grey values


class LinearPainter(nn.Module):
    """Style generator: w = tanh(M z) + e_y, image = 0.2 (sum over layers B_l A_l w_l + N noise).

    Labels are classes, or codes (B, num_classes) of texts.
    """

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
        if labels is None:
            return w
        return w + (labels @ self.classes.weight if labels.ndim > 1 else self.classes(labels))

    def paint(self, w, noise=None):
        w = w[:, None].expand(-1, LAYERS, -1) if w.ndim == 2 else w
        layers = zip(self.affine, self.to_image, w.unbind(1), strict=True)
        image = sum(image(affine(style)) for affine, image, style in layers)
        image = image if noise is None else image + self.of_noise(noise)
        return GAIN * image.unflatten(1, SHAPE)

    def modulations(self):
        return [layer.weight for layer in self.affine]

    def forward(self, codes, labels=None):
        noise = codes[:, LATENT : LATENT + NOISE]
        w = self.styles(codes[:, :LATENT], labels)
        return self.paint(w, noise if noise.shape[1] else None)


class StyleModel(nn.Module):
    """Model of a linear painter, with the methods of a GAN."""

    latent_dim, num_normal = LATENT, LATENT + LinearPainter.num_draws

    def __init__(self, num_classes=None):
        super().__init__()
        self.generator, self.num_classes, self.ema = LinearPainter(num_classes), num_classes, None

    def sample(self, num_images, *, generator=None, labels=None):
        codes = torch.randn(num_images, self.num_normal, generator=generator)
        if labels is None:
            labels = drawn_labels(self, num_images, generator=generator)
        return self.generate(codes, labels)

    def generate(self, z, labels=None):
        with torch.no_grad():
            return self.generator(z, labels).clamp(-1, 1)


class Bag(nn.Module):
    """Encoder of texts (B, 2): the mean of two learned codes (3,) of words."""

    code_dim, length = 3, 2

    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(6, 3)

    def forward(self, texts):
        return self.words(texts).mean(1)


class TextStyleModel(StyleModel):
    """Model of a linear painter that reads texts."""

    reads_text = True

    def __init__(self, augmentation_weight):
        super().__init__(Bag.code_dim)
        self.num_classes = None
        self.generator = TextGenerator(
            self.generator, Bag(), augmentation_weight=augmentation_weight
        )
        self.register_buffer("captions", torch.tensor([[1, 2], [3, 4], [5, 1]]))


def style_model(num_classes=None) -> TrainedModel:
    """Return a model with styles, unconditional or of some classes."""
    data = {"image_shape": list(SHAPE), "num_classes": num_classes or 0}
    return TrainedModel(StyleModel(num_classes), config={"data": data}, update=1, source="here")
