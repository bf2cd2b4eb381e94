"""Each loss compared with its formula, computed by hand at a few logits."""

import math

import pytest
import torch

from limner.losses.adversarial import (
    Hinge,
    LeastSquares,
    Minimax,
    NonSaturating,
    Relativistic,
    Wasserstein,
)

LOG2, ONE = math.log(2), math.log(1 + math.e)  # softplus of 0 and of 1


@pytest.mark.parametrize(
    ("loss", "real", "fake", "discriminator", "generator"),
    [
        (Minimax(), 0.0, 0.0, 2 * LOG2, -LOG2),
        (Minimax(), 1.0, -1.0, 2 * (ONE - 1), -(ONE - 1)),
        (NonSaturating(), 0.0, 0.0, 2 * LOG2, LOG2),
        (NonSaturating(), 1.0, -1.0, 2 * (ONE - 1), ONE),
        (LeastSquares(), 1.0, 0.0, 0.0, 0.5),
        (LeastSquares(), 0.0, 1.0, 1.0, 0.0),
        (LeastSquares(), 3.0, -2.0, 4.0, 4.5),
        (Hinge(), 1.0, -1.0, 0.0, 1.0),
        (Hinge(), -1.0, 1.0, 4.0, -1.0),
        (Hinge(), 5.0, -5.0, 0.0, 5.0),
        (Wasserstein(), 2.0, -1.0, -3.0, 1.0),
    ],
)
def test_adversarial_losses_have_their_values(loss, real, fake, discriminator, generator):
    real, fake = torch.tensor([real]), torch.tensor([fake])
    assert loss.discriminator(real, fake).item() == pytest.approx(discriminator, abs=1e-6)
    assert loss.generator(None, fake).item() == pytest.approx(generator, abs=1e-6)


@pytest.mark.parametrize("loss", [Minimax, NonSaturating, LeastSquares, Hinge, Wasserstein])
def test_adversarial_losses_return_one_value_per_pair_with_the_right_sign(loss):
    real, fake = torch.randn(7, requires_grad=True), torch.randn(7, requires_grad=True)
    own = loss().discriminator(real, fake)
    assert own.shape == (7,)
    assert loss().generator(None, fake).shape == (7,)
    real, fake = torch.zeros(7, requires_grad=True), torch.zeros(7, requires_grad=True)
    loss().discriminator(real, fake).sum().backward()
    assert (real.grad < 0).all(), "D raises the logits of real images"
    if loss is not LeastSquares:  # these logits equal its target for fakes
        assert (fake.grad > 0).all(), "D lowers the logits of fakes"
    fake.grad = None
    loss().generator(None, fake).sum().backward()
    assert (fake.grad < 0).all(), "G raises the logits of fakes"


@pytest.mark.parametrize("loss", [Minimax, NonSaturating])
def test_losses_of_probabilities_equal_the_formulas_of_the_paper(loss):
    real, fake = torch.randn(50, dtype=torch.float64), torch.randn(50, dtype=torch.float64)
    p_real, p_fake = torch.sigmoid(real), torch.sigmoid(fake)
    expected = -torch.log(p_real) - torch.log(1 - p_fake)
    assert torch.allclose(loss().discriminator(real, fake), expected)
    expected = torch.log(1 - p_fake) if loss is Minimax else -torch.log(p_fake)
    assert torch.allclose(loss().generator(None, fake), expected)


@pytest.mark.parametrize("loss", [Minimax, NonSaturating, Hinge])
def test_adversarial_losses_are_finite_at_large_logits(loss):
    real, fake = torch.tensor([-500.0, 500.0]), torch.tensor([500.0, -500.0])
    assert loss().discriminator(real, fake).isfinite().all()
    assert loss().generator(None, fake).isfinite().all()


def test_relativistic_loss_is_logistic_in_the_difference_of_the_logits():
    """D's loss is -log sigmoid(D(x) - D(G(z))); G's loss exchanges real and fake logits."""
    real, fake = torch.randn(2, 50, dtype=torch.float64).unbind()
    loss = Relativistic()
    expected = -torch.log(torch.sigmoid(real - fake))
    assert torch.allclose(loss.discriminator(real, fake), expected)
    assert torch.equal(loss.generator(real, fake), loss.discriminator(fake, real))
    assert loss.discriminator(real, real).tolist() == pytest.approx([LOG2] * 50)


@pytest.mark.parametrize("loss", [Relativistic, Wasserstein])
def test_losses_without_a_threshold_ignore_a_shift_of_all_logits(loss):
    real, fake = torch.randn(2, 50, dtype=torch.float64).unbind()
    moved = loss().discriminator(real + 3, fake + 3)
    assert torch.allclose(moved, loss().discriminator(real, fake))
    assert loss.threshold is None


def test_relativistic_gradients_of_real_and_fake_logits_are_opposite():
    real, fake = torch.randn(2, 9).unbind()
    real, fake = real.requires_grad_(), fake.requires_grad_()
    of_real, of_fake = torch.autograd.grad(
        Relativistic().discriminator(real, fake).sum(), [real, fake]
    )
    assert torch.allclose(of_real, -of_fake)
    assert (of_real < 0).all()
    (for_g,) = torch.autograd.grad(Relativistic().generator(real.detach(), fake).sum(), fake)
    assert (for_g < 0).all()


@pytest.mark.parametrize("loss", [Minimax, LeastSquares, Hinge])
def test_threshold_is_the_logit_where_both_decisions_cost_the_same(loss):
    at = torch.full((1,), loss.threshold)
    certain = {Minimax: 500.0, LeastSquares: 1.0, Hinge: 1.0}[loss]
    other = {Minimax: -500.0, LeastSquares: 0.0, Hinge: -1.0}[loss]
    as_real = loss().discriminator(at, torch.full((1,), other))
    as_fake = loss().discriminator(torch.full((1,), certain), at)
    assert torch.allclose(as_real, as_fake)
