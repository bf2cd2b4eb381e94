import pytest

from limner.data.picture_facts import check_arguments, shape_of_inputs
from limner.errors import UserError
from support.degradations import Grain

GOOD = {
    "num_channels": 3, "store": "auto", "crop_size": 12, "scale": 3, "crops_per_picture": 1,
    "batch_size": 1,
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"crop_size": 0}, "data.crop_size=0: must be 1 or more"),
        ({"crops_per_picture": 0}, "data.crops_per_picture=0: must be 1 or more"),
        ({"num_channels": 4}, "data.num_channels=4: must be 1"),
        ({"scale": 5}, "data.crop_size=12: must be a multiple of data.scale=5, such as 10"),
        ({"store": "streamed"}, "data.store=streamed: whole pictures are decoded once"),
    ],
)
def test_check_arguments_states_rule_value_and_key(change, message):
    check_arguments(**GOOD)
    with pytest.raises(UserError, match=message):
        check_arguments(**GOOD | change)


def test_shape_of_inputs_is_the_crop_by_the_scale_and_a_mask():
    sizes = {"num_channels": 3, "crop_size": 12}
    assert shape_of_inputs(**sizes, scale=3, degradation=Grain(factor=3)) == [3, 4, 4]
    assert shape_of_inputs(**sizes, scale=1, degradation=Grain(adds_mask=True)) == [4, 12, 12]
    assert shape_of_inputs(**sizes, scale=4, degradation=None) == [3, 3, 3]


def test_shape_of_inputs_refuses_another_factor_than_the_scale():
    with pytest.raises(UserError, match=r"data\.scale=4: .* 1/2 of the size"):
        shape_of_inputs(num_channels=3, crop_size=12, scale=4, degradation=Grain(factor=2))
