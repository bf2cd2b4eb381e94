import pytest
import torch

import limner
from limner.data.sources import StoreSource
from limner.errors import UserError
from support import fakes
from support.lit_digits import LitDigits, stacked

SHAPE = [3, 8, 6]


def opened(with_labels=True, shape=SHAPE, **changes):
    return stacked(**changes).open_stores(shape, with_labels=with_labels)


def everything(store):
    return store.gather(torch.arange(len(store)))


def test_stacked_digits_have_one_digit_in_the_middle_of_each_channel():
    store = opened().stores["train"]
    images, shown = everything(store), store.shown(torch.arange(len(store)))
    assert images.shape == (400, *SHAPE)
    assert images.dtype == torch.uint8
    lit = images.flatten(2)
    assert ((lit > 0).sum(2) == 1).all(), "a lit digit has one pixel"
    places = lit.argmax(2)
    assert torch.equal(places // 6 - 2, shown // 4), "the margin above is (8 - 4) / 2"
    assert torch.equal(places % 6 - 1, shown % 4), "the margin on the left is (6 - 4) / 2"


def test_label_of_stacked_digits_is_their_number():
    found = opened()
    store = found.stores["train"]
    a, b, c = store.shown(torch.arange(len(store))).T
    assert torch.equal(store.labels, 100 * a + 10 * b + c)
    assert len(found.classes) == 1000
    assert found.classes[7] == "007"
    assert opened(with_labels=False).stores["train"].labels is None
    assert opened(with_labels=False).classes == []


def test_stacked_digits_are_independent_and_cover_the_digits():
    store = opened(num_train=20_000).stores["train"]
    shown = store.shown(torch.arange(20_000))
    shares = store.digits.labels.bincount(minlength=10) / 80
    for channel in shown.T:
        counts = channel.bincount(minlength=10) / 20_000
        assert (counts - shares).abs().max() < 0.01
    for i, j in ((0, 1), (0, 2), (1, 2)):
        same = (shown[:, i] == shown[:, j]).float().mean().item()
        assert same == pytest.approx(shares.square().sum().item(), abs=0.01)
    assert len(store.labels.unique()) == 1000


def test_splits_of_stacked_digits_show_different_digits():
    stores = opened().stores
    assert [len(stores[name]) for name in ("train", "validation", "test")] == [400, 30, 50]
    levels = [set(everything(store).unique().tolist()) - {0} for store in stores.values()]
    assert all(levels)
    assert not levels[0] & levels[1]
    assert levels[2] <= set(range(230, 250))
    assert max(levels[0] | levels[1]) < 200


def test_stacked_digits_are_a_function_of_the_seed_and_the_number():
    store = opened().stores["train"]
    images = everything(store)
    order = torch.randperm(400)
    assert torch.equal(store.gather(order), images[order])
    again = opened().stores["train"]
    assert torch.equal(everything(again), images)
    assert again.fingerprint == store.fingerprint
    longer = opened(num_train=500).stores["train"]
    assert torch.equal(everything(longer)[:400], images)


@pytest.mark.parametrize(
    "changes",
    [{"seed": 1}, {"held_out": 0.3}, {"num_train": 401}, {"shape": [3, 8, 8]},
     {"with_labels": False}, {"digits": LitDigits(with_test=False)}],
)  # fmt: skip
def test_fingerprint_of_stacked_digits_changes_with_the_images(changes):
    assert opened(**changes).description != opened().description


def test_stacked_digits_on_another_device_are_the_same_store():
    store = opened().stores["train"]
    moved = store.to(torch.device("cpu"))
    assert torch.equal(everything(moved), everything(store))
    assert moved.fingerprint == store.fingerprint
    assert moved.num_bytes == 80 * 16


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shape": [1, 8, 8]}, "have 3 channels and 4 pixels"),
        ({"shape": [3, 8, 3]}, "have 3 channels and 4 pixels"),
        ({"shape": None}, "data.image_shape=null"),
        ({"num_train": 0}, "num_train=0"),
        ({"num_test": -1}, "num_test=-1"),
        ({"held_out": 0.0}, "held_out=0.0"),
        ({"held_out": 0.001}, "num_validation=30: there are no digits"),
        ({"digits": LitDigits(with_labels=False)}, "data.source.digits has no labels"),
    ],
)
def test_stacked_digits_refuse_invalid_values(changes, message):
    with pytest.raises(UserError, match=message):
        opened(**changes)


def test_stacked_mnist_opens_the_users_files(tmp_path):
    fakes.mnist(tmp_path)
    data = limner.open_data("stacked_mnist", root=str(tmp_path))
    assert isinstance(data.source, StoreSource)
    assert data.num_classes == 1000
    assert data.image_shape == [3, 32, 32]
    store, indices = data.split("train")
    assert len(indices) == 128_000
    images = store.gather(indices[:5])
    assert images[:, :, 2:30, 2:30].float().std() > 0
    margin = images.clone()
    margin[:, :, 2:30, 2:30] = 0
    assert margin.sum() == 0
