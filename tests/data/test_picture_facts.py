import pytest

from limner.augmentations.degradations import Degradations, GaussianNoise, Holes, Resize
from limner.data.picture_facts import check_arguments, check_degradation, shape_of_inputs
from limner.errors import UserError
from support.degradations import Degraded, Grain


class Copied:
    """The picture itself, which a user chooses on purpose."""

    factor, adds_mask = 1, False

    def __call__(self, images, *, draws):
        return Degraded(images, None)

    def protocol(self):
        return {"kind": "copy"}


def _holes(*, num_boxes):
    return Holes(
        num_boxes=num_boxes, box_size=0.5, num_strokes=0, stroke_length=0.5, stroke_width=0.1
    )


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


@pytest.mark.parametrize(
    ("degradation", "input_shape", "fits"),
    [
        (Grain(factor=2), [3, 4, 4], True),
        (Grain(factor=2), [3, 8, 8], False),
        (Grain(adds_mask=True), [4, 8, 8], True),
        (Grain(adds_mask=True), [3, 8, 8], False),
    ],
)
def test_check_degradation_compares_the_inputs_with_the_stated_shape(
    degradation, input_shape, fits
):
    if fits:
        check_degradation(degradation, image_shape=[3, 8, 8], input_shape=input_shape)
        return
    with pytest.raises(UserError, match=r"data\.degradation returned \(2, 3, .* for 2 images"):
        check_degradation(degradation, image_shape=[3, 8, 8], input_shape=input_shape)


@pytest.mark.parametrize(
    ("parts", "is_refused"),
    [
        ({"resize": Resize(factor=1, kernel="cubic", antialias=True, quantise=True)}, True),
        ({"noise": GaussianNoise(sigma=0)}, True),
        ({"noise": GaussianNoise(sigma=[0, 1])}, False),
        ({"holes": _holes(num_boxes=0)}, True),
        ({"holes": _holes(num_boxes=[0, 1])}, False),
        ({"copy": Copied()}, False),
        ({}, True),
    ],
)
def test_check_degradation_refuses_inputs_that_equal_their_targets(parts, is_refused):
    degradation = Degradations(parts=parts)
    shapes = {"image_shape": [3, 8, 8], "input_shape": [3 + degradation.adds_mask, 8, 8]}
    if not is_refused:
        check_degradation(degradation, **shapes)
        return
    with pytest.raises(UserError, match=r"data\.scale=1 and data\.degradation make inputs that"):
        check_degradation(degradation, **shapes)
