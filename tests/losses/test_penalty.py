import torch
from torch import nn

from limner.losses.penalty import GradientPenalty


def test_a_linear_discriminator_has_the_gradient_of_its_weights():
    """D(x) = <w, x> has the gradient w everywhere, so the penalty is weight (|w| - 1)^2."""
    w = torch.randn(3, 4, 4, dtype=torch.float64)
    real, fake = torch.randn(2, 5, 3, 4, 4, dtype=torch.float64).unbind()
    values = GradientPenalty(weight=10.0)(
        lambda x: (x * w).flatten(1).sum(1),
        real,
        fake,
        uniform=torch.rand(5, 1, dtype=torch.float64),
    )
    assert values.shape == (5,)
    assert torch.allclose(values, torch.full_like(values, 10 * (w.norm() - 1).item() ** 2))


def test_its_own_gradient_reaches_the_discriminator():
    network = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.Tanh(), nn.Linear(8, 1))
    penalty = GradientPenalty(weight=1.0)
    real, fake = torch.randn(2, 6, 1, 4, 4).unbind()
    values = penalty(lambda x: network(x).squeeze(1), real, fake, uniform=torch.rand(6, 1))
    values.mean().backward()
    assert network[1].weight.grad.abs().sum() > 0


def test_points_lie_between_real_and_fake():
    seen = []

    def discriminator(x):
        seen.append(x.detach())
        return x.flatten(1).sum(1)

    real, fake, u = torch.ones(3, 1, 2, 2), torch.zeros(3, 1, 2, 2), torch.tensor([0, 0.25, 1])
    GradientPenalty(weight=1.0)(discriminator, real, fake, uniform=u[:, None])
    assert (seen[0] == u[:, None, None, None]).all(), "one u for each pair"
