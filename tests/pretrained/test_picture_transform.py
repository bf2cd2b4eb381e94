"""`TrainedModel.transform`: which pictures it takes, and what it returns and refuses."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torch import nn

from limner.errors import UserError
from limner.pretrained import activation_memory, picture_transform
from support.picture_models import Enlarger, Nearest, Pooled, UNet, directed_model, model_of


def pixels(height, width, *channels, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, *channels), dtype=np.uint8)


def twice(array):
    return array.repeat(2, 0).repeat(2, 1)


@pytest.fixture
def nearest():
    return model_of(Nearest())


def test_transform_gives_equal_results_in_two_calls_and_after_training(monkeypatch):
    model, picture = model_of(Enlarger()), pixels(20, 30, 3)
    first = model.transform(picture)
    assert np.array_equal(model.transform(picture), first)
    statistics = model.module.network.layers[1].running_mean.clone()
    model.module.train()  # dropout and batch norm would now change each call
    assert np.array_equal(model.transform(picture), first)
    assert (model.module.network.layers[1].running_mean == statistics).all()


def test_transform_takes_arrays_lists_and_pil_images_of_any_size(nearest):
    a, b = pixels(5, 7, 3), pixels(4, 9, 3, seed=1)
    assert np.array_equal(nearest.transform(a), twice(a))
    assert np.array_equal(nearest.transform(Image.fromarray(a)), twice(a))
    made = nearest.transform([a, Image.fromarray(b)])
    assert isinstance(made, list)
    assert all(np.array_equal(*pair) for pair in zip(made, (twice(a), twice(b)), strict=True))
    batch = nearest.transform(np.stack([a, a]))
    assert batch.shape == (2, 10, 14, 3)
    assert batch.dtype == np.uint8


def test_transform_takes_grey_pictures_without_a_channel_axis():
    model = model_of(Enlarger(channels=1, outputs=1), channels=1, outputs=1)
    grey = pixels(5, 7)
    assert np.array_equal(model.transform(grey), model.transform(grey[..., None]))
    assert model.transform(grey).shape == (10, 14, 1)


def test_transform_converts_arrays_of_other_channels_as_the_command_converts_files(nearest):
    grey, opaque = pixels(5, 7), pixels(5, 7, 4)
    opaque[..., 3] = 255
    colours = grey[..., None].repeat(3, 2)
    for array in (grey, grey[..., None]):
        assert np.array_equal(nearest.transform(array), twice(colours))
    assert np.array_equal(nearest.transform(np.stack([grey[..., None]] * 2))[1], twice(colours))
    assert np.array_equal(nearest.transform(opaque), twice(opaque[..., :3]))
    model = model_of(Enlarger(channels=1, outputs=1), channels=1, outputs=1)
    made = np.asarray(Image.fromarray(opaque[..., :3]).convert("L"))
    assert np.array_equal(model.transform(opaque[..., :3]), model.transform(made))


def test_transform_warns_once_of_tiles_that_read_much_more_than_the_picture(caplog):
    model, picture = model_of(Enlarger()), pixels(20, 30, 3)
    model.transform(picture, tile=16)
    assert not caplog.records
    model.transform(picture, tile=1)
    model.transform(picture, tile=1)
    (record,) = caplog.records
    assert "tile=1: " in record.getMessage()
    assert "choose a larger tile" in record.getMessage()


def test_transform_reads_holes_from_the_mask_or_from_transparent_pixels():
    model = model_of(Nearest(scale=1), channels=4)
    picture, known = pixels(5, 7, 3), pixels(5, 7, seed=1) > 99
    expected = np.where(known[..., None], picture, 128)
    assert np.array_equal(model.transform(picture, known), expected)
    assert np.array_equal(model.transform(picture, known.astype(np.uint8)), expected)
    assert np.array_equal(model.transform([picture], [known])[0], expected)
    transparent = Image.fromarray(picture)
    transparent.putalpha(Image.fromarray(255 * known.astype(np.uint8)))
    assert np.array_equal(model.transform(transparent), expected)
    with pytest.raises(UserError, match="This model fills holes: mask= must state 0"):
        model.transform(picture)
    with pytest.raises(UserError, match=r"is bool or uint8 \(5, 7\), not bool \(7, 5\)"):
        model.transform(picture, known.T)
    with pytest.raises(UserError, match="it has no transparent pixels"):
        model.transform(Image.fromarray(picture))
    with pytest.raises(UserError, match="1 masks for 2 images"):
        model.transform([picture, picture], [known])


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (pixels(5, 7, 3) / 255, r"are uint8 \(H, W, 3\), not float64 \(5, 7, 3\)"),
        (pixels(5, 7, 4), "transparent pixels, which this model does not read"),
        (pixels(5, 7, 2), r"not uint8 \(5, 7, 2\)"),
        (pixels(5, 7).astype(np.float32), r"not float32 \(5, 7\)"),
        ("a.png", r"not a path; pass PIL\.Image\.open\('a\.png'\)"),
        ([Path("a.png")], "not a path"),
        (pixels(0, 7, 3), "has no pixels"),
        ([], "There are no images"),
        (Image.fromarray(pixels(5, 7, 4)), "transparent pixels, which this model does not read"),
        (Image.fromarray(np.float32(pixels(5, 7))), "A picture has values from"),
    ],
)
def test_transform_refuses_what_is_no_picture_of_the_model(nearest, images, message):
    with pytest.raises(UserError, match=message):
        nearest.transform(images)


def test_transform_refuses_a_mask_and_a_tile_that_mean_nothing(nearest):
    with pytest.raises(UserError, match="This model reads no mask"):
        nearest.transform(pixels(5, 7, 3), pixels(5, 7) > 0)
    with pytest.raises(UserError, match="tile=0: must be 1 or more"):
        nearest.transform(pixels(5, 7, 3), tile=0)


def test_transform_refuses_pictures_and_results_beyond_the_limit(nearest, monkeypatch):
    monkeypatch.setattr(picture_transform, "MAX_PIXELS", 399)
    nearest.transform(pixels(9, 10, 3))
    with pytest.raises(UserError, match="x2 would give 20 x 20 pixels; the limit is 399"):
        nearest.transform(pixels(10, 10, 3))
    with pytest.raises(UserError, match="it has 20 x 20 pixels; the limit is 399"):
        nearest.transform(pixels(20, 20, 3))


def test_transform_runs_networks_of_whole_pictures_whole_or_refuses_their_memory(monkeypatch):
    model, picture = model_of(Pooled()), pixels(200, 300, 3)
    assert np.array_equal(model.transform(picture, tile=16), model.transform(picture, tile=None))
    monkeypatch.setattr(activation_memory, "free_bytes", lambda _: 1000)
    with pytest.raises(UserError, match=r"300 x 200 pixels at once need .*scale the picture down"):
        model.transform(picture, tile=16)
    tiled = model_of(Nearest())
    tiled.transform(picture, tile=16)
    with pytest.raises(UserError, match=r"at once need .*Choose a smaller tile="):
        tiled.transform(picture, tile=None)


def test_models_without_pictures_or_without_drawing_name_what_fits(nearest):
    with pytest.raises(UserError, match=r"PictureModel draws no images; it transforms pictures"):
        nearest.sample(1)
    with pytest.raises(UserError, match=r"has no latent codes; .* or transform\(\) in Python"):
        nearest.latents(1)
    for method in (nearest.reconstruct, nearest.encode):
        with pytest.raises(UserError, match=r"has no encoder; .* or transform\(\) in Python"):
            method(pixels(1, 5, 7, 3))
    nearest.module = nn.Linear(1, 1)
    with pytest.raises(UserError, match=r"Linear transforms no pictures\."):
        nearest.transform(pixels(5, 7, 3))


def test_transform_uses_the_network_of_the_direction_with_its_scale_and_tiles():
    model = directed_model(Nearest(scale=2), UNet())
    picture = pixels(9, 14, 3)
    assert np.array_equal(model.transform(picture, direction="ab"), twice(picture))
    assert model.transform(picture, direction="ba").shape == picture.shape
    ab, ba = (model.picture_transform(direction=each) for each in ("ab", "ba"))
    assert (ab.scale, ab.overlap, ba.scale, ba.overlap) == (2, 0, 1, 24)
    assert model.picture_transform(direction="ab") is ab, "memory is measured once"


@pytest.mark.parametrize("choices", [{}, {"direction": None}, {"direction": "a"}])
def test_transform_names_the_directions_if_none_of_them_is_given(choices):
    with pytest.raises(UserError, match="this DirectedModel needs direction=ab or ba"):
        directed_model(Nearest(), Nearest()).transform(pixels(4, 4, 3), **choices)


def test_transform_takes_the_only_value_of_a_choice_by_itself(monkeypatch):
    model = directed_model(Nearest(), Nearest())
    monkeypatch.setattr(type(model.module), "choices", {"direction": ("ab",)}, raising=False)
    picture = pixels(4, 4, 3)
    assert np.array_equal(model.transform(picture), model.transform(picture, direction="ab"))
    with pytest.raises(UserError, match="direction=ba: this DirectedModel needs direction=ab"):
        model.transform(picture, direction="ba")


def test_transform_refuses_a_choice_that_the_model_does_not_have(nearest):
    assert nearest.transform(pixels(4, 4, 3), direction=None).shape == (8, 8, 3)
    with pytest.raises(UserError, match="direction=ab: this PictureModel has no direction to"):
        nearest.transform(pixels(4, 4, 3), direction="ab")
