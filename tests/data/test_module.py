import pytest
import torch

from limner import config
from limner.errors import UserError


@pytest.fixture
def digits(composed):
    def make(*overrides):
        data = config.build(composed("data=digits", *overrides), "data")
        data.open()
        return data

    return make


def test_splits_do_not_overlap_and_leave_nothing_out(digits):
    data = digits()
    parts = [data.split(name)[1].tolist() for name in ("train", "validation", "test")]
    assert [len(part) for part in parts] == [1437, 180, 180]
    assert sorted(parts[0] + parts[1] + parts[2]) == list(range(1797))


def test_splits_hang_on_split_seed_alone(digits):
    test = digits().split("test")[1]
    assert torch.equal(digits("seed=5").split("test")[1], test)
    assert not torch.equal(digits("data.split_seed=1").split("test")[1], test)


def test_reference_train_is_all_but_the_test_images(digits):
    """Validation images belong to it: papers compare with the whole training set."""
    data = digits()
    reference = data.reference("train")[1]
    assert len(reference) == 1437 + 180
    assert not torch.isin(reference, data.split("test")[1]).any()
    assert torch.equal(data.reference("test")[1], data.split("test")[1])


def test_a_reference_that_is_not_there_is_refused(digits):
    data = digits("data.test_fraction=0.0")
    with pytest.raises(UserError, match="reference_split=test"):
        data.reference("test")


def test_what_the_files_know_is_found(digits):
    data = digits("data.image_shape=null", "data.num_classes=null")
    assert data.image_shape == [1, 8, 8]
    assert data.num_classes == 10
    assert data.describe().startswith("digits: 1,437 train, 180 validation, 180 test images of 1x")
