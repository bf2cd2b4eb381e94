"""Distances of colour, texture and shape; each reacts to the property in its name."""

import pytest
import torch

from limner.errors import UserError
from limner.metrics.diversity import named_distances, named_features


def pictures(num_images, seed, low=60, high=180):
    """Return coloured boxes of random size and place, wider than high, on a plain ground."""
    random = torch.Generator().manual_seed(seed)
    images = torch.empty(num_images, 3, 16, 16, dtype=torch.uint8)
    for image in images:
        ground, box = torch.randint(low, high, (2, 3), generator=random).unbind()
        row, column = torch.randint(1, 6, (2,), generator=random).tolist()
        image[:] = ground[:, None, None].to(torch.uint8)
        image[:, row : row + 3, column : column + 9] = box[:, None, None].to(torch.uint8)
    return images


def distances(generated, real):
    return named_distances(
        *(named_features(x.split(32)) for x in (generated, real)),
    )


def test_diversity_distances_of_equal_sets_are_0_in_any_order():
    real = pictures(60, 0)
    found = distances(real.flip(0), real)
    assert found == pytest.approx({"colour": 0, "texture": 0, "shape": 0}, abs=1e-12)


def test_diversity_distances_are_large_for_noise_and_small_for_similar_pictures():
    real, other = pictures(100, 0), pictures(100, 1)
    noise = torch.randint(0, 256, real.shape, dtype=torch.uint8)
    near, far = distances(other, real), distances(noise, real)
    assert all(far[name] > 3 * near[name] for name in far)
    assert far["texture"] > 0.3


def test_diversity_distances_are_large_for_one_repeated_picture():
    real, other = pictures(100, 0), pictures(100, 1)
    near, collapsed = distances(other, real), distances(other[:1].expand(100, -1, -1, -1), real)
    assert all(collapsed[name] > 1.5 * near[name] for name in near)


def test_shift_of_all_colours_changes_the_colour_distance_only():
    real = pictures(60, 0)
    found = distances(real + 20, real)
    assert found == pytest.approx({"colour": 20, "texture": 0, "shape": 0}, abs=1e-4)


def test_shift_of_one_channel_costs_a_third():
    real = pictures(60, 0)
    found = distances(real + torch.tensor([30, 0, 0], dtype=torch.uint8).view(3, 1, 1), real)
    assert found == pytest.approx({"colour": 10, "texture": 0, "shape": 0}, abs=1e-4)


def test_quarter_turn_changes_the_shape_distance_only():
    real = pictures(60, 0)
    found = distances(real.rot90(dims=(2, 3)), real)
    assert found["colour"] == pytest.approx(0, abs=1e-12)
    assert found["texture"] == pytest.approx(0, abs=0.02)
    assert found["shape"] > 0.2


def test_fine_stripes_change_texture_more_than_colour():
    real = pictures(60, 0)
    stripes = real.clone()
    stripes[:, :, :, ::2] += 3
    found = distances(stripes, real)
    assert found["colour"] == pytest.approx(1.5, abs=1e-9)
    assert found["texture"] > 0.3


def test_diversity_does_not_depend_on_batches_and_accepts_grey_images():
    real = pictures(20, 0)[:, :1]
    one, many = named_features([real]), named_features(real.split(3))
    assert all((a == b).all() for a, b in zip(one, many, strict=True))
    assert one.colour.shape == (20, 1, 255)
    assert one.texture.sum(1) == pytest.approx(1)
    assert one.shape.sum(1) == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("size", [(4, 4), (7, 15), (23, 9)])
def test_diversity_features_have_the_same_length_for_any_image_size(size):
    found = named_features([torch.randint(0, 256, (3, 1, *size), dtype=torch.uint8)])
    assert (found.texture.shape, found.shape.shape) == ((3, 10), (3, 144))


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.zeros(2, 2, 8, 8, dtype=torch.uint8), "2x8x8"),
        (torch.zeros(2, 3, 3, 8, dtype=torch.uint8), "3x3x8"),
        (torch.zeros(0, 3, 8, 8, dtype=torch.uint8), "there are none"),
    ],
)
def test_named_features_refuses_images_without_such_features(images, message):
    with pytest.raises(UserError, match=message):
        named_features([images])


def test_diversity_refuses_to_compare_grey_with_colour():
    real = pictures(4, 0)
    with pytest.raises(UserError, match="these have 1, the real images 3"):
        distances(real[:, :1], real)
