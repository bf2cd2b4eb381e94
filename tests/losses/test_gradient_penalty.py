"""Gradient penalties of discriminators whose gradients are known."""

import pytest
import torch
from torch import nn

from limner.losses.gradient_penalty import R1, R2, GradientPenalty
from limner.losses.penalty import Pairs

SHAPE = (3, 4, 4)
EXACT = [R1(approximate=None), R2(approximate=None)]


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
        (GradientPenalty(), (length - 1) ** 2),
        *((penalty, length**2 / 2) for penalty in EXACT),
    ):
        values = value(penalty, lambda x: (x * w).flatten(1).sum(1), *images)
        assert values.tolist() == pytest.approx([expected] * 5)


def test_r1_is_computed_at_real_images_and_r2_at_fakes(images):
    """D(x) = |x|^2 / 2 has the gradient x."""
    real, fake = images

    def d(x):
        return x.square().flatten(1).sum(1) / 2

    for penalty, at in zip(EXACT, (real, fake), strict=True):
        expected = at.square().flatten(1).sum(1) / 2
        assert torch.allclose(value(penalty, d, real, fake), expected)


@pytest.mark.parametrize("penalty", EXACT)
def test_gradient_penalties_agree_with_a_jacobian_of_each_image(images, penalty):
    network = nn.Sequential(nn.Flatten(), nn.Linear(48, 9), nn.Tanh(), nn.Linear(9, 1)).double()

    def d(x):
        return network(x).squeeze(1)

    at = images[EXACT.index(penalty)]
    single = []
    for image in at.clone().requires_grad_().split(1):
        (gradient,) = torch.autograd.grad(d(image), image)
        single.append(gradient.square().sum() / 2)
    assert torch.allclose(value(penalty, d, *images), torch.stack(single))


@pytest.mark.parametrize(
    "penalty", [GradientPenalty(), *EXACT, R1(approximate=0.1), R2(approximate=0.1)]
)
def test_gradient_penalties_have_a_gradient_for_the_discriminator(penalty):
    network = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.Tanh(), nn.Linear(8, 1))
    images = torch.randn(2, 6, 1, 4, 4).unbind()
    value(penalty, lambda x: network(x).squeeze(1), *images).mean().backward()
    assert network[1].weight.grad.abs().sum() > 0


@pytest.mark.parametrize("penalty", EXACT)
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


def repeated(penalty, d, image, *, num):
    """Return the values (num,) of a penalty at one image, each with numbers of its own."""
    images = image.expand(num, *image.shape)
    return value(penalty, d, images, images)


def test_approximate_penalty_of_a_linear_discriminator_is_exact_on_average():
    """(<w, n>)^2 / 2 has the mean |w|^2 / 2 and the standard deviation |w|^2 / sqrt(2)."""
    w = torch.randn(SHAPE, dtype=torch.float64)
    exact, num = w.norm() ** 2 / 2, 20_000

    def d(x):
        return (x * w).flatten(1).sum(1)

    for penalty in (R1(approximate=0.01), R2(approximate=10.0)):
        values = repeated(penalty, d, torch.randn(SHAPE, dtype=torch.float64), num=num) / exact
        assert values.mean().item() == pytest.approx(1, abs=0.05), "5 standard errors"
        assert values.std().item() == pytest.approx(2**0.5, rel=0.1)


def small_network():
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.SiLU(), nn.Flatten(), nn.Linear(128, 1), nn.Flatten(0)
    ).double()


def test_approximate_penalty_tends_to_the_exact_penalty_for_small_sigma():
    d, image = small_network(), 0.5 * torch.randn(SHAPE, dtype=torch.float64)
    exact = value(EXACT[0], d, image[None], image[None]).item()
    errors = {}
    for sigma in (0.01, 10.0):
        mean = repeated(R1(approximate=sigma), d, image, num=20_000).mean().item()
        errors[sigma] = abs(mean / exact - 1)
    assert errors[0.01] < 0.05
    assert errors[10.0] > 0.1, "a law that holds for every sigma says nothing"


def test_approximate_penalty_has_the_gradient_of_the_exact_penalty_on_average():
    d, image = small_network(), 0.5 * torch.randn(SHAPE, dtype=torch.float64)

    def gradient(values):
        gradients = torch.autograd.grad(values.mean(), list(d.parameters()), allow_unused=True)
        return torch.cat([g.flatten() for g in gradients if g is not None])

    exact = gradient(value(EXACT[0], d, image[None], image[None]))[: 8 * 27]
    near = gradient(repeated(R1(approximate=0.01), d, image, num=20_000))[: 8 * 27]
    assert (near - exact).norm() < 0.1 * exact.norm()


@pytest.mark.parametrize("penalty", [R1(approximate=0.1), R2(approximate=0.1)])
def test_approximate_penalty_calls_d_once_more_and_differentiates_nothing(penalty, monkeypatch):
    calls, at = [], isinstance(penalty, R2)

    def d(x):
        calls.append(x.detach())
        return x.flatten(1).sum(1)

    def refuse(*args, **kwargs):
        raise AssertionError("the approximation needs no gradient")

    monkeypatch.setattr(torch.autograd, "grad", refuse)
    images = torch.zeros(8, *SHAPE), torch.ones(8, *SHAPE)
    value(penalty, d, *images)
    assert len(calls) == 3
    assert (calls[2] - images[at]).std().item() == pytest.approx(0.1, rel=0.2)
    assert not torch.equal(calls[2][0], calls[2][1]), "each image has its own noise"


def test_approximate_penalty_is_a_function_of_its_random_numbers(images):
    penalty, d = R1(approximate=0.1), small_network()
    uniform = torch.rand(5, penalty.num_draws)
    first, second = (penalty(d, judged(d, *images), uniform=uniform) for _ in range(2))
    assert torch.equal(first, second)
    single = [
        penalty(d, judged(d, *(each[i : i + 1] for each in images)), uniform=uniform[i : i + 1])
        for i in range(5)
    ]
    assert torch.allclose(torch.cat(single), first)


def test_approximate_penalty_of_several_heads_uses_their_mean(images):
    d = small_network()
    uniform, penalty = torch.rand(5, 2), R1(approximate=0.1)

    def heads(x):
        return torch.stack([d(x) + 1, 3 * d(x)], 1)

    one = penalty(d, judged(d, *images), uniform=uniform)
    assert torch.allclose(penalty(heads, judged(heads, *images), uniform=uniform), 4 * one)


@pytest.mark.parametrize("penalty", [R1(approximate=0.1), R2(approximate=0.1)])
def test_approximate_penalty_is_compiled_as_one_graph_with_equal_gradients(penalty, images):
    d, uniform = small_network(), torch.rand(5, penalty.num_draws)

    def gradients(function):
        d.zero_grad()
        function(*images).mean().backward()
        return [each.grad.clone() for each in d.parameters() if each.grad is not None]

    def loss(real, fake):
        return penalty(d, Pairs(real, fake, d(real), d(fake)), uniform=uniform)

    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    for found, expected in zip(gradients(compiled), gradients(loss), strict=True):
        assert torch.allclose(found, expected)


@pytest.mark.parametrize("sigma", [0, -1.0, 1e-30, 1e30, float("nan")])
def test_approximate_penalty_refuses_a_sigma_that_rounding_or_distance_makes_useless(sigma):
    with pytest.raises(ValueError, match=r"approximate=.*: must be in \[1e-5, 10\]"):
        R1(approximate=sigma)
