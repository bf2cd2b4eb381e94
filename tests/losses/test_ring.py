"""Losses and penalties learn a ring of eight Gaussians, where GANs tend to drop modes.

Two small networks and a plain loop are used, so that only losses and penalties are tested.
"""

import math
from functools import partial

import pytest
import torch
from torch import nn

from limner.losses.adversarial import (
    Hinge,
    LeastSquares,
    Minimax,
    NonSaturating,
    Relativistic,
    Wasserstein,
)
from limner.losses.gradient_penalty import R1, R2, GradientPenalty
from limner.losses.penalty import Pairs, Penalties, Weighted

BATCH, LATENT_DIM, DEVIATION = 128, 8, 0.05
ANGLES = torch.arange(8) * math.pi / 4
CENTRES = torch.stack([ANGLES.cos(), ANGLES.sin()], 1)
ZERO_CENTRED, APPROXIMATE = (
    {
        "r1": Weighted(function=R1(approximate=sigma), weight=0.1, every=1),
        "r2": Weighted(function=R2(approximate=sigma), weight=0.1, every=1),
    }
    for sigma in (None, 0.01)
)
ONE_CENTRED = {"gradient": Weighted(function=GradientPenalty(), weight=1.0, every=1)}

slow = partial(pytest.param, marks=pytest.mark.slow)


def ring(num: int) -> torch.Tensor:
    """Return points as images of two channels and one pixel."""
    points = CENTRES[torch.randint(8, (num,))] + DEVIATION * torch.randn(num, 2)
    return points[..., None, None]


def covered(points: torch.Tensor) -> tuple[int, float]:
    """Return the number of modes with at least 1/5 of their points, and the share inside modes."""
    distance, nearest = torch.cdist(points, CENTRES).min(1)
    inside = distance < 4 * DEVIATION
    counts = nearest[inside].bincount(minlength=8)
    return int((counts >= len(points) / 8 / 5).sum()), inside.float().mean().item()


class Game:
    """A generator and a discriminator of three layers each."""

    def __init__(self, loss, penalties) -> None:
        self.loss, self.penalties = loss, Penalties(penalties)
        self.g = self._layers(LATENT_DIM, nn.Linear(64, 2), nn.Unflatten(1, (2, 1, 1)))
        self.d = self._layers(2, nn.Linear(64, 1), nn.Flatten(0))
        self.optimizers = [
            torch.optim.Adam(network.parameters(), lr=1e-3, betas=(0.0, 0.99))
            for network in (self.g, self.d)
        ]

    def train(self, num_updates: int, num_discriminator_steps: int) -> None:
        """Train for `num_updates` updates."""
        for update in range(num_updates):
            for _ in range(num_discriminator_steps):
                self._step(1, self._discriminator_loss(update))
            self._step(0, self._generator_loss())

    @torch.no_grad()
    def sample(self, num: int) -> torch.Tensor:
        """Return drawn points, (num, 2)."""
        return self.g(torch.randn(num, LATENT_DIM)).flatten(1)

    def _discriminator_loss(self, update: int) -> torch.Tensor:
        real = ring(BATCH).requires_grad_()
        fake = self.g(torch.randn(BATCH, LATENT_DIM)).detach().requires_grad_()
        pairs = Pairs(real, fake, self.d(real), self.d(fake))
        uniform = torch.rand(BATCH, self.penalties.num_draws)
        factors = self.penalties.factors(step=update, update=update)
        added = self.penalties(self.d, pairs, uniform=uniform, factors=factors)
        loss = self.loss.discriminator(pairs.real_logits, pairs.fake_logits)
        return sum(added.values(), loss).mean()

    def _generator_loss(self) -> torch.Tensor:
        real_logits = self.d(ring(BATCH)).detach() if self.loss.relativistic else None
        fake = self.g(torch.randn(BATCH, LATENT_DIM))
        return self.loss.generator(real_logits, self.d(fake)).mean()

    def _step(self, player: int, loss: torch.Tensor) -> None:
        self.optimizers[player].zero_grad()
        loss.backward()
        self.optimizers[player].step()

    @staticmethod
    def _layers(num_inputs: int, *last: nn.Module) -> nn.Sequential:
        hidden = [nn.Linear(num_inputs, 64), nn.LeakyReLU(0.2), nn.Linear(64, 64)]
        return nn.Sequential(nn.Flatten(), *hidden, nn.LeakyReLU(0.2), *last)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("loss", "penalties", "num_discriminator_steps"),
    [
        pytest.param(NonSaturating(), None, 1, id="non_saturating"),
        pytest.param(LeastSquares(), None, 1, id="least_squares"),
        slow(Minimax(), None, 1, id="minimax"),
        slow(Hinge(), None, 1, id="hinge"),
        slow(Relativistic(), ZERO_CENTRED, 1, id="relativistic"),
        slow(Relativistic(), APPROXIMATE, 1, id="relativistic_with_approximate_penalties"),
        # With one step of D per update, this loss finds at most one mode.
        slow(Wasserstein(), ONE_CENTRED, 3, id="wasserstein"),
    ],
)
def test_every_loss_finds_all_eight_modes(loss, penalties, num_discriminator_steps):
    game = Game(loss, penalties)
    assert covered(game.sample(2000))[0] <= 2
    game.train(500, num_discriminator_steps)
    num_modes, share = covered(game.sample(2000))
    assert num_modes == 8
    assert share > 0.35


def test_covered_distinguishes_a_collapse_from_the_ring():
    assert covered(ring(2000).flatten(1)) == (8, pytest.approx(1.0, abs=0.01))
    assert covered(ring(2000).flatten(1)[:1].expand(2000, 2))[0] == 1
    assert covered(torch.randn(2000, 2))[1] < 0.3
