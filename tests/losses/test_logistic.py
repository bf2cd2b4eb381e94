"""The mixture of discretised logistics as a distribution over 256 levels."""

import pytest
import torch

from limner.losses.logistic import MIN_LOG_SCALE, LogisticMixture
from limner.metrics.likelihood import bits_per_dim

LEVELS = torch.arange(256, dtype=torch.float64) / 127.5 - 1


def every_level(params):
    """Return P(x) of the 256 levels, (256, N), for params (N, 3 K) of N images with one value."""
    likelihood = LogisticMixture(num_components=params.shape[1] // 3)
    repeated = params.repeat(256, 1)[:, :, None, None]
    images = LEVELS.to(params.dtype).repeat_interleave(len(params))[:, None, None, None]
    return likelihood.log_prob(repeated, images).exp().view(256, -1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("log_scale", [-9.0, -7.0, -4.0, 0.0, 3.0])
@pytest.mark.parametrize("mean", [-1.5, -1.0, 0.003, 0.9, 40.0])
def test_logistic_mixture_sums_to_one_over_the_256_levels(mean, log_scale, dtype):
    params = torch.tensor([[0.3, -1.0, mean, 0.2, log_scale, -3.0]], dtype=dtype)
    assert every_level(params).sum().item() == pytest.approx(1, abs=1e-5)


def test_logistic_mixture_is_a_difference_of_the_distribution_function():
    params = torch.randn(7, 9, dtype=torch.float64)
    logits, means, log_scales = params.chunk(3, dim=1)
    edges = (LEVELS[:-1] + 1 / 255)[:, None, None]
    below = ((edges - means) / log_scales.exp()).sigmoid()  # (255, N, K)
    below = torch.cat([torch.zeros(1, 7, 3), below, torch.ones(1, 7, 3)])
    expected = (logits.softmax(1) * below.diff(dim=0)).sum(2)
    assert torch.allclose(every_level(params), expected, rtol=1e-8, atol=1e-14)


def test_logistic_mixture_reads_separate_parameters_for_each_channel():
    """In the layout, the parameters of the first channel come first."""
    likelihood = LogisticMixture(num_components=2)
    params = torch.randn(3, 12, 4, 5)
    images = torch.rand(3, 2, 4, 5) * 2 - 1
    apart = [
        likelihood.log_prob(params[:, :6], images[:, :1]),
        likelihood.log_prob(params[:, 6:], images[:, 1:]),
    ]
    assert torch.allclose(likelihood.log_prob(params, images), sum(apart), rtol=1e-5)
    assert torch.allclose(
        likelihood.mean(params)[:, 1:], likelihood.mean(params[:, 6:]), atol=1e-6
    )


@pytest.mark.parametrize(("log_scale", "tolerance"), [(-9.0, 1 / 255), (-4.0, 2e-4), (0.0, 1e-5)])
def test_logistic_mixture_mean_is_the_expectation(log_scale, tolerance):
    params = torch.randn(50, 6, dtype=torch.float64)
    params[:, 4:] = log_scale
    mean = LogisticMixture(num_components=2).mean(params[:, :, None, None]).flatten()
    expected = (every_level(params) * LEVELS[:, None]).sum(0)
    assert (mean - expected).abs().max() <= tolerance


def test_logistic_mixture_has_finite_gradients_far_from_the_data():
    params = torch.tensor([[0.0, 50.0, -30.0], [0.0, 1.0, -1.0], [0.0, -60.0, 8.0]])
    params = params[:, :, None, None].expand(3, 3, 4, 4).clone().requires_grad_()
    images = torch.linspace(-1, 1, 48).view(3, 1, 4, 4)
    likelihood = LogisticMixture(num_components=1)
    values = likelihood.log_prob(params, images)
    (values.sum() + likelihood.mean(params).sum()).backward()
    assert values.isfinite().all()
    assert params.grad.isfinite().all()
    assert (params.grad[0, 1] < 0).all(), "a mean far above is pulled down, however narrow"


def test_logistic_mixture_scale_is_bounded_below():
    params = torch.tensor([[0.0, 0.1, MIN_LOG_SCALE], [0.0, 0.1, -30.0]], dtype=torch.float64)
    first, second = every_level(params).T
    assert torch.equal(first, second)


def test_logistic_mixture_learns_a_distribution_of_two_levels():
    """One level has probability 3/10, which gives an entropy of 0.881 bits."""
    likelihood = LogisticMixture(num_components=3)
    images = torch.tensor([[0.0] * 3 + [100.0] * 7]).view(1, 1, 1, 10) / 127.5 - 1
    params = torch.randn(1, 9, 1, 1, requires_grad=True)
    optimizer = torch.optim.Adam([params], lr=0.05)
    for _ in range(400):
        optimizer.zero_grad()
        log_prob = likelihood.log_prob(params.expand(1, 9, 1, 10), images)
        (-log_prob.mean() / 10).backward()
        optimizer.step()
    bits = bits_per_dim(log_prob.item(), num_values=10, is_density=likelihood.is_density)
    assert 0.881 < bits < 1.0


def test_logistic_mixture_refuses_invalid_ranges_and_numbers_of_components():
    with pytest.raises(ValueError, match="logistic reads images"):
        LogisticMixture(num_components=1).check(torch.tensor([0.0, 1.5]))
    with pytest.raises(ValueError, match=r"num_components=0"):
        LogisticMixture(num_components=0)
