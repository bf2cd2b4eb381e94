import pytest
import torch
from torch import nn

from limner.losses.diagnostics import (
    discriminator_statistics,
    gradient_norm,
    means,
    pairwise_distance,
)
from support.waiting import no_waiting


def test_accuracies_are_shares_on_the_right_side_of_the_threshold():
    real, fake = torch.tensor([1.0, 2.0, -1.0, 0.2]), torch.tensor([-1.0, -2.0, -3.0, 0.4])
    seen = discriminator_statistics(real, fake, threshold=0.0)
    assert [value.item() for value in seen] == pytest.approx([0.55, -1.4, 0.75, 0.75])
    seen = discriminator_statistics(real, fake, threshold=0.5)
    assert (seen.accuracy_real.item(), seen.accuracy_fake.item()) == (0.5, 1.0)


def test_accuracies_without_a_threshold_ignore_a_shift_of_all_logits():
    real, fake = torch.randn(64) + 1, torch.randn(64)
    here, there = (
        discriminator_statistics(real + s, fake + s, threshold=None) for s in (0.0, 100.0)
    )
    assert here[2:] == there[2:]
    assert here.accuracy_real > 0.5
    assert discriminator_statistics(real + 9, fake, threshold=None)[2:] == (1.0, 1.0), "D has won"


def test_accuracies_are_one_half_for_random_logits():
    logits = torch.randn(2, 20_000)
    seen = discriminator_statistics(*logits.unbind(), threshold=None)
    assert seen.accuracy_real.item() == pytest.approx(0.5, abs=0.02)
    assert seen.accuracy_fake.item() == pytest.approx(0.5, abs=0.02)


def test_pairwise_distance_agrees_with_all_pairs():
    images = torch.randn(9, 3, 4, 4, dtype=torch.float64)
    distances = torch.pdist(images.flatten(1))
    assert pairwise_distance(images).item() == pytest.approx(
        distances.square().mean().sqrt().item(), rel=1e-6
    )
    assert pairwise_distance(images[:1].expand(9, -1, -1, -1)) == 0, "collapsed"


def test_gradient_norm_is_the_norm_of_all_gradients_together():
    network = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    assert gradient_norm(network.parameters()) == 0
    for parameter in list(network.parameters())[1:]:
        parameter.grad = torch.randn_like(parameter)
    flat = torch.cat([p.grad.flatten() for p in list(network.parameters())[1:]])
    assert gradient_norm(network.parameters()).item() == pytest.approx(flat.norm().item())


def test_diagnostics_do_not_wait_for_the_device():
    network, images = nn.Linear(3, 4), torch.randn(4, 3)
    network(images).sum().backward()
    with no_waiting():
        discriminator_statistics(torch.randn(4), torch.randn(4), threshold=None)
        pairwise_distance(images)
        gradient_norm(network.parameters())
        means([{"loss": torch.randn(())}, {"loss": torch.randn(())}])


def test_means_leave_out_steps_without_a_value():
    steps = [{"loss": 1.0, "penalty": 4.0}, {"loss": 2.0}, {"loss": 6.0}]
    found = means([{name: torch.tensor(v) for name, v in step.items()} for step in steps])
    assert {name: value.item() for name, value in found.items()} == {"loss": 3.0, "penalty": 4.0}
