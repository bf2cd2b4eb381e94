"""Small models that map pictures to pictures, and exports of them for `limner.load`."""

from pathlib import Path
from typing import Any

import safetensors.torch
import torch
import yaml
from torch import nn
from torch.nn.functional import pad

from limner.pretrained.trained_model import TrainedModel


class Enlarger(nn.Module):
    """Network with 3x3 convolutions, batch norm, dropout and a pixel shuffle."""

    multiple = 1

    def __init__(self, *, channels=3, outputs=3, scale=2):
        super().__init__()
        self.scale, self.overlap = scale, 4  # 3 convolutions before the shuffle, 1 after it
        self.layers = nn.Sequential(
            nn.Conv2d(channels, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.5),
            nn.Conv2d(8, 8, 3, padding=1, padding_mode="replicate"), nn.ReLU(),
            nn.Conv2d(8, 4 * scale**2, 3, padding=1), nn.PixelShuffle(scale),
            nn.Conv2d(4, outputs, 3, padding=1),
        )  # fmt: skip

    def forward(self, inputs):
        return self.layers(inputs)


class UNet(nn.Module):
    """Network with two levels of strided convolutions, which pads its input to multiples of 4."""

    scale, multiple, overlap = 1, 4, 24

    def __init__(self, *, channels=3, outputs=3, mode="reflect"):
        super().__init__()
        self.mode = mode
        self.down = nn.Sequential(
            nn.Conv2d(channels, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 2, stride=2),
            nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 2, stride=2),
            nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(),
        )  # fmt: skip
        self.up = nn.Sequential(
            nn.ConvTranspose2d(8, 8, 2, stride=2), nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(),
            nn.ConvTranspose2d(8, 8, 2, stride=2), nn.Conv2d(8, outputs, 3, padding=1),
        )  # fmt: skip

    def forward(self, inputs):
        height, width = inputs.shape[2:]
        padded = pad(inputs, (0, -width % 4, 0, -height % 4), mode=self.mode)
        return self.up(self.down(padded))[..., :height, :width]


class Pooled(nn.Module):
    """Network whose output pixels depend on the mean of the whole picture."""

    scale, multiple, overlap = 1, 1, None

    def __init__(self, *, channels=3, outputs=3):
        super().__init__()
        self.layer = nn.Conv2d(channels, outputs, 1)

    def forward(self, inputs):
        return self.layer(inputs) - inputs.mean((1, 2, 3), keepdim=True)


class PictureModel(nn.Module):
    """Model with the interface of `ImageToImage`, without an average of weights."""

    reads_input = True

    def __init__(self, *, network):
        super().__init__()
        self.network = network

    def transform(self, inputs, mask=None):
        read = inputs if mask is None else torch.cat([inputs, 2 * mask - 1], 1)
        return self.network(read).clamp(-1, 1)


class DirectedModel(nn.Module):
    """Model with the interface of `CycleGAN`: two networks, one for each direction."""

    choices = {"direction": ("ab", "ba")}  # noqa: RUF012  as in the model

    def __init__(self, *, ab, ba):
        super().__init__()
        self.network = nn.ModuleDict({"ab": ab, "ba": ba})

    def transform(self, inputs, *, direction):
        return self.network[direction](inputs).clamp(-1, 1)


class Nearest(nn.Module):
    """Network that repeats each pixel, so that every result is known."""

    overlap, multiple = 0, 1

    def __init__(self, *, scale=2):
        super().__init__()
        self.scale = scale
        self.factor = nn.Parameter(torch.ones(1))

    def forward(self, inputs):
        repeated = inputs[:, :3] if inputs.shape[1] > 3 else inputs
        repeated = repeated.repeat_interleave(self.scale, 2).repeat_interleave(self.scale, 3)
        return self.factor * repeated


def facts(network_channels=3, outputs=3):
    """Return the facts of the data that a model was trained on."""
    shapes = {"image_shape": [outputs, 8, 8], "input_shape": [network_channels, 8, 8]}
    return {"name": "fake", "num_classes": 0, **shapes}


def model_of(network, *, channels=3, outputs=3, seed=0):
    """Return a TrainedModel of a network with random weights, also in its batch norm."""
    torch.manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, std=(2 / module.weight[0].numel()) ** 0.5)
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    config = {"data": facts(channels, outputs)}
    return TrainedModel(PictureModel(network=network), config=config, update=1, source="here")


def directed_model(ab, ba):
    """Return a TrainedModel of two networks of this module, one for each direction."""
    module = DirectedModel(ab=ab, ba=ba)
    return TrainedModel(module, config={"data": facts()}, update=1, source="here")


def export_of(network, arguments, folder: Path, *, channels=3, outputs=3) -> Path:
    """Write an export of a network of this module; load it with trust=["support"].

    Args:
        network: Class of the network.
        arguments: Arguments of its constructor.
        folder: New folder.
        channels: Number of channels of the input.
        outputs: Number of channels of the output.
    """
    model = model_of(network(**arguments), channels=channels, outputs=outputs)
    node = _node(PictureModel, network=_node(network, **arguments))
    return _written(model, node, folder, data=facts(channels, outputs))


def directed_export(folder: Path) -> Path:
    """Write an export of a model that doubles pictures in direction ab, and copies them in ba."""
    node = _node(DirectedModel, ab=_node(Nearest, scale=2), ba=_node(Nearest, scale=1))
    model = directed_model(Nearest(scale=2), Nearest(scale=1))
    return _written(model, node, folder, data=facts())


def _node(kind: type, **arguments: Any) -> dict[str, Any]:
    return {"_target_": f"support.picture_models.{kind.__name__}", **arguments}


def _written(
    model: TrainedModel, node: dict[str, Any], folder: Path, *, data: dict[str, Any]
) -> Path:
    folder.mkdir(parents=True)
    weights = {key: value.clone() for key, value in model.module.state_dict().items()}
    (folder / "model.safetensors").write_bytes(safetensors.torch.save(weights))
    config = {
        "limner": "0", "weights": "model.safetensors", "update": 1, "seed": 0,
        "data": data, "model": node,
    }  # fmt: skip
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return folder
