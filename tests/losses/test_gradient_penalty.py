"""Gradient penalties of discriminators whose gradients are known."""

import pytest
import torch
from torch import nn

from limner.losses.gradient_penalty import R1, R2, GradientPenalty
from limner.losses.penalty import Pairs

SHAPE = (3, 4, 4)


def judged(d, real, fake) -> Pairs:
    """Return real and fake images with their logits, as a model makes them."""
    real, fake = real.detach().requires_grad_(), fake.detach().requires_grad_()
    return Pairs(real, fake, d(real), d(fake))


def value(penalty, d, real, fake):
    uniform = torch.rand(len(real), penalty.num_draws, dtype=real.dtype)
    return penalty(d, judged(d, real, fake), uniform=uniform)


@pytest.fixture
def images():
    return torch.randn(2, 5, *SHAPE, dtype=torch.float64).unbind()


def test_gradient_penalty_of_a_linear_discriminator_uses_the_norm_of_its_weights(images):
    """D(x) = <w, x> has the gradient w everywhere."""
    w = torch.randn(SHAPE, dtype=torch.float64)
    length = w.norm().item()
    for penalty, expected in (
        (GradientPenalty(), (length - 1) ** 2), (R1(), length**2 / 2), (R2(), length**2 / 2),
    ):  # fmt: skip
        values = value(penalty, lambda x: (x * w).flatten(1).sum(1), *images)
        assert values.tolist() == pytest.approx([expected] * 5)


def test_r1_is_computed_at_real_images_and_r2_at_fakes(images):
    """D(x) = |x|^2 / 2 has the gradient x."""
    real, fake = images

    def d(x):
        return x.square().flatten(1).sum(1) / 2

    assert torch.allclose(value(R1(), d, real, fake), real.square().flatten(1).sum(1) / 2)
    assert torch.allclose(value(R2(), d, real, fake), fake.square().flatten(1).sum(1) / 2)


@pytest.mark.parametrize("penalty", [R1(), R2()])
def test_gradient_penalties_agree_with_a_jacobian_of_each_image(images, penalty):
    network = nn.Sequential(nn.Flatten(), nn.Linear(48, 9), nn.Tanh(), nn.Linear(9, 1)).double()

    def d(x):
        return network(x).squeeze(1)

    at = images[0] if isinstance(penalty, R1) else images[1]
    single = []
    for image in at.clone().requires_grad_().split(1):
        (gradient,) = torch.autograd.grad(d(image), image)
        single.append(gradient.square().sum() / 2)
    assert torch.allclose(value(penalty, d, *images), torch.stack(single))


@pytest.mark.parametrize("penalty", [GradientPenalty(), R1(), R2()])
def test_gradient_penalties_have_a_gradient_for_the_discriminator(penalty):
    network = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.Tanh(), nn.Linear(8, 1))
    images = torch.randn(2, 6, 1, 4, 4).unbind()
    value(penalty, lambda x: network(x).squeeze(1), *images).mean().backward()
    assert network[1].weight.grad.abs().sum() > 0


@pytest.mark.parametrize("penalty", [R1(), R2()])
def test_r1_and_r2_reuse_the_given_logits(penalty, images):
    calls = []

    def d(x):
        calls.append(len(x))
        return x.flatten(1).sum(1)

    value(penalty, d, *images)
    assert calls == [5, 5], "the penalty must not call D again"


def test_gradient_penalty_points_lie_between_real_and_fake_images_at_the_given_shares():
    seen = []

    def d(x):
        seen.append(x.detach())
        return x.flatten(1).sum(1)

    u = torch.rand(64, 1)
    pairs = judged(d, torch.ones(64, 1, 2, 2), torch.zeros(64, 1, 2, 2))
    GradientPenalty()(d, pairs, uniform=u)
    assert torch.allclose(seen[-1], u[:, :, None, None].expand(64, 1, 2, 2)), "one u for each pair"
