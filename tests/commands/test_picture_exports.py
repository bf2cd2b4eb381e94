"""Exports of models that transform pictures: weights, card, and ONNX with free sizes."""

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from torch import nn

from limner.commands import export as export_command
from limner.commands import onnx
from limner.errors import UserError
from limner.networks import johnson, unet
from limner.pretrained.load import load
from support.picture_models import (
    Enlarger,
    Nearest,
    UNet,
    directed_export,
    directed_model,
    export_of,
    model_of,
)

SAME_SIZE = {"input_shape": [3, 16, 16], "image_shape": [3, 16, 16], "scale": 1}


@pytest.mark.parametrize("channels", [3, 4])
def test_export_of_a_picture_model_gives_the_same_pictures(tmp_path, monkeypatch, channels):
    monkeypatch.chdir(tmp_path)
    export_of(Enlarger, {"scale": 2, "channels": channels}, Path("first"), channels=channels)
    words = ["run=first", "to=second", "trust=[support]"]
    assert export_command.run(words) == 0
    first, second = (load(name, device="cpu", trust=["support"]) for name in ("first", "second"))
    picture = np.random.default_rng(0).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    mask = None if channels == 3 else picture[..., 0] > 100
    made = first.transform(picture, mask)
    assert made.shape == (18, 24, 3)
    assert np.array_equal(second.transform(picture, mask), made)
    assert not Path("second/samples.png").exists()
    card = Path("second/README.md").read_text()
    assert yaml.safe_load(card.split("---")[1])["pipeline_tag"] == "image-to-image"
    assert f"model.transform(picture{', mask' if channels == 4 else ''})" in card
    assert "| scale | 2 (output size / input size) |" in card
    assert "| images | pictures of any size, in crops of " in card


def test_export_of_a_model_with_directions_states_both(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    directed_export(Path("first"))
    assert export_command.run(["run=first", "to=second", "trust=[support]"]) == 0
    card = Path("second/README.md").read_text()
    for direction in ("ab", "ba"):
        assert f'model.transform(picture, direction="{direction}")' in card


@pytest.mark.slow
def test_onnx_has_a_file_for_each_direction(tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    onnx.export(directed_model(Nearest(scale=2), UNet()), tmp_path / "model.onnx")
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["model_ab.onnx", "model_ba.onnx"]
    inputs = torch.rand(1, 3, 8, 12) * 2 - 1
    for direction, scale in (("ab", 2), ("ba", 1)):
        session = onnxruntime.InferenceSession(tmp_path / f"model_{direction}.onnx")
        (image,) = session.run(None, {"input": inputs.numpy()})
        assert image.shape == (1, 3, 8 * scale, 12 * scale)


class Undecided(Nearest):
    """Network that computes something else for bright pictures."""

    def forward(self, inputs):
        return super().forward(inputs if inputs.mean() > 0 else -inputs)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("network", "channels"),
    [
        (lambda: Enlarger(scale=3), 3),
        (lambda: Enlarger(scale=1, channels=4), 4),
        (UNet, 3),
        (
            lambda: unet.UNet(
                **SAME_SIZE, width=4, max_width=8, depth=None, norm="instance", dropout=0.5
            ),
            3,
        ),
        (lambda: johnson.Johnson(**SAME_SIZE, width=4, num_blocks=1, num_styles=1), 3),
    ],
    ids=["x3", "mask", "u-net", "pix2pix", "johnson"],
)
def test_onnx_picture_model_equals_torch_at_any_size(tmp_path, network, channels):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    model = model_of(network(), channels=channels)
    onnx.export(model, tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    for shape in ((1, 3, 31, 50), (2, 3, 64, 18)):
        inputs = [torch.rand(shape) * 2 - 1]
        if channels == 4:
            inputs.append((torch.rand(shape[0], 1, *shape[2:]) < 0.5).float())
        feeds = {name: each.numpy() for name, each in zip(("input", "mask"), inputs, strict=False)}
        (image,) = session.run(None, feeds)
        with torch.no_grad():
            expected = model.module.transform(*inputs)
        assert (torch.from_numpy(image) - expected).abs().max() <= 1e-4


@pytest.mark.slow
def test_onnx_refuses_a_network_that_it_cannot_express(tmp_path):
    pytest.importorskip("onnxscript")
    with pytest.raises(UserError, match=r"onnx=true: ONNX cannot express this network: .+"):
        onnx.export(model_of(Undecided(scale=1)), tmp_path / "model.onnx")
    assert not (tmp_path / "model.onnx").exists()


def test_onnx_refuses_a_model_without_codes_and_pictures(tmp_path):
    model = model_of(Nearest())
    model.module = nn.Linear(1, 1)
    with pytest.raises(UserError, match="Linear is neither a function of a latent code nor of a"):
        onnx.export(model, tmp_path / "model.onnx")
