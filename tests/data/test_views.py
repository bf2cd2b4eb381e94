import pytest
import torch

from limner.data.views import Shifts, stacked
from limner.errors import UserError


def drawn(shifts, number=2000):
    generator = torch.Generator().manual_seed(0)
    return shifts(torch.rand(number, shifts.num_draws, generator=generator))


@pytest.mark.parametrize(("num_views", "middle"), [(1, 0), (2, 0), (3, 1), (4, 1), (5, 2)])
def test_reference_is_the_middle_view_and_is_not_shifted(num_views, middle):
    found = drawn(Shifts(num_views=num_views, max_shift=[1, 1], scale=4), 50)
    assert found.shape == (50, num_views, 2)
    assert (found[:, middle] == 0).all()
    others = [n for n in range(num_views) if n != middle]
    assert (found[:, others] != 0).any(2).all()


@pytest.mark.parametrize("max_shift", [[1, 1], [2, 1], [0, 2], [3, 0]])
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_views_have_different_fractions_of_a_pixel_and_all_shifts_occur(max_shift, scale):
    number = 2 if 0 in max_shift else 4
    number = min(number, scale ** (2 - max_shift.count(0)))
    found = drawn(Shifts(num_views=number, max_shift=max_shift, scale=scale))
    fractions = found % scale
    codes = (fractions * torch.tensor([100, 1])).sum(2)
    assert all(len(set(row)) == number for row in codes.tolist())
    for direction, most in enumerate(max_shift):
        there = found[..., direction].unique().tolist()
        due = [0] if most == 0 else list(range(-scale * most, scale * most))
        if 0 in max_shift:  # whole pixels are no fractions
            due = [shift for shift in due if shift % scale or shift == 0]
        assert there == due


def test_more_views_than_fractions_repeat_them():
    found = drawn(Shifts(num_views=9, max_shift=[1, 1], scale=2), 20)
    counts = [len({tuple(view) for view in row}) for row in (found % 2).tolist()]
    assert counts == [4] * 20


@pytest.mark.parametrize("max_shift", [[1, 1], [0, 2]])
def test_views_are_the_picture_moved_by_whole_pixels(max_shift):
    shifts = Shifts(num_views=3, max_shift=max_shift, scale=2)
    down, across = shifts.margin
    images = torch.arange(2 * 3 * 20 * 24).reshape(2, 3, 20, 24)
    chosen = drawn(shifts, 2)
    found = shifts.views(images, chosen)
    assert found.shape == (2, 3, 3, 20 - 2 * down, 24 - 2 * across)
    for b in range(2):
        for n in range(3):
            top, left = (chosen[b, n] + torch.tensor(shifts.margin)).tolist()
            height, width = found.shape[3:]
            due = images[b, :, top : top + height, left : left + width]
            assert torch.equal(found[b, n], due)


def test_small_copy_of_a_view_lies_between_the_pixels_of_the_reference():
    """A ramp of one level for each pixel of the picture shows the shift."""
    shifts = Shifts(num_views=3, max_shift=[1, 1], scale=4)
    ramp = torch.arange(40.0).expand(1, 1, 40, 40)
    chosen = drawn(shifts, 1)
    small = torch.nn.functional.avg_pool2d(shifts.views(ramp, chosen)[0], 4)
    assert torch.equal(
        small - small[1], chosen[0, :, 1].float()[:, None, None, None].expand_as(small)
    )


def test_stacked_changes_the_reference_first():
    order = []
    views = torch.arange(5.0)[None, :, None, None, None]

    def change(view):
        order.append(int(view))
        return view + 10

    assert stacked(views, change).flatten().tolist() == [10, 11, 12, 13, 14]
    assert order[0] == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"max_shift": [0, 0]}, r"data\.max_shift=\[0, 0\]: must be"),
        ({"max_shift": [1]}, r"data\.max_shift=\[1\]: must be \[down, across\]"),
        ({"max_shift": [-1, 1]}, r"data\.max_shift=\[-1, 1\]"),
        ({"scale": 1}, r"data\.scale=1: .* 2 or more"),
    ],
)
def test_shifts_refuse_values_without_fractions(words, message):
    with pytest.raises(UserError, match=message):
        Shifts(**({"num_views": 3, "max_shift": [1, 1], "scale": 4} | words))
