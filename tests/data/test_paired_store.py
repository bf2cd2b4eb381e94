"""A store of pairs reads the same part of an input and its target."""

import numpy as np
import pytest
import torch
from PIL import Image

from limner.data.backgrounds import parse_colour
from limner.data.paired_folder import PairedFolder
from limner.data.paired_store import PairedStore, open_pairs
from limner.data.picture_store import PictureStore
from limner.errors import UserError
from support.pairs import store_of_places

SIZES = [(8, 12), (10, 6), (6, 6)]


def paired(scale, *, extra=0, **changes):
    """Return pairs whose channels are the number of the picture, and row and column."""
    targets = [(scale * height + extra, scale * width + extra) for height, width in SIZES]
    return PairedStore(
        store_of_places(SIZES), store_of_places(changes.get("targets", targets)), scale=scale
    )


@pytest.mark.parametrize("scale", [1, 2, 3])
def test_input_of_a_crop_is_the_same_part(scale):
    store = paired(scale)
    indices, boxes = (
        torch.tensor([2, 0, 1, 0]),
        scale * torch.tensor([[1, 2], [3, 5], [0, 0], [4, 8]]),
    )
    size = 4 * scale, 4 * scale
    images = store.gather(indices, boxes, size=size).int()
    inputs = store.gather_inputs(indices, boxes, size=size).int()
    assert images.shape == (4, 3, *size)
    assert inputs.shape == (4, 3, 4, 4)
    assert torch.equal(images[:, 0, ::scale, ::scale], inputs[:, 0])
    assert torch.equal(images[:, 1:, ::scale, ::scale], scale * inputs[:, 1:])


def test_target_is_cut_to_the_scale_of_its_input():
    store = paired(3, extra=2)
    assert store.sizes.tolist() == [[24, 36], [30, 18], [18, 18]]
    assert store.picture(1).shape == (3, 30, 18)
    assert torch.equal(store.picture(1), paired(3).picture(1))
    assert store.input(1).shape == (3, 10, 6)


@pytest.mark.parametrize(
    ("targets", "scale", "message"),
    [
        ([(16, 24), (20, 12), (12, 12)], 1, r"12x8 .* 24x16 \(2 more.*data\.scale=2 fits"),
        ([(16, 24), (20, 12), (12, 14)], 2, r"2\.png 14x12\.\nResize or remove"),
        ([(8, 12), (10, 6), (6, 6)], 2, r"data\.scale=1 fits all pairs"),
    ],
)  # fmt: skip
def test_sizes_that_do_not_fit_the_scale_are_refused(targets, scale, message):
    with pytest.raises(UserError, match=f"(?s){message}"):
        paired(scale, targets=targets)


def test_picture_smaller_than_a_crop_is_named_with_the_size_that_the_scale_leaves():
    store = paired(2)
    with pytest.raises(
        UserError, match=r"1\.png has only 12x20 .*1 more.*\n.*crop_size of 12 at most"
    ):
        store.refuse_small(torch.tensor([0, 1, 2]), 16, multiple=2)
    store.refuse_small(torch.tensor([0]), 16)


def test_fingerprint_changes_with_each_side_and_the_scale():
    one = PairedStore(store_of_places(SIZES), store_of_places(SIZES), scale=1)
    other = PictureStore(
        store_of_places(SIZES).pixels, torch.tensor(SIZES), num_channels=3, names=["a"] * 3,
        fingerprint="other", waits=False,
    )  # fmt: skip
    found = {
        one.fingerprint,
        PairedStore(other, store_of_places(SIZES), scale=1).fingerprint,
        PairedStore(store_of_places(SIZES), other, scale=1).fingerprint,
        paired(2).fingerprint,
    }
    assert len(found) == 4


@pytest.fixture
def opened(tmp_path):
    """Return a function that writes six pairs, breaks some files, and opens the store."""
    random = np.random.default_rng(0)
    for side, size in (("in", 4), ("out", 8)):
        (tmp_path / side).mkdir()
        for i in range(6):
            pixels = random.integers(0, 256, (size, size, 3), dtype=np.uint8)
            pixels[0, 0] = i
            Image.fromarray(pixels).save(tmp_path / side / f"{i}.png")

    def make(*broken, on_corrupt="skip"):
        for name in broken:
            (tmp_path / name).write_bytes(b"no picture")
        source = PairedFolder(
            path=str(tmp_path), layout="folders", input_folder="in", target_folder="out",
            input_side="left",
        )  # fmt: skip
        return open_pairs(
            source.pairs()["train"], input_channels=1, num_channels=3, scale=2, kind="auto",
            memory_limit_gib=1.0, on_corrupt=on_corrupt, background=parse_colour("white"),
        )  # fmt: skip

    return make


def test_inputs_and_targets_have_their_own_numbers_of_channels(opened):
    store, names = opened()
    assert names == ["0", "1", "2", "3", "4", "5"]
    assert store.input(3).shape == (1, 4, 4)
    assert store.picture(3).shape == (3, 8, 8)


@pytest.mark.parametrize(
    "broken", [("in/1.png",), ("out/1.png",), ("in/1.png", "out/4.png"), ("in/1.png", "out/1.png")]
)
def test_pair_of_a_corrupt_picture_is_left_out_on_both_sides(opened, broken, caplog):
    store, names = opened(*broken)
    kept = sorted({*range(6)} - {int(name[-5]) for name in broken})
    assert names == [str(i) for i in kept]
    assert [store.picture(i)[0, 0, 0].item() for i in range(len(store))] == kept
    assert [store.input(i)[0, 0, 0].item() for i in range(len(store))] == kept
    assert [name[-5:] for name in store.names] == [f"{i}.png" for i in kept]


def test_corrupt_picture_is_an_error_by_default_rule(opened):
    with pytest.raises(UserError, match=r"out/2\.png cannot be read"):
        opened("out/2.png", on_corrupt="error")


def test_no_pair_that_can_be_read_is_an_error(opened):
    broken = ["in/0.png", "in/1.png", "in/2.png", "out/3.png", "out/4.png", "out/5.png"]
    with pytest.raises(UserError, match="No pair has an input and a target"):
        opened(*broken)
