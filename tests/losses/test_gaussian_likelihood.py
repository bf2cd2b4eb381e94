"""Gaussian likelihoods whose standard deviation is learned, or computed in closed form."""

import math
import multiprocessing
from pathlib import Path

import pytest
import torch
from torch import distributed
from torch import distributions as D

from limner.losses.gaussian_likelihood import LearnedGaussian, OptimalGaussian
from limner.losses.likelihood import Bernoulli, GaussianLikelihood
from limner.models.variational import log_likelihood


def pair(*shape, scale=0.2):
    images = torch.rand(*shape, dtype=torch.float64) * 2 - 1
    return images + scale * torch.randn(shape, dtype=torch.float64), images


@pytest.mark.parametrize("sigma", [0.1, 1.0])
def test_learned_gaussian_agrees_with_torch_and_with_the_fixed_gaussian(sigma):
    params, images = pair(5, 2, 3, 3)
    values = LearnedGaussian(initial_sigma=sigma).double().log_prob(params, images)
    expected = D.Normal(params, sigma).log_prob(images).flatten(1).sum(1)
    assert torch.allclose(values, expected, rtol=1e-5)
    assert torch.allclose(
        values, GaussianLikelihood(sigma=sigma).log_prob(params, images), rtol=1e-5
    )


def test_learned_gaussian_finds_the_deviation_of_the_errors():
    params, images = pair(64, 1, 8, 8, scale=0.2)
    likelihood = LearnedGaussian(initial_sigma=1.0).double()
    optimizer = torch.optim.Adam(likelihood.parameters(), lr=0.05)
    for _ in range(200):
        optimizer.zero_grad()
        (-likelihood.log_prob(params, images).mean() / 64).backward()
        optimizer.step()
    found = (images - params).square().mean().sqrt()
    assert likelihood.log_sigma.exp().item() == pytest.approx(found.item(), rel=1e-3)


def test_optimal_gaussian_sigma_maximises_the_likelihood_of_the_batch():
    params, images = pair(6, 3, 4, 4)
    optimal = log_likelihood(OptimalGaussian(half_life=1000.0), params, images).mean()
    found = (images - params).square().mean().sqrt().item()
    same = GaussianLikelihood(sigma=found).log_prob(params, images).mean()
    closed = -48 * (math.log(found) + math.log(2 * math.pi) / 2 + 0.5)
    assert optimal.item() == pytest.approx(same.item()) == pytest.approx(closed)
    for factor in (0.9, 0.99, 1.01, 1.1):
        assert GaussianLikelihood(sigma=found * factor).log_prob(params, images).mean() < optimal


def test_optimal_gaussian_gradient_is_the_gradient_of_the_log_mean_square():
    """Sigma counts as a constant, since its own derivative at the optimum is 0."""
    params, images = pair(6, 3, 4, 4)
    params.requires_grad_()
    log_likelihood(OptimalGaussian(half_life=1000.0), params, images).mean().backward()
    got, params.grad = params.grad, None
    (-48 / 2 * (images - params).square().mean().log()).backward()
    assert torch.allclose(got, params.grad)


def test_optimal_gaussian_is_finite_for_a_perfect_reconstruction():
    _, images = pair(2, 1, 4, 4)
    assert log_likelihood(OptimalGaussian(half_life=10.0), images, images).isfinite().all()


def test_optimal_gaussian_does_not_adapt_sigma_to_evaluated_images():
    """A bound is therefore the same for every split of the images into batches."""
    likelihood = OptimalGaussian(half_life=1000.0)
    params, images = pair(40, 1, 4, 4)
    log_likelihood(likelihood, params, images)
    state = {name: value.clone() for name, value in likelihood.state_dict().items()}
    likelihood.eval()
    params, images = pair(10, 1, 4, 4, scale=1.0)
    whole = log_likelihood(likelihood, params, images)
    parts = [log_likelihood(likelihood, params[i : i + 1], images[i : i + 1]) for i in range(10)]
    assert torch.allclose(whole, torch.cat(parts))
    expected = GaussianLikelihood(sigma=state["variance"].sqrt().item()).log_prob(params, images)
    assert torch.allclose(whole, expected, rtol=1e-5)
    assert all(torch.equal(state[name], value) for name, value in likelihood.state_dict().items())


def test_optimal_gaussian_average_starts_as_a_plain_mean_and_forgets_by_half_lives():
    likelihood = OptimalGaussian(half_life=100.0)
    zeros = torch.zeros(10, 1, 2, 2)
    for error in (0.1, 0.3):  # Far from the half-life, the average is the mean of 0.01 and 0.09.
        log_likelihood(likelihood, zeros + error, zeros)
    assert likelihood.variance.item() == pytest.approx(0.05, rel=1e-5)
    for _ in range(100):
        log_likelihood(likelihood, zeros + 0.1, zeros)
    settled = likelihood.variance.item()
    for _ in range(10):  # 100 images
        log_likelihood(likelihood, zeros + 1.0, zeros)
    assert likelihood.variance.item() == pytest.approx((settled + 1) / 2, rel=1e-5)


def test_optimal_gaussian_average_keeps_its_precision_in_half_precision():
    likelihood = OptimalGaussian(half_life=1e6).bfloat16()
    zeros = torch.zeros(10, 1, 2, 2, dtype=torch.bfloat16)
    for _ in range(1000):
        log_likelihood(likelihood, zeros + 0.5, zeros)
    log_likelihood(likelihood, zeros + 1.0, zeros)
    assert likelihood.variance.item() == pytest.approx(0.25 + 0.75 / 1001, rel=1e-5)


def rank(number: int, folder: Path) -> None:
    """Run one of two processes, each with half of the batch."""
    store = f"file://{folder}/store"
    distributed.init_process_group("gloo", init_method=store, rank=number, world_size=2)
    likelihood = OptimalGaussian(half_life=100.0)
    generator = torch.Generator().manual_seed(0)
    params, images = torch.rand(2, 8, 1, 4, 4, generator=generator)[:, number::2]
    values = log_likelihood(likelihood, params, images)
    torch.save((values, likelihood.state_dict()), folder / f"{number}.pt")
    distributed.destroy_process_group()


def test_optimal_gaussian_has_one_sigma_on_two_processes(tmp_path):
    # A spawned process would import torch for seconds.
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=rank, args=(i, tmp_path)) for i in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    likelihood = OptimalGaussian(half_life=100.0)
    params, images = torch.rand(2, 8, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    expected = log_likelihood(likelihood, params, images)
    for number in range(2):
        values, state = torch.load(tmp_path / f"{number}.pt")
        assert torch.allclose(values, expected[number::2])
        assert torch.allclose(state["variance"], likelihood.variance)
        assert state["num_images"] == likelihood.num_images == 8


@pytest.mark.parametrize("likelihood", [Bernoulli(), GaussianLikelihood(sigma=0.3)])
def test_plain_likelihoods_add_nothing_to_a_checkpoint(likelihood):
    assert not likelihood.state_dict()


def test_bernoulli_refuses_images_out_of_range():
    good = torch.tensor([-1.0, 0.0, 1.0]).view(1, 1, 1, 3)
    Bernoulli().check(good)
    for bad in (good + 0.5, good * 255, good * math.nan):
        with pytest.raises(ValueError, match=r"bernoulli reads images in \[-1, 1\]"):
            Bernoulli().check(bad)
        GaussianLikelihood(sigma=1.0).check(bad)


@pytest.mark.parametrize("value", [0.0, -1.0])
def test_gaussian_likelihoods_refuse_invalid_values(value):
    with pytest.raises(ValueError, match="initial_sigma"):
        LearnedGaussian(initial_sigma=value)
    with pytest.raises(ValueError, match="half_life"):
        OptimalGaussian(half_life=value)
