import pytest
import torch

from limner.data.view_store import ViewStore, natural, view_table
from limner.errors import UserError
from support.pairs import store_of_places

NAMES = ["b/2.png", "b/10.png", "a/10.png", "a/2.png", "c/2.png", "c/10.png"]


def rows(*args, **words):
    table, keys = view_table(*args, **words)
    return [[NAMES[i] for i in row] for row in table.tolist()], keys


def test_natural_order_counts():
    assert sorted(["f10", "f9", "f1b", "f1a"], key=natural) == ["f1a", "f1b", "f9", "f10"]


def test_folders_are_views_with_equal_names():
    found, keys = rows(NAMES, views="folders", num_views=3)
    assert found == [["a/2.png", "b/2.png", "c/2.png"], ["a/10.png", "b/10.png", "c/10.png"]]
    assert len(keys) == 2


@pytest.mark.parametrize(("num_views", "folders"), [(1, "b"), (2, "bc"), (3, "abc")])
def test_fewer_views_are_the_middle_folders_with_the_same_reference(num_views, folders):
    found, _ = rows(NAMES, views="folders", num_views=num_views)
    assert found[0] == [f"{name}/2.png" for name in folders]


def test_frames_are_read_with_their_neighbours_in_natural_order():
    names = [f"{clip}/f{i}.png" for clip in "xy" for i in (10, 9, 8, 7)]
    table, keys = view_table(names, views="frames", num_views=3)
    found = [[names[i] for i in row] for row in table.tolist()]
    assert found[:4] == [
        ["x/f7.png", "x/f7.png", "x/f8.png"], ["x/f7.png", "x/f8.png", "x/f9.png"],
        ["x/f8.png", "x/f9.png", "x/f10.png"], ["x/f9.png", "x/f10.png", "x/f10.png"],
    ]  # fmt: skip
    assert found[4] == ["y/f7.png", "y/f7.png", "y/f8.png"]
    assert keys == ["x"] * 4 + ["y"] * 4


@pytest.mark.parametrize(
    ("names", "num_views", "message"),
    [
        (NAMES, 4, r"num_views=4: there are only 3 folders of views \(a, b, c\)"),
        (NAMES[:-1], 3, "the folder c has no 10.png"),
        ([*NAMES, "c/3.png"], 3, "the folder a has no 3.png"),
        (["1.png", "2.png"], 2, "there are no folders of views"),
        (["x/a/1.png", "y/a/1.png", "y/b/1.png"], 2, "there is only 1 folder of views"),
    ],
)
def test_folders_refuse_missing_views(names, num_views, message):
    with pytest.raises(UserError, match=message):
        view_table(names, views="folders", num_views=num_views)


def test_store_gives_the_same_crop_of_all_views_and_the_middle_as_target():
    places = store_of_places([(9, 14)] * 4)
    store = ViewStore(places, torch.tensor([[0, 1, 2], [3, 2, 1]]))
    indices, boxes = torch.tensor([1, 0]), torch.tensor([[2, 3], [0, 5]])
    views = store.gather_views(indices, boxes, size=(4, 6))
    assert views.shape == (2, 3, 3, 4, 6)
    assert views[:, :, 0, 0, 0].tolist() == [[3, 2, 1], [0, 1, 2]]
    assert (views[0, :, 1, 0, 0] == 2).all()
    assert (views[1, :, 2, 0, 0] == 5).all()
    assert torch.equal(store.gather(indices, boxes, size=(4, 6)), views[:, 1])
    assert torch.equal(store.views(1)[1], store.picture(1))
    assert len(store) == 2
    other = ViewStore(places, torch.tensor([[0, 1, 2], [3, 2, 0]]))
    assert other.fingerprint != store.fingerprint


def test_store_refuses_views_of_other_sizes():
    places = store_of_places([(9, 14), (9, 13), (9, 14)])
    with pytest.raises(UserError, match=r"one size, but .* has 13x9\npixels and .* 14x9"):
        ViewStore(places, torch.tensor([[0, 1, 2]]))
