import torch

from limner.losses.gram import Gram
from support.styles import maps


def images(num=3, *, size=8, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(num, 3, size, size, generator=generator) * 2 - 1


def test_terms_are_the_squared_differences_of_the_mean_products_of_channels():
    loss, x, y = Gram(weight=1.0, maps=maps(0)), images(), images(size=12, seed=1)
    products = [torch.einsum("bchw,bdhw->bcd", each, each) / each[0, 0].numel() for each in (x, y)]
    expected = (products[0] - products[1]).square().sum((1, 2))
    torch.testing.assert_close(loss.terms(x, loss.style(y))[:, 0], expected)


def test_terms_take_the_style_of_one_picture_for_a_whole_batch():
    loss, x, style = Gram(weight=1.0, maps=maps(0, 1)), images(), images(1, seed=1)
    each = [loss.terms(x[i : i + 1], loss.style(style)) for i in range(3)]
    torch.testing.assert_close(loss.terms(x, loss.style(style)), torch.cat(each))


def test_gram_is_0_for_the_same_pixels_in_another_order_and_1_for_black():
    loss, x = Gram(weight=1.0, maps=maps(0)), images()
    shuffled = x.flatten(2)[:, :, torch.randperm(64)].unflatten(2, (8, 8))
    torch.testing.assert_close(loss(shuffled, x), torch.zeros(3), atol=1e-6, rtol=0)
    torch.testing.assert_close(loss(0 * x, x), torch.ones(3))


def test_gram_matrices_are_float32_under_autocast():
    loss = Gram(weight=1.0, maps=maps(0))
    exact = loss.style(images())[0]
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(loss.style(images())[0], exact)
