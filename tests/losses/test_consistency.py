import torch

from limner.losses.consistency import Consistency
from limner.losses.penalty import Pairs


class Brighter:
    """An augmentation that adds each image's number to the image."""

    num_draws = 1

    def __call__(self, images, *, uniform):
        return images + uniform[..., None, None]


def pairs_of(d, real, fake):
    return Pairs(real, fake, d(real), d(fake))


def test_consistency_is_the_squared_change_of_the_logits():
    """D is the sum over 4 pixels, so a shift by u changes the logit by 4 u."""
    real, fake = torch.randn(2, 3, 1, 2, 2, dtype=torch.float64).unbind()
    uniform = torch.rand(3, 2, dtype=torch.float64)
    penalty = Consistency(augmentation=Brighter())
    assert penalty.num_draws == 2

    def d(x):
        return x.flatten(1).sum(1)

    values = penalty(d, pairs_of(d, real, fake), uniform=uniform)
    assert torch.allclose(values, (16 * uniform.square().sum(1)).to(values), rtol=1e-5)


def test_consistency_is_0_for_an_invariant_discriminator():
    real, fake = torch.randn(2, 3, 1, 2, 2).unbind()

    def d(x):
        return (x - x.mean((1, 2, 3), keepdim=True)).square().sum((1, 2, 3))

    values = Consistency(augmentation=Brighter())(
        d, pairs_of(d, real, fake), uniform=torch.rand(3, 2)
    )
    assert torch.allclose(values, torch.zeros(3), atol=1e-8)


def test_consistency_gives_a_gradient_to_the_logits_of_both_images():
    scale = torch.ones(4, requires_grad=True)
    passes = iter(scale)

    def d(x):
        return x.flatten(1).sum(1) * next(passes)

    real, fake = torch.rand(2, 3, 1, 2, 2).unbind()
    values = Consistency(augmentation=Brighter())(
        d, pairs_of(d, real, fake), uniform=torch.rand(3, 2)
    )
    values.sum().backward()
    assert (scale.grad != 0).all()
