import math

import pytest
import torch

from limner.data.moving_paths import MOST, bouncing, path_draws


def reference(x, y, angle, step, num_frames):
    """Return the path of one thing by the loop of Srivastava et al. (2015)."""
    vx, vy, found = math.cos(angle), math.sin(angle), []
    for _ in range(num_frames):
        y, x = y + vy * step, x + vx * step
        if x <= 0:
            x, vx = 0.0, -vx
        if x >= 1:
            x, vx = 1.0, -vx
        if y <= 0:
            y, vy = 0.0, -vy
        if y >= 1:
            y, vy = 1.0, -vy
        found.append((x, y))
    return found


def test_bouncing_equals_the_loop_of_the_paper():
    generator = torch.manual_seed(0)
    start = torch.rand(6, 2, 2, generator=generator, dtype=torch.float64)
    angle = 2 * math.pi * torch.rand(6, 2, generator=generator, dtype=torch.float64)
    step = torch.rand(6, 2, generator=generator, dtype=torch.float64) * 0.3
    found = bouncing(start, angle, step, num_frames=40)
    assert found.shape == (6, 2, 40, 2)
    for i in range(6):
        for k in range(2):
            due = reference(*start[i, k].tolist(), float(angle[i, k]), float(step[i, k]), 40)
            assert torch.allclose(found[i, k], torch.tensor(due, dtype=torch.float64))
    assert found.min() >= 0
    assert found.max() <= 1


def test_things_without_a_way_stay_where_they_are():
    start = torch.rand(3, 1, 2)
    assert torch.equal(bouncing(start, torch.ones(3, 1), 0.0, num_frames=4)[:, :, 3], start)


def test_path_draws_are_uniform_and_belong_to_the_number_of_the_sequence():
    numbers = torch.arange(4000) + 2**41
    drawn = path_draws(numbers, 3, seed=2**62)
    assert drawn.shape == (4000, 3, 8)
    assert (drawn.mean(0) - 0.5).abs().max() < 0.03
    assert ((drawn >= 0) & (drawn < 1)).all()
    assert torch.equal(path_draws(numbers[[7]], 3, seed=2**62)[0], drawn[7])
    assert not torch.equal(path_draws(numbers[[7]], 3, seed=5)[0], drawn[7])
    correlations = torch.corrcoef(drawn.flatten(1).T) - torch.eye(24)
    assert correlations.abs().max() < 0.08


def test_draws_of_neighbouring_sequences_do_not_overlap():
    drawn = path_draws(torch.arange(2), MOST, seed=0)
    assert len(drawn.flatten().unique()) == pytest.approx(drawn.numel(), abs=1)
