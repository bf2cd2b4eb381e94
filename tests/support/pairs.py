"""Pairs of an input and a target for image-to-image models, as a data module gives them."""

import lightning as L
import torch
from torch import nn
from torch.utils.data import DataLoader

from limner.data.picture_store import PictureStore

BATCH = 4


class Pairs(L.LightningDataModule):
    """Data module of given batches; validation has whole pictures, one in each batch."""

    batch_size = BATCH
    image_shape = (3, 16, 16)

    def __init__(self, batches, pictures=()):
        super().__init__()
        self.batches, self.pictures = list(batches), list(pictures)

    def train_dataloader(self):
        return DataLoader(self.batches, batch_size=None)

    def val_dataloader(self):
        return DataLoader(self.pictures, batch_size=None)

    test_dataloader = val_dataloader


class Linear(nn.Module):
    """Network with one 3x3 convolution and a pixel shuffle, whose reach is one pixel."""

    overlap, multiple = 1, 1

    def __init__(self, scale=2, inputs=3):
        super().__init__()
        self.scale = scale
        self.layers = nn.Sequential(
            nn.Conv2d(inputs, 3 * scale**2, 3, padding=1), nn.PixelShuffle(scale)
        )

    def forward(self, inputs):
        return self.layers(inputs)


def pair(num=BATCH, *, size=(8, 8), scale=2, seed=0, mask=False):
    """Return a batch with images of `size` as inputs and targets `scale` times larger."""
    generator = torch.Generator().manual_seed(seed)
    height, width = size
    target = torch.rand(num, 3, scale * height, scale * width, generator=generator) * 2 - 1
    batch = {"image": target, "input": target[:, :, ::scale, ::scale].contiguous()}
    if mask:
        batch["mask"] = (torch.rand(num, 1, height, width, generator=generator) < 0.7).float()
    return batch


def trainer(**more):
    """Return a trainer that writes nothing."""
    return L.Trainer(
        accelerator="cpu", logger=False, enable_progress_bar=False, enable_checkpointing=False,
        enable_model_summary=False, num_sanity_val_steps=0, **more,
    )  # fmt: skip


def store_of_places(sizes, *, waits=False):
    """Return pictures whose channels are the number of the picture, the row and the column."""
    parts = []
    for i, (height, width) in enumerate(sizes):
        rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        parts.append(torch.stack([torch.full_like(rows, i), rows, columns]).flatten())
    return PictureStore(
        torch.cat(parts).to(torch.uint8), torch.tensor(sizes), num_channels=3,
        names=[f"{i}.png" for i in range(len(sizes))], fingerprint="places", waits=waits,
    )  # fmt: skip
