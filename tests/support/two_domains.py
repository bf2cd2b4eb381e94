"""Two domains of images without pairs, as a data module gives them, and small networks."""

import lightning as L
import torch
from torch import nn
from torch.utils.data import DataLoader

BATCH = 4


class Domains(L.LightningDataModule):
    """Data module of given batches; validation has a picture of each domain in each batch."""

    batch_size = BATCH
    image_shape = input_shape = (3, 8, 8)

    def __init__(self, batches, pictures=()):
        super().__init__()
        self.batches, self.pictures = list(batches), list(pictures)

    def train_dataloader(self):
        return DataLoader(self.batches, batch_size=None)

    def val_dataloader(self):
        return DataLoader(self.pictures, batch_size=None)

    test_dataloader = val_dataloader


class Recolour(nn.Module):
    """Generator with one 1x1 convolution, the identity at first; the image stays in [-1, 1]."""

    scale, overlap, multiple = 1, 0, 1

    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(3, 3, 1)
        with torch.no_grad():
            self.layer.weight.copy_(torch.eye(3)[..., None, None])
            self.layer.bias.zero_()

    def forward(self, images):
        return self.layer(images)


class Patches(nn.Module):
    """Discriminator with a logit for each of the patches of an image, (B, K)."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 4, 3, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(4, 1, 3, 2, 1)
        )

    def forward(self, images):
        return self.layers(images).flatten(1)


def images(num=BATCH, *, size=(8, 8), seed=0):
    """Return images (num, 3, H, W) in [-1, 1]."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(num, 3, *size, generator=generator) * 2 - 1


def batch(num=BATCH, *, seed=0):
    """Return a training batch; domain B is darker than domain A."""
    return {"image_a": images(num, seed=seed), "image_b": images(num, seed=seed + 100) / 2 - 0.5}
