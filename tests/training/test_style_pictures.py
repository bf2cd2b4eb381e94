import numpy as np
import pytest
import torch
from PIL import Image

from limner.errors import UserError
from limner.training.style_pictures import read_style_pictures
from support.pairs import Linear
from support.styles import style_model


def picture(path, size, mode="RGB"):
    height, width = size
    channels = len(Image.new(mode, (1, 1)).getbands())
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, channels), np.uint8)
    Image.fromarray(pixels.squeeze(), mode).save(path)
    return pixels


def read(*paths):
    model = style_model(styles=[str(path) for path in paths])
    read_style_pictures(model)
    return model.style_pixels.permute(0, 2, 3, 1).numpy()


def test_style_picture_of_the_size_of_the_model_keeps_its_pixels(tmp_path):
    pixels = [picture(tmp_path / name, (16, 16)) for name in ("a.png", "b.png")]
    assert np.array_equal(read(tmp_path / "a.png", tmp_path / "b.png"), pixels)


def test_wide_style_picture_is_cut_to_its_centre(tmp_path):
    pixels = picture(tmp_path / "a.png", (16, 40))
    assert np.array_equal(read(tmp_path / "a.png")[0], pixels[:, 12:28])


def test_grey_and_transparent_style_pictures_become_colours_on_white(tmp_path):
    grey = picture(tmp_path / "a.png", (16, 16), "L")
    assert np.array_equal(read(tmp_path / "a.png")[0], grey.repeat(3, 2))
    Image.new("RGBA", (20, 20), (0, 0, 0, 0)).save(tmp_path / "b.png")
    assert (read(tmp_path / "b.png") == 255).all()


def test_style_picture_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(UserError, match=r"model\.styles: the picture .*nix\.png cannot be read"):
        read(tmp_path / "nix.png")
    with pytest.raises(UserError, match=r"text\.png is no whole picture in PNG"):
        read(tmp_path / "text.png")


def test_other_models_read_no_style_pictures():
    model = Linear()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    read_style_pictures(model)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
