"""Sequences of frames for models that read them, as a data module gives them."""

import lightning as L
import torch
from torch.utils.data import DataLoader

from limner.losses.bernoulli import BernoulliLoss
from limner.models import VideoPrediction
from limner.models.gradients import Gradients
from limner.networks.conv_lstm import ConvLSTM
from limner.pixels import to_uint8

NUM_INPUTS, NUM_TARGETS = 3, 2


def sequences(num=4, *, num_frames=NUM_INPUTS + NUM_TARGETS, size=(12, 12), seed=0):
    """Return frames (num, T, 1, H, W): a bright square that moves a pixel to the right a step."""
    generator = torch.Generator().manual_seed(seed)
    frames = torch.full((num, num_frames, 1, *size), -1.0)
    for i in range(num):
        top, left = torch.randint(0, 6, (2,), generator=generator).tolist()
        for step in range(num_frames):
            x = (left + step) % (size[1] - 3)
            frames[i, step, :, top : top + 4, x : x + 4] = 1.0
    return frames


class Store:
    """Store of sequences, as `data.split` returns."""

    fingerprint, labels = "squares", None

    def __init__(self, frames):
        self.frames = frames

    def __len__(self):
        return len(self.frames)

    def gather(self, indices):
        return to_uint8(self.frames[indices])


class Sequences(L.LightningDataModule):
    """Data module of given batches of frames; `validation` has one batch of frames."""

    name, batch_size, image_shape = "squares", 4, (1, 12, 12)
    has_frames, num_inputs, num_targets = True, NUM_INPUTS, NUM_TARGETS

    def __init__(self, batches, validation=None):
        super().__init__()
        self.batches = list(batches)
        self.validation = sequences(seed=9) if validation is None else validation

    def train_dataloader(self):
        return DataLoader([{"frames": each} for each in self.batches], batch_size=None)

    def val_dataloader(self):
        return DataLoader([{"frames": self.validation}], batch_size=None)

    test_dataloader = val_dataloader

    def split(self, name):
        frames = torch.cat(self.batches) if name == "train" else self.validation
        return Store(frames), torch.arange(len(frames))

    def protocol(self):
        return {"sequences": "squares"}


def recurrent(**changes):
    """Return a small ConvLSTM for grey frames."""
    torch.manual_seed(0)
    return ConvLSTM(**{
        "image_shape": (1, 12, 12), "width": 4, "num_layers": 2, "kernel_size": 3, "patch": 2,
        "predicts_inputs": True,
    } | changes)  # fmt: skip


def prediction(network=None, losses=None, *, sampling=None, accumulate=1, ema=None, lr=0.1):
    """Return a small model of video prediction."""
    return VideoPrediction(
        network=recurrent() if network is None else network,
        losses={"bernoulli": BernoulliLoss(weight=1.0)} if losses is None else losses,
        num_inputs=NUM_INPUTS, num_targets=NUM_TARGETS, scheduled_sampling=sampling,
        optimizer=lambda weights: torch.optim.SGD(weights, lr=lr),
        gradients=Gradients(max_norm=None, accumulate=accumulate), ema_half_life=ema,
    )  # fmt: skip
