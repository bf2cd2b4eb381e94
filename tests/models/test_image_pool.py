"""The pool of earlier fake images: what it returns, what it stores, and its state."""

import pytest
import torch

from limner.models.image_pool import ImagePool
from support.two_processes import on_two


def numbered(*numbers):
    """Return images (B, 1, 2, 2) whose pixels are these numbers."""
    return torch.tensor(numbers, dtype=torch.float32)[:, None, None, None].expand(-1, 1, 2, 2)


def numbers_of(images):
    assert images.shape[1:] == (1, 2, 2)
    return [int(image.unique()) for image in images]


def full(size=4):
    pool = ImagePool(size)
    pool(numbered(*range(size)), uniform=torch.rand(size, 2))
    return pool


def stored(pool):
    return numbers_of(pool.state_dict()["images"])


def test_pool_of_size_0_is_the_identity():
    pool, images = ImagePool(0), numbered(1, 2, 3)
    for _ in range(3):
        assert torch.equal(pool(images, uniform=torch.zeros(3, 2)), images)
    assert pool.state_dict() == {"images": None}


def test_pool_returns_each_image_itself_until_it_is_full():
    pool = ImagePool(4)
    for first in (0, 2):
        images = numbered(first, first + 1)
        assert torch.equal(pool(images, uniform=torch.zeros(2, 2)), images)
    assert stored(pool) == [0, 1, 2, 3]
    assert numbers_of(pool(numbered(9), uniform=torch.tensor([[0.0, 0.0]]))) == [0]


def test_full_pool_returns_an_old_image_with_probability_one_half_from_any_place():
    pool, count = full(), 2000
    draws = torch.rand(count, 2, generator=torch.Generator().manual_seed(0))
    shares, places = 0, torch.zeros(4)
    for i in range(count):
        before = stored(pool)
        (found,) = numbers_of(pool(numbered(10 + i), uniform=draws[i : i + 1]))
        if found == 10 + i:
            assert stored(pool) == before, "an image that is returned itself is not stored"
            continue
        shares += 1
        place = before.index(found)
        places[place] += 1
        assert stored(pool) == [*before[:place], 10 + i, *before[place + 1 :]]
    assert shares / count == pytest.approx(0.5, abs=0.04)
    assert (places / shares - 0.25).abs().max() < 0.05


def test_pool_of_images_in_bfloat16_stays_within_its_places():
    pool = full()
    for _ in range(4):
        pool(numbered(9).bfloat16(), uniform=torch.tensor([[0.0, 0.9999]]).bfloat16())
    assert stored(pool) == [0, 1, 2, 9], "0.9999 is 1 in bfloat16"


def test_pool_passes_no_gradient():
    images = numbered(1).clone().requires_grad_()
    for size in (0, 4):
        assert not ImagePool(size)(images, uniform=torch.rand(1, 2)).requires_grad


@pytest.mark.parametrize("count", [0, 2, 4])
def test_pool_with_the_state_of_another_returns_the_same_images(count):
    one, other = ImagePool(4), ImagePool(4)
    if count:
        one(numbered(*range(count)), uniform=torch.rand(count, 2))
    other.load_state_dict(one.state_dict())
    for i in range(20):
        draws = torch.rand(3, 2)
        found = [pool(numbered(i, i + 1, i + 2), uniform=draws) for pool in (one, other)]
        assert torch.equal(*found)


def test_state_does_not_change_with_the_pool():
    pool = full()
    state = pool.state_dict()
    pool(numbered(9), uniform=torch.zeros(1, 2))
    assert numbers_of(state["images"]) == [0, 1, 2, 3]
    other = ImagePool(4)
    other.load_state_dict(state)
    other(numbered(9), uniform=torch.zeros(1, 2))
    assert numbers_of(state["images"]) == [0, 1, 2, 3]


def test_two_processes_have_one_pool_together(tmp_path):
    """Each gets what one process would return for its images, and stores the same images."""
    steps, draws = 10, torch.rand(10, 4, 2, generator=torch.Generator().manual_seed(1))

    def exchanged(rank, world_size=2):
        pool, size = ImagePool(3), 4 // world_size
        rows = slice(rank * size, (rank + 1) * size)
        made = [
            pool(numbered(*range(4 * i, 4 * i + 4))[rows], uniform=draws[i][rows])
            for i in range(steps)
        ]
        return torch.stack(made), pool.state_dict()

    expected, state = exchanged(0, world_size=1)
    first, second = on_two(exchanged, tmp_path)
    assert torch.equal(torch.cat([first[0], second[0]], dim=1), expected)
    for _, own in (first, second):
        assert torch.equal(own["images"], state["images"])


def test_pool_refuses_a_negative_size():
    with pytest.raises(ValueError, match=r"model\.pool_size=-1: must be 0 or more"):
        ImagePool(-1)
