import numpy as np
import pytest
import torch
from PIL import Image

from limner.data.backgrounds import WHITE
from limner.data.picture_folder import PictureFolder
from limner.data.picture_store import CentreCrops, PictureStore, open_pictures
from limner.errors import UserError

SIZES = [(8, 6), (5, 9), (7, 7)]


def store_of(pictures, *, waits=False):
    """Return a store of uint8 pictures (C, H, W)."""
    return PictureStore(
        torch.cat([picture.flatten() for picture in pictures]),
        torch.tensor([picture.shape[1:] for picture in pictures]),
        num_channels=len(pictures[0]),
        names=[f"picture {i}" for i in range(len(pictures))],
        fingerprint="pixels",
        waits=waits,
    )


@pytest.fixture
def pictures():
    random = torch.Generator().manual_seed(0)
    return [torch.randint(256, (3, *size), generator=random, dtype=torch.uint8) for size in SIZES]


@pytest.fixture
def opened(tmp_path):
    """Return a function that writes arrays (H, W, C) as PNG and opens their store."""

    def make(arrays, *, names=None, num_channels=3, **options):
        folder = tmp_path / "pictures"
        folder.mkdir(exist_ok=True)
        for i, array in enumerate(arrays):
            Image.fromarray(array).save(folder / (names[i] if names else f"{i}.png"))
        found = PictureFolder(path=str(folder), folder=None).pictures()["train"]
        kinds = {"kind": "auto", "memory_limit_gib": 1.0, "on_corrupt": "error"}
        return open_pictures(found, num_channels, background=WHITE, **(kinds | options))

    return make


def test_picture_returns_each_picture_at_its_own_size(pictures):
    store = store_of(pictures)
    assert len(store) == 3
    assert all(torch.equal(store.picture(i), pictures[i]) for i in range(3))


def test_gather_cuts_the_boxes(pictures):
    boxes = torch.tensor([[1, 2], [0, 5], [3, 0], [4, 2]])
    found = store_of(pictures).gather(torch.tensor([2, 1, 0, 0]), boxes, size=(4, 3))
    expected = [
        pictures[2][:, 1:5, 2:5], pictures[1][:, 0:4, 5:8], pictures[0][:, 3:7, 0:3],
        pictures[0][:, 4:8, 2:5],
    ]  # fmt: skip
    assert torch.equal(found, torch.stack(expected))


def test_gather_refuses_a_box_that_leaves_its_picture(pictures):
    with pytest.raises(RuntimeError):
        store_of(pictures).gather(torch.tensor([0]), torch.tensor([[6, 0]]), size=(4, 3))


def test_centre_crops_are_the_centres(pictures):
    crops = CentreCrops(store_of(pictures), 4)
    expected = [pictures[0][:, 2:6, 1:5], pictures[1][:, 0:4, 2:6], pictures[2][:, 1:5, 1:5]]
    assert torch.equal(crops.gather(torch.arange(3)), torch.stack(expected))


def test_centre_crops_of_other_sizes_have_other_fingerprints(pictures):
    store = store_of(pictures)
    assert CentreCrops(store, 4).fingerprint != CentreCrops(store, 5).fingerprint


def test_refuse_small_names_the_picture_its_size_and_the_key(pictures):
    store = store_of(pictures)
    store.refuse_small(torch.tensor([0, 2]), 6)
    with pytest.raises(
        UserError, match=r"data\.crop_size=6: picture 1 has only 9x5 pixels\.\n.*5"
    ):
        store.refuse_small(torch.arange(3), 6)
    with pytest.raises(UserError, match=r"8: picture 0 .* \(and 2 more are too small\)"):
        store.refuse_small(torch.arange(3), 8)
    with pytest.raises(UserError, match=r"Choose a data\.crop_size of 4 at most"):
        store.refuse_small(torch.arange(3), 8, multiple=4)


@pytest.mark.parametrize("kind", ["memory", "mapped"])
def test_open_pictures_keeps_pixels_and_sizes(opened, kind):
    random = np.random.default_rng(0)
    arrays = [random.integers(0, 256, (*size, 3), dtype=np.uint8) for size in SIZES]
    for _ in range(2):  # decoded, then read from the cache
        store = opened(arrays, kind=kind)
        assert store.waits == (kind == "mapped")
        assert store.sizes.tolist() == [list(size) for size in SIZES]
        for i, array in enumerate(arrays):
            assert torch.equal(store.picture(i), torch.from_numpy(array).permute(2, 0, 1))


def test_auto_maps_what_is_larger_than_the_limit(opened):
    arrays = [np.zeros((*size, 3), np.uint8) for size in SIZES]
    assert not opened(arrays, memory_limit_gib=1.0).waits
    assert opened(arrays, memory_limit_gib=1e-9).waits


def test_fingerprint_depends_on_pixels_and_sizes(opened):
    first = opened([np.zeros((4, 6, 3), np.uint8)]).fingerprint
    assert opened([np.zeros((6, 4, 3), np.uint8)]).fingerprint != first
    assert opened([np.ones((4, 6, 3), np.uint8)]).fingerprint != first
    assert opened([np.zeros((4, 6, 3), np.uint8)]).fingerprint == first


def test_damaged_cache_is_decoded_again(opened, monkeypatch, tmp_path):
    monkeypatch.setenv("LIMNER_CACHE", str(tmp_path / "cache"))
    array = np.full((4, 6, 3), 7, np.uint8)
    opened([array])
    (sizes,) = (tmp_path / "cache").rglob("sizes.npy")
    np.save(sizes, np.array([[40, 6]]))
    assert torch.equal(opened([array]).picture(0), torch.full((3, 4, 6), 7, dtype=torch.uint8))


def test_grey_alpha_and_16_bit_pictures_are_converted(opened):
    grey = np.full((4, 6), 100, np.uint8)
    deep = np.full((5, 4), 200 * 256 + 255, np.uint16)
    clear = np.zeros((3, 3, 4), np.uint8)
    store = opened([grey, deep, clear])
    assert [store.picture(i).unique().tolist() for i in range(3)] == [[100], [200], [255]]
    assert store.background == "#ffffff"
    assert opened([grey, deep, clear], num_channels=1).picture(0).shape == (1, 4, 6)


def test_turned_photo_is_upright(opened, tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    Image.fromarray(np.zeros((4, 6, 3), np.uint8)).save(folder / "0.png", exif=exif)
    assert opened([]).sizes.tolist() == [[6, 4]]


def test_corrupt_picture_is_refused_or_left_out(opened, tmp_path):
    arrays = [np.full((4 + i, 6, 3), i, np.uint8) for i in range(3)]
    opened(arrays)
    (tmp_path / "pictures" / "1.png").write_bytes(b"no picture")
    with pytest.raises(UserError, match=r"1\.png cannot be read"):
        opened([])
    store = opened([], on_corrupt="skip")
    assert store.sizes.tolist() == [[4, 6], [6, 6]]
    assert store.names == ["0.png", "2.png"]
    assert store.picture(1).unique().tolist() == [2]
