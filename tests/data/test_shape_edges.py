"""Outlines and filled shapes: pure functions of (seed, number), which fit together."""

import pytest
import torch

from limner.data.shape_edges import ShapeEdges
from limner.data.shapes import Shapes
from limner.errors import UserError

COLOURS = {"circle": "red", "square": "blue", "star": "green"}
FAR = {"circle": [255, 0, 0], "square": [0, 0, 255], "star": [0, 128, 0]}
BLUNT = {"kinds": ["circle", "square"]}
"""Kinds without sharp corners, beyond which an outline reaches far."""


def source(*, seed=0, line_width=0.05, **changes):
    arguments = {
        "num_train": 60, "num_validation": 20, "num_test": 0, "kinds": list(COLOURS),
        "colours": COLOURS, "min_size": 0.3, "max_size": 0.4, "background": "white",
    }  # fmt: skip
    return ShapeEdges(shapes=Shapes(seed=seed, **arguments | changes), line_width=line_width)


def stores(size=32, *, channels=1, scale=1, **changes):
    return source(**changes).open_pair_stores(
        image_shape=[3, size, size], input_shape=[channels, size // scale, size // scale]
    )


def pictures(store, number=20):
    indices, boxes = torch.arange(number), torch.zeros(number, 2, dtype=torch.int64)
    size = store.picture(0).shape[1:]
    return store.gather_inputs(indices, boxes, size=size), store.gather(indices, boxes, size=size)


def test_outline_is_where_the_filled_shape_has_its_border():
    inputs, targets = pictures(stores(64, **BLUNT)["train"])
    assert inputs.shape == (20, 1, 64, 64)
    assert targets.shape == (20, 3, 64, 64)
    is_line = (inputs[:, 0] < 100).float()
    is_filled = (targets.float() - 255).abs().sum(1, keepdim=True) > 100
    around = torch.nn.functional.pad(is_filled.float(), (3, 3, 3, 3))
    grown = torch.nn.functional.max_pool2d(around, 7, 1)[:, 0]
    shrunk = -torch.nn.functional.max_pool2d(-around, 7, 1)[:, 0]
    assert (is_line <= grown - shrunk).all(), "each line is near a border"
    assert (is_line.flatten(1).sum(1) > 60).all()
    assert (inputs.float().mean() > 200).item(), "lines are dark on light"


def test_colour_of_a_filled_shape_is_that_of_its_kind():
    store = stores()["train"]
    kinds = store.targets.rendered.attributes(torch.arange(20)).kind
    _, targets = pictures(store)
    assert len(set(kinds)) == 3
    for kind, picture in zip(kinds, targets, strict=True):
        colours = {tuple(c) for c in picture.flatten(1).T.tolist()}
        assert tuple(FAR[kind]) in colours
        assert not colours & {tuple(c) for name, c in FAR.items() if name != kind}


def test_pair_depends_on_seed_and_number_alone():
    one, again, other = (stores(seed=seed)["train"] for seed in (0, 0, 1))
    assert all(torch.equal(a, b) for a, b in zip(pictures(one), pictures(again), strict=True))
    assert one.fingerprint == again.fingerprint
    assert not torch.equal(pictures(one)[0], pictures(other)[0])
    assert one.fingerprint != other.fingerprint
    assert torch.equal(one.picture(7), pictures(one)[1][7])
    assert torch.equal(one.input(7), pictures(one)[0][7])
    assert one.fingerprint != stores(line_width=0.1)["train"].fingerprint


def test_splits_have_other_pairs_and_an_empty_split_is_left_out():
    found = stores()
    assert {split: len(store) for split, store in found.items()} == {"train": 60, "validation": 20}
    train, validation = (pictures(store)[0] for store in found.values())
    assert not (train[:, None] == validation[None]).flatten(2).all(2).any()


def test_inputs_may_be_smaller_and_have_three_channels():
    inputs, targets = pictures(stores(64, channels=3, scale=2, **BLUNT)["train"])
    assert inputs.shape == (20, 3, 32, 32)
    small = torch.nn.functional.avg_pool2d(targets.float(), 2)
    inside = (small - 255).abs().sum(1) > 300
    dark = inputs[:, 0] < 100
    assert (dark & ~torch.nn.functional.max_pool2d(inside.float(), 5, 1, 2).bool()).sum() == 0


def test_crop_is_a_part_of_the_picture():
    store, boxes = stores()["train"], torch.tensor([[3, 5], [8, 0]])
    found = store.gather(torch.tensor([4, 2]), boxes, size=(16, 20))
    assert torch.equal(found[0], store.picture(4)[:, 3:19, 5:25])
    assert torch.equal(found[1], store.picture(2)[:, 8:24, :20])


def test_store_moves_to_another_device_with_its_pictures():
    store = stores()["train"]
    moved = store.to(torch.device("cpu"))
    assert moved.fingerprint == store.fingerprint
    assert all(torch.equal(a, b) for a, b in zip(pictures(store), pictures(moved), strict=True))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"colours": {"circle": "red"}}, "names no colour for square, star"),
        ({"line_width": 0.0}, r"data\.source\.line_width=0\.0: must be above 0"),
        ({"line_width": 0.3}, "0.25 at most"),
    ],
)
def test_arguments_that_draw_no_pairs_are_refused(changes, message):
    with pytest.raises(UserError, match=message):
        source(**changes)
