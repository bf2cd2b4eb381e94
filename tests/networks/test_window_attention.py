"""A window of Gaussian filters: formula of the paper, limits, and finite values."""

import math

import pytest
import torch

from limner.networks.window_attention import Window


def placed(size, height, width, place):
    """Return the filters of a window with fixed outputs of its linear layer."""
    window = Window(3, size=size, height=height, width=width, writes=False)
    with torch.no_grad():
        window.place.weight.zero_()
        window.place.bias.copy_(torch.tensor(place))
    return window(torch.zeros(1, 3))


def formula(size, pixels, centre, log_variance, log_stride, larger):
    """Equations 22 to 26 of the paper, which counts from 1; one filter after the other."""
    middle = (pixels + 1) / 2 * (centre + 1)
    stride = (larger - 1) / (size - 1) * math.exp(log_stride)
    rows = []
    for i in range(1, size + 1):
        mean = middle + (i - size / 2 - 0.5) * stride
        row = torch.tensor(
            [
                math.exp(-((a - mean) ** 2) / 2 / math.exp(log_variance))
                for a in range(1, pixels + 1)
            ]
        )
        rows.append(row / row.sum())
    return torch.stack(rows)


@pytest.mark.parametrize(("height", "width"), [(9, 9), (6, 9)])
def test_filters_follow_the_formula_of_the_paper(height, width):
    found = placed(4, height, width, [0.3, -0.2, 0.5, -0.4, 0.7])
    y, x = formula(4, height, 0.3, 0.5, -0.4, 9), formula(4, width, -0.2, 0.5, -0.4, 9)
    assert torch.allclose(found.y[0], y, atol=1e-6)
    assert torch.allclose(found.x[0], x, atol=1e-6)
    images = torch.randn(1, height, 2, width)
    expected = math.exp(0.7) * torch.einsum("nh,hcw,mw->ncm", y, images[0], x)
    assert torch.allclose(found.read(images)[0], expected, atol=1e-5)
    windows = torch.randn(1, 4, 2, 4)
    expected = math.exp(-0.7) * torch.einsum("nh,ncm,mw->hcw", y, windows[0], x)
    assert torch.allclose(found.write(windows)[0], expected, atol=1e-5)


@pytest.mark.parametrize("place", [0.0, 3.0, -50.0, 50.0])
def test_filters_sum_to_one_and_stay_finite_wherever_the_window_is(place):
    window = Window(2, size=5, height=7, width=7, writes=True)
    with torch.no_grad():
        window.place.weight.fill_(place)
    hidden = torch.tensor([[1.0, 1.0], [-1.0, 0.5]], requires_grad=True)
    filters = window(hidden)
    for bank in (filters.y, filters.x):
        assert torch.allclose(bank.sum(2), torch.ones(2, 5), atol=1e-5)
    images = torch.randn(2, 7, 1, 7)
    written = filters.write(filters.read(images))
    written.square().mean().backward()
    assert written.isfinite().all()
    assert hidden.grad.isfinite().all()
    assert window.place.weight.grad.isfinite().all()


@pytest.mark.parametrize("channels", [1, 3])
def test_sharp_window_over_the_whole_image_is_the_identity(channels):
    filters = placed(8, 8, 8, [0.0, 0.0, -8.0, 0.0, 0.0])
    images = torch.randn(1, 8, channels, 8)
    assert torch.allclose(filters.read(images), images, atol=1e-5)
    assert torch.allclose(filters.write(images), images, atol=1e-5)


def test_window_products_are_float32_under_autocast():
    filters = placed(3, 8, 8, [0.1, 0.2, 0.0, 0.0, 0.0])
    images = torch.randn(1, 8, 1, 8)
    expected = filters.read(images)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(filters.read(images), expected)


@pytest.mark.parametrize("size", [3, 5, 9])
def test_new_window_reads_and_writes_ones_as_about_ones(size):
    for writes in (False, True):
        window = Window(2, size=size, height=9, width=9, writes=writes)
        filters = window(torch.zeros(1, 2))
        if writes:
            middle = filters.write(torch.ones(1, size, 1, size))[0, 2:7, 0, 2:7]
        else:
            middle = filters.read(torch.ones(1, 9, 1, 9))
        assert 0.5 < middle.min() <= middle.max() < 2
