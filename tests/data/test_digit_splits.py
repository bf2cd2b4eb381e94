import pytest
import torch

from limner.data.digit_splits import digit_splits
from support.lit_digits import LitDigits


def splits(source, **changes):
    usual = {
        "size": 4, "with_labels": True, "validation_fraction": 0.2, "test_fraction": 0.1,
        "split_seed": 0, "background": (0, 0, 0),
    }  # fmt: skip
    return digit_splits(source, **usual | changes)


def levels(split):
    return split.images.flatten(1).amax(1).tolist()


@pytest.mark.parametrize(("with_test", "sizes"), [(True, (80, 20, 20)), (False, (70, 20, 10))])
def test_digit_splits_show_different_digits_with_their_labels(with_test, sizes):
    found = splits(LitDigits(with_test=with_test))
    assert tuple(len(each.images) for each in found.values()) == sizes
    assert list(found) == ["train", "validation", "test"]
    seen = [level for each in found.values() for level in levels(each)]
    assert len(set(seen)) == len(seen), "each level belongs to one digit"
    for each in found.values():
        assert torch.equal(each.images.flatten(1).argmax(1), each.labels)
        assert each.images.dtype == torch.uint8
    assert len({each.fingerprint for each in found.values()}) == 3


def test_digit_splits_depend_on_their_seed_and_drop_labels_on_request():
    plain, other = splits(LitDigits()), splits(LitDigits(), split_seed=1)
    assert levels(plain["validation"]) != levels(other["validation"])
    assert plain["train"].fingerprint != other["train"].fingerprint
    assert splits(LitDigits(), with_labels=False)["train"].labels is None
