import itertools

import pytest
import torch

from limner.networks.view_attention import RowAttention, WindowAttention
from support.tiny_networks import gradient_reaches_all

SIZE = (9, 7)


def window(*, scale=2, radius=1, smoothing=1):
    return WindowAttention(scale=scale, radius=radius, smoothing=smoothing).double()


def rows(*, scale=2, smoothing=1):
    return RowAttention(scale=scale, smoothing=smoothing).double()


def given(*, views=3, size=SIZE, values=2):
    """Return a reference (2, 3, h, w), views (2, N, 3, h, w) and values (2, N, V, h, w)."""
    generator = torch.Generator().manual_seed(1)
    found = torch.rand(2, views + 1, 3 + values, *size, generator=generator).double() * 0.05
    return found[:, 0, :3], found[:, 1:, :3], found[:, 1:, 3:]


def keys(distance):
    """Return Keys' kernel, a = -0.5."""
    x = abs(distance)
    if x >= 2:
        return 0.0
    return 1.5 * x**3 - 2.5 * x**2 + 1 if x < 1 else -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2


def value_at(picture, y, x):
    """Return a picture (h, w) between its pixels, whose border is repeated."""
    height, width = picture.shape
    around = itertools.product(range(int(y // 1) - 1, int(y // 1) + 3),
                               range(int(x // 1) - 1, int(x // 1) + 3))  # fmt: skip
    return sum(
        keys(y - v) * keys(x - u) * picture[min(max(v, 0), height - 1), min(max(u, 0), width - 1)]
        for v, u in around
    )


def expected(made, reference, views, values, *, offsets, fractions):
    """Return the attention of the first sample, pixel by pixel, by the formula."""
    (height, width), s, m = reference.shape[2:], made.scale, made.smoothing
    grey, seen = reference[0].mean(0), views[0].mean(1)
    result = torch.zeros(len(fractions), values.shape[2], height, width).double()
    for n, y, x in itertools.product(range(len(seen)), range(height), range(width)):
        logits, found = [], []
        for (i, j), (p, (f, g)) in itertools.product(offsets(y, x), enumerate(fractions)):
            if not (0 <= y + i < height and 0 <= x + j < width):
                continue
            square = [
                (value_at(grey, min(max(y + a, 0), height - 1), min(max(x + b, 0), width - 1))
                 - between(seen[n], y + a, x + b, (i, j), (f / s, g / s), made)) ** 2
                for a, b in itertools.product(range(-m, m + 1), repeat=2)
            ]  # fmt: skip
            cost = sum(square) / len(square)
            logits.append(bias(made, i, j, p) - made.sharpness.exp() * cost)
            found.append((p, values[0, n, :, y + i, x + j]))
        weights = torch.stack(logits).softmax(0)
        for weight, (p, value) in zip(weights, found, strict=True):
            result[p, :, y, x] += weight * value / len(seen)
    return result


def between(picture, y, x, whole, fraction, made):
    """Return the view at (y, x) + whole + fraction; what is interpolated is then repeated."""
    height, width = picture.shape
    v, u = y + whole[0], x + whole[1]
    return value_at(
        picture, min(max(v, 0), height - 1) + fraction[0], min(max(u, 0), width - 1) + fraction[1]
    )


def bias(made, i, j, p):
    if isinstance(made, RowAttention):
        return made.bias[p]
    side = 2 * made.radius + 1
    return made.bias[(i + made.radius) * side + j + made.radius, p]


def shaken(made):
    torch.manual_seed(0)
    with torch.no_grad():
        made.bias.normal_()
    return made


@pytest.mark.parametrize(("radius", "smoothing", "scale"), [(1, 1, 2), (2, 0, 1), (0, 2, 3)])
def test_window_attention_is_its_formula_at_every_pixel(radius, smoothing, scale):
    made, parts = (
        shaken(window(scale=scale, radius=radius, smoothing=smoothing)),
        given(size=(5, 4)),
    )
    whole = list(itertools.product(range(-radius, radius + 1), repeat=2))
    due = expected(
        made, *parts, offsets=lambda y, x: whole,
        fractions=list(itertools.product(range(scale), repeat=2)),
    )  # fmt: skip
    torch.testing.assert_close(made(*parts)[0], due, rtol=1e-3, atol=1e-5)


def test_row_attention_is_its_formula_at_every_pixel_without_smoothing():
    made, parts = shaken(rows(smoothing=0)), given(size=(3, 5))
    due = expected(
        made, *parts, offsets=lambda y, x: [(0, u - x) for u in range(5)],
        fractions=[(0, g) for g in range(2)],
    )  # fmt: skip
    torch.testing.assert_close(made(*parts)[0], due, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("made", [window(), rows()])
def test_gradients_reach_every_weight_of_an_attention(made):
    gradient_reaches_all(made, made(*given()))


def scene(height, width):
    """Return a smooth random picture (1, 1, height, width) in [-1, 1]."""
    torch.manual_seed(0)
    rough = torch.randn(1, 1, height, width, dtype=torch.float64)
    smooth = torch.nn.functional.avg_pool2d(rough, 5, 1, 2)
    return smooth / smooth.abs().max()


@pytest.mark.parametrize("shift", [(0, 0), (0, 1), (2, -1), (-3, 2), (3, 3)])
def test_window_attention_places_samples_of_a_shifted_view_where_they_lie(shift):
    """The planes of a view that is shifted by fractions are the pixels of the large picture."""
    s, edge = 3, 6
    large = scene(20 * s + 2 * edge, 20 * s + 2 * edge)
    inner = large[..., edge : edge + 20 * s, edge : edge + 20 * s]
    down, across = shift
    view = large[..., edge + down :, edge + across :][..., : 20 * s, : 20 * s][..., ::s, ::s]
    made = window(scale=s, radius=1, smoothing=3)
    reference = inner[..., ::s, ::s]
    values = torch.cat([view, torch.ones_like(view)], 1)[:, None]
    placed = made(reference, view[:, None], values)[0]  # (P, 2, h, w)
    plane = (-down) % s * s + (-across) % s
    middle = slice(4, -4), slice(4, -4)
    assert placed[plane, 1][middle].mean() > 0.7, "most of the weight is in the right plane"
    f, g = (-down) % s, (-across) % s
    rows = torch.arange(20)[:, None] * s - f + edge
    columns = torch.arange(20) * s - g + edge
    due = large[0, 0][rows, columns]
    error = (placed[plane, 0] / placed[plane, 1] - due)[middle].square().mean().sqrt()
    assert error < 0.2 * due.std()


def test_attention_reads_no_place_beyond_the_border():
    """The weights of the places inside sum to 1 at the border, too."""
    reference, views, _ = given()
    for made in (window(), rows()):
        placed = made(reference, views, torch.ones_like(views[:, :, :1]))
        torch.testing.assert_close(
            placed.sum(1), torch.ones_like(placed.sum(1)), rtol=0, atol=1e-5
        )


def test_attention_refuses_values_with_the_key_to_change():
    with pytest.raises(ValueError, match=r"attention\.radius=-1: must be 0 or more"):
        WindowAttention(scale=2, radius=-1, smoothing=0)
    with pytest.raises(ValueError, match=r"attention\.smoothing=-1: must be 0 or more"):
        RowAttention(scale=2, smoothing=-1)
