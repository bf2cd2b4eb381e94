"""The weight and the interval of penalties."""

import pytest
import torch

from limner.losses.gradient_penalty import GradientPenalty
from limner.losses.penalty import Pairs, Penalties, Weighted
from limner.schedules import Linear

PAIRS = Pairs(*torch.zeros(2, 3, 1, 2, 2).unbind(), *torch.zeros(2, 3).unbind())


class Constant:
    """A penalty of 2 for each pair that records the numbers passed to it."""

    forbids_batch_norm, num_draws = False, 2

    def __call__(self, d, pairs, *, uniform):
        self.uniform = uniform
        return torch.full_like(pairs.real_logits, 2.0)


def at(penalties, *, step, update=0):
    uniform = torch.rand(3, penalties.num_draws)
    factors = penalties.factors(step=step, update=update)
    values = penalties(None, PAIRS, uniform=uniform, factors=factors)
    return {name: value.tolist() for name, value in values.items()}


def test_penalties_are_computed_at_their_intervals_and_with_their_weights():
    penalties = Penalties({
        "always": Weighted(function=Constant(), weight=0.5, every=1),
        "lazy": Weighted(function=Constant(), weight=0.5, every=4),
    })  # fmt: skip
    assert at(penalties, step=0) == {"always": [1.0] * 3, "lazy": [4.0] * 3}
    for step in (1, 2, 3, 5):
        assert at(penalties, step=step) == {"always": [1.0] * 3}


@pytest.mark.parametrize("every", [1, 2, 8])
def test_penalty_mean_over_steps_does_not_depend_on_the_interval(every):
    penalties = Penalties({"it": Weighted(function=Constant(), weight=3.0, every=every)})
    total = sum(sum(values) for step in range(16) for values in at(penalties, step=step).values())
    assert total / (16 * 3) == 6.0


def test_penalty_weight_follows_its_schedule():
    weight = Linear(start=1.0, end=0.0, first=10, last=20)
    penalties = Penalties({"it": Weighted(function=Constant(), weight=weight, every=1)})
    for update, expected in ((0, 2.0), (15, 1.0), (20, 0.0)):
        assert at(penalties, step=1, update=update) == {"it": [expected] * 3}


def test_penalties_have_separate_random_numbers():
    first, second = Constant(), Constant()
    penalties = Penalties({
        "first": Weighted(function=first, weight=1.0, every=1),
        "second": Weighted(function=second, weight=1.0, every=2),
    })  # fmt: skip
    assert penalties.num_draws == 4
    uniform = torch.arange(12.0).view(3, 4)
    factors = penalties.factors(step=0, update=0)
    penalties(None, PAIRS, uniform=uniform, factors=factors)
    assert torch.equal(torch.cat([first.uniform, second.uniform], 1), uniform)


def test_penalties_are_0_when_there_are_none():
    penalties = Penalties(None)
    assert len(penalties) == penalties.num_draws == 0
    assert at(penalties, step=0) == {}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"weight": -1.0}, "weight=-1"),
        ({"weight": "high"}, "weight=high"),
        ({"every": 0}, "every=0"),
    ],
)
def test_penalties_refuse_invalid_values(changed, message):
    with pytest.raises(ValueError, match=message):
        Weighted(**{"function": GradientPenalty(), "weight": 1.0, "every": 1, **changed})
