import torch

from limner.losses.content import Content
from support.styles import maps


def images(seed=0):
    return torch.rand(3, 3, 8, 8, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def test_terms_are_the_mean_squares_of_the_differences_of_each_depth():
    x, y = images(0), images(1)
    found = Content(weight=1.0, maps=maps(0, 1)).terms(x, y)
    first = (x - y).square().mean((1, 2, 3))
    second = 4 * torch.nn.functional.avg_pool2d(x - y, 2).square().mean((1, 2, 3))
    torch.testing.assert_close(found, torch.stack([first, second], 1))


def test_content_is_0_for_the_target_1_for_black_maps_and_depends_on_places():
    loss, x = Content(weight=1.0, maps=maps(0, 1)), images()
    assert (loss(x, x) == 0).all()
    torch.testing.assert_close(loss(0 * x, x), torch.ones(3))
    assert (loss(x.flip(3), x) > 0.1).all()
