"""Losses and likelihoods are functions: they change no state and wait for no other process."""

import copy
from pathlib import Path

import pytest
import torch

import limner.losses
from limner.losses.categorical import Categorical
from limner.losses.gaussian_likelihood import LearnedGaussian, OptimalGaussian
from limner.losses.lecam import LeCam
from limner.losses.likelihood import Bernoulli, GaussianLikelihood
from limner.losses.logistic import LogisticMixture
from limner.losses.penalty import Pairs

IMAGES = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
LIKELIHOODS = [
    Bernoulli(),
    GaussianLikelihood(sigma=0.3),
    LearnedGaussian(initial_sigma=0.5),
    OptimalGaussian(half_life=100.0),
    LogisticMixture(num_components=2),
    Categorical(num_levels=256),
]


def state_of(module: torch.nn.Module) -> dict:
    return copy.deepcopy(dict(module.state_dict()))


@pytest.mark.parametrize("likelihood", LIKELIHOODS, ids=lambda each: type(each).__name__)
@pytest.mark.parametrize("training", [True, False])
def test_log_prob_changes_no_state_and_gives_the_same_value_again(likelihood, training):
    likelihood.train(training)
    params = torch.randn(4, 3 * likelihood.params_per_value, 8, 8)
    before = state_of(likelihood)
    first, second = (likelihood.log_prob(params, IMAGES) for _ in range(2))
    assert torch.equal(first, second)
    assert first.shape == (4,)
    assert all(torch.equal(before[name], now) for name, now in likelihood.state_dict().items())


def test_lecam_changes_its_averages_only_in_observe():
    lecam, logits = LeCam(decay=0.9).train(), torch.randn(4)
    before = state_of(lecam)
    pairs = Pairs(real=IMAGES, fake=IMAGES, real_logits=logits, fake_logits=-logits)
    lecam(lambda x: x.mean((1, 2, 3)), pairs, uniform=torch.rand(4, 0))
    assert all(torch.equal(before[name], now) for name, now in lecam.state_dict().items())


def test_no_loss_communicates_between_processes():
    folder = Path(limner.losses.__file__).parent
    assert not [path.name for path in folder.glob("*.py") if "distributed" in path.read_text()]
