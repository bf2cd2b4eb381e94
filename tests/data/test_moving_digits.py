import dataclasses

import numpy as np
import pytest
import torch
from PIL import Image

from limner.data import MovingDigits
from limner.data.checked_pictures import checked_pictures
from limner.data.moving_digits import MovingDigitsStore
from limner.data.shapes import STRIDE
from limner.data.sources import Pictures
from limner.data.store import open_store
from limner.errors import UserError
from support.clips import settings


class Constant:
    """Source of digits of 4x4 pixels of the value 10 + i in training, and 200 + i in test."""

    def __init__(self, *, with_test=True):
        self.with_test = with_test

    def pictures(self):
        def split(first, number):
            return Pictures(
                names=[str(i) for i in range(number)],
                read=lambda i: Image.fromarray(np.full((4, 4), first + i, np.uint8)),
                labels=None, classes=[], fingerprint=["constant", first], sizes=[first],
            )  # fmt: skip

        return {"train": split(10, 20)} | ({"test": split(200, 5)} if self.with_test else {})


def moving(*, with_test=True, **changes):
    usual = {
        "digits": Constant(with_test=with_test), "digit_size": 4, "num_digits": 2, "step": 0.1,
        "num_train": 30, "num_validation": 30, "num_test": 30, "seed": 0, "test_file": None,
    }  # fmt: skip
    return MovingDigits(**usual | changes)


def stores(source=None, **changes):
    usual = {"image_shape": [1, 12, 12], "num_frames": 6, "validation_fraction": 0.25}
    return (source or moving()).open_sequences(settings(**usual | changes)).stores


def shown(store):
    """Return the values of the digits that a store shows."""
    return set(store.gather(torch.arange(len(store))).unique().tolist()) - {0}


def test_frame_shows_its_digits_at_integer_places_and_the_brighter_pixel_on_top():
    digits = torch.randint(1, 256, (7, 4, 4), generator=torch.manual_seed(0)).byte()
    store = MovingDigitsStore(
        digits, num_digits=2, step=0.1, frame_shape=[1, 12, 14], num_frames=5, first=0, size=9,
        seed=0, fingerprint="",
    )  # fmt: skip
    frames = store.gather(torch.arange(9))[:, :, 0]
    for frame in frames.flatten(0, 1):
        assert any(
            torch.equal(frame, canvas)
            for canvas in canvases(digits, frame)
        )  # fmt: skip


def canvases(digits, frame):
    """Yield the canvases with two of the digits that cover the same box as a frame."""
    height, width = frame.shape
    rows, columns = frame.nonzero().unbind(1)
    tops = {int(rows.min()), int(rows.max()) - 3}
    lefts = {int(columns.min()), int(columns.max()) - 3}
    places = [(top, left) for top in tops for left in lefts]
    for one in places:
        for two in places:
            for first in digits:
                for second in digits:
                    canvas = torch.zeros(height, width, dtype=torch.uint8)
                    for digit, (top, left) in ((first, one), (second, two)):
                        part = canvas[top : top + 4, left : left + 4]
                        part.copy_(torch.maximum(part, digit))
                    yield canvas


def test_sequence_is_a_function_of_seed_and_number():
    train = stores()["train"]
    frames = train.gather(torch.arange(30))
    assert frames.shape == (30, 6, 1, 12, 12)
    assert frames.dtype == torch.uint8
    assert torch.equal(train.gather(torch.tensor([7, 3])), frames[[7, 3]])
    assert torch.equal(stores()["train"].gather(torch.tensor([7])), frames[[7]])
    other = stores(moving(seed=1))["train"]
    assert not torch.equal(other.gather(torch.arange(30)), frames)
    assert other.fingerprint != train.fingerprint == stores()["train"].fingerprint


def test_longer_sequence_begins_with_the_same_frames():
    short, long = stores()["train"], stores(num_frames=9)["train"]
    numbers = torch.arange(30)
    assert torch.equal(long.gather(numbers)[:, :6], short.gather(numbers))


def test_splits_show_other_digits():
    found = stores()
    seen = {split: shown(found[split]) for split in found}
    assert seen["test"] <= {*range(200, 205)}
    assert seen["train"] | seen["validation"] <= {*range(10, 30)}
    assert not seen["train"] & seen["validation"]
    assert len(seen["validation"]) <= 5
    without = stores(moving(with_test=False))
    assert not shown(without["test"]) & (shown(without["train"]) | shown(without["validation"]))


def test_test_sequences_ignore_the_seed():
    numbers = torch.arange(30)
    first, second = (stores(moving(seed=seed))["test"] for seed in (0, 1))
    assert torch.equal(first.gather(numbers), second.gather(numbers))
    assert first.fingerprint == second.fingerprint


def test_split_seed_chooses_the_validation_digits():
    first, second = (shown(stores(split_seed=seed)["validation"]) for seed in (0, 1))
    assert first != second


def test_numbers_beyond_the_epoch_are_further_sequences():
    train = stores()["train"]
    assert train.endless
    far = train.gather(torch.tensor([30, 2**38, STRIDE // 2]))
    assert len({frames.numpy().tobytes() for frames in far}) == 3


def test_colour_frames_repeat_the_grey_level():
    grey, colour = stores()["train"], stores(image_shape=[3, 12, 12])["train"]
    numbers = torch.arange(4)
    assert torch.equal(colour.gather(numbers), grey.gather(numbers).expand(-1, -1, 3, -1, -1))


def test_number_of_digits_is_the_number_of_things_that_move():
    one = stores(moving(num_digits=1))["train"].gather(torch.arange(30))
    assert {int((frame > 0).sum()) for frame in one.flatten(0, 2)} == {16}
    assert {len(frames.unique()) for frames in one} == {2}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_digits": 0}, r"data\.num_digits=0: must be from 1 to 16"),
        ({"num_digits": 17}, r"data\.num_digits=17"),
        ({"step": 0.0}, r"data\.source\.step=0\.0"),
        ({"num_train": 0}, r"data\.source\.num_train=0: must be 1 or more"),
        ({"num_test": -1}, r"data\.source\.num_test=-1: must be 0 or more"),
    ],
)
def test_values_that_make_no_sequence_are_refused(changes, message):
    with pytest.raises(UserError, match=message):
        moving(**changes)


def test_frame_not_larger_than_a_digit_is_refused():
    with pytest.raises(UserError, match=r"data\.image_size=4: must be above 4"):
        stores(image_shape=[1, 4, 4])


def test_validation_without_digits_is_refused():
    with pytest.raises(UserError, match=r"data\.source\.num_validation=30: there are no digits"):
        stores(validation_fraction=0.0)
    assert len(stores(moving(num_validation=0), validation_fraction=0.0)["validation"]) == 0


class Labelled(Constant):
    """The same digits with a label each."""

    def pictures(self):
        return {
            name: dataclasses.replace(
                found, labels=[i % 2 for i in range(len(found))], classes=["even", "odd"]
            )
            for name, found in super().pictures().items()
        }


def test_moving_digits_leave_the_labels_of_the_decoded_digits_in_the_cache():
    stores(moving(digits=Labelled()))
    train = checked_pictures(Labelled())["train"]
    made = open_store(
        train, [1, 4, 4], kind="memory", memory_limit_gib=1.0, on_corrupt="error",
        background=(255, 255, 255),
    )  # fmt: skip
    assert made.labels.tolist() == train.labels
