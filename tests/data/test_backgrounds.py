"""Transparent pixels are laid on a colour; stores and protocols differ by the colour."""

import json
import logging

import pytest
import torch
from PIL import Image

from limner.cache import cache_dir
from limner.data import ImageFolder
from limner.data.backgrounds import WHITE, background_of, compose, parse_colour
from limner.data.decode import to_array
from limner.data.store import open_store
from limner.errors import UserError

BLACK, ORANGE = (0, 0, 0), (255, 136, 0)


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LIMNER_CACHE", str(tmp_path / "cache"))


def half_transparent(mode):
    """Return a picture that is opaque grey on the left and transparent red on the right."""
    picture = Image.new("RGBA", (8, 4), (90, 90, 90, 255))
    picture.paste((200, 0, 0, 0), (4, 0, 8, 4))
    if mode in ("LA", "RGBA"):
        return picture.convert(mode)
    if mode == "La":
        return picture.convert("LA").convert("La")
    if mode == "RGBa":
        return picture.convert("RGBa")
    picture = picture.convert("L" if mode == "L" else "RGB")
    value = picture.getpixel((7, 0))
    if mode == "P":
        picture = picture.quantize(4)
        value = picture.getpixel((7, 0))
    picture.info["transparency"] = value
    return picture


@pytest.mark.parametrize("mode", ["RGBA", "LA", "La", "RGBa", "RGB", "L", "P"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("colour", [WHITE, BLACK])
def test_transparent_pixels_are_laid_on_the_background(mode, channels, colour):
    array = to_array(half_transparent(mode), [channels, 4, 8], background=colour)
    assert (array[:, :, :4] == 90).all()
    assert (array[:, :, 4:] == colour[0]).all()


def test_compose_mixes_half_transparent_pixels():
    picture = Image.new("RGBA", (2, 2), (0, 0, 0, 51))
    assert compose(picture, WHITE)[0].getpixel((0, 0)) == (204, 204, 204)


def test_compose_returns_an_opaque_picture_as_it_is():
    picture = Image.new("RGBA", (2, 2), (10, 20, 30, 255))
    assert compose(picture, BLACK) == (picture, False)


def test_to_array_keeps_alpha_with_four_channels():
    array = to_array(half_transparent("RGBA"), [4, 4, 8], background=BLACK)
    assert array[:, 0, 7].tolist() == [200, 0, 0, 0]


@pytest.mark.parametrize(
    ("value", "colour"),
    [("white", WHITE), ("#ff8800", ORANGE), ([255, 136, 0], ORANGE), ("black", BLACK)],
)
def test_parse_colour_reads_names_and_numbers(value, colour):
    assert parse_colour(value) == colour


@pytest.mark.parametrize(
    "value", ["whitish", "#ff", "#11223344", [1, 2], [0, 0, 256], [-1, 0, 0], [0.5, 0, 0], ""]
)
def test_parse_colour_refuses_a_text_that_is_not_a_colour(value):
    with pytest.raises(UserError, match=r"data.background=.*must be a colour"):
        parse_colour(value)


def opened(folder, colour, *, kind="memory", shape=(3, 4, 8)):
    pictures = ImageFolder(path=str(folder)).pictures()["train"]
    return open_store(
        pictures, list(shape), kind=kind, memory_limit_gib=1.0, on_corrupt="error",
        background=colour,
    )  # fmt: skip


@pytest.fixture
def opaque(tmp_path):
    folder = tmp_path / "opaque"
    folder.mkdir()
    for i in range(3):
        Image.new("RGB", (8, 4), (i, 40, 200)).save(folder / f"{i}.png")
    return folder


@pytest.fixture
def transparent(tmp_path, opaque):
    folder = opaque.rename(tmp_path / "transparent")
    half_transparent("RGBA").save(folder / "3.png")
    return folder


@pytest.mark.parametrize("kind", ["memory", "mapped", "streamed"])
def test_store_differs_by_background_when_pixels_are_transparent(transparent, kind):
    white, black = (opened(transparent, colour, kind=kind) for colour in (WHITE, BLACK))
    assert white.fingerprint != black.fingerprint
    assert background_of(white) == {"background": "#ffffff"}
    assert background_of(black) == {"background": "#000000"}
    assert opened(transparent, WHITE, kind=kind).fingerprint == white.fingerprint
    last = white.gather(torch.tensor([3]))
    assert (last[0, :, :, 4:] == 255).all()


@pytest.mark.parametrize("kind", ["memory", "mapped"])
def test_store_is_the_same_on_every_background_when_all_is_opaque(opaque, kind):
    white, black = (opened(opaque, colour, kind=kind) for colour in (WHITE, BLACK))
    assert white.fingerprint == black.fingerprint
    assert background_of(white) == background_of(black) == {}
    assert len(list(cache_dir().glob("images/*/about.json"))) == 1


def test_store_with_four_channels_has_no_background(transparent):
    white, black = (opened(transparent, colour, shape=(4, 4, 8)) for colour in (WHITE, BLACK))
    assert white.fingerprint == black.fingerprint
    assert background_of(white) == {}


@pytest.mark.parametrize("case", ["transparent", "opaque", "jpeg"])
def test_store_of_an_earlier_version_is_reused_when_it_cannot_be_transparent(
    tmp_path, request, case
):
    """An earlier version dropped transparency and did not count the pictures."""
    if case == "jpeg":
        folder = tmp_path / "photos"
        folder.mkdir()
        Image.new("RGB", (8, 4)).save(folder / "a.jpg")
    else:
        folder = request.getfixturevalue(case)
    before = opened(folder, WHITE)
    (about,) = cache_dir().glob("images/*/about.json")
    content = json.loads(about.read_text())
    del content["num_transparent"], content["background"]
    about.write_text(json.dumps({**content, "sha256": "earlier"}))
    fingerprint = opened(folder, WHITE).fingerprint
    assert fingerprint == ("earlier" if case == "jpeg" else before.fingerprint)


def test_store_reports_the_pictures_that_were_laid_on_the_background(transparent, caplog):
    caplog.set_level(logging.INFO)
    opened(transparent, BLACK)
    assert (
        "1 image with transparent pixels, which show the colour data.background=#000000"
        in caplog.text
    )
