"""The Bernoulli negative log-likelihood by logits."""

import torch

from limner.losses.bernoulli import BernoulliLoss


def test_loss_is_the_mean_negative_log_likelihood_of_each_image():
    logits = torch.tensor([[[[0.0, 2.0]]], [[[-1.0, 3.0]]]])
    targets = torch.tensor([[[[-1.0, 1.0]]], [[[0.0, 1.0]]]])
    p, t = logits.sigmoid(), (targets + 1) / 2
    expected = -(t * p.log() + (1 - t) * (1 - p).log()).mean((1, 2, 3))
    torch.testing.assert_close(BernoulliLoss(weight=1.0)(logits, targets), expected)


def test_loss_has_a_gradient_where_a_probability_would_round_to_0_or_1():
    logits = torch.tensor([[[[200.0, -200.0]]]], requires_grad=True)
    loss = BernoulliLoss(weight=1.0)(logits, torch.tensor([[[[-1.0, 1.0]]]]))
    loss.sum().backward()
    torch.testing.assert_close(loss, torch.tensor([200.0]))
    torch.testing.assert_close(logits.grad, torch.tensor([[[[0.5, -0.5]]]]))


def test_loss_is_least_at_the_true_grey_value():
    targets = torch.full((1, 1, 1, 1), 0.4)
    logits = torch.atanh(targets).mul(2).requires_grad_()
    BernoulliLoss(weight=1.0)(logits, targets).sum().backward()
    assert logits.grad.abs().max() < 1e-6
