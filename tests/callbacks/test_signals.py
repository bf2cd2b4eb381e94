"""Which random numbers an update has."""

from types import SimpleNamespace

import torch

from limner.callbacks.signals import SeedPerUpdate
from limner.randomness import Noise

IMAGES = torch.empty(4, 1)


def numbers(update: int, *, seed=0, rank=0, world_size=1):
    """What the model and torch itself draw in an update."""
    trainer = SimpleNamespace(global_step=update, global_rank=rank, world_size=world_size)
    model = SimpleNamespace(noise=Noise(), device=torch.device("cpu"))
    SeedPerUpdate(seed=seed).on_train_batch_start(trainer, model)
    return model.noise.normal(IMAGES, 3), torch.rand(4, 3)


def test_an_update_has_its_numbers_whatever_ran_before():
    first = numbers(5)
    torch.rand(100)
    for a, b, c, d in zip(first, numbers(5), numbers(6), numbers(5, seed=1), strict=True):
        assert torch.equal(a, b)
        assert not torch.equal(a, c)
        assert not torch.equal(a, d)


def test_images_have_their_numbers_and_processes_have_theirs():
    ranks = [numbers(5, rank=rank, world_size=2) for rank in range(2)]
    noise = Noise()
    trainer = SimpleNamespace(global_step=5, global_rank=0, world_size=1)
    model = SimpleNamespace(noise=noise, device=torch.device("cpu"))
    SeedPerUpdate(seed=0).on_train_batch_start(trainer, model)
    assert torch.equal(torch.cat([ranks[0][0], ranks[1][0]]), noise.normal(IMAGES.repeat(2, 1), 3))
    assert not torch.equal(ranks[0][1], ranks[1][1])


def test_a_model_without_noise_is_seeded_too():
    trainer = SimpleNamespace(global_step=0, global_rank=0, world_size=1)
    draws = []
    for _ in range(2):
        model = SimpleNamespace(device=torch.device("cpu"))
        SeedPerUpdate(seed=0).on_train_batch_start(trainer, model)
        draws.append(torch.rand(3))
    assert torch.equal(*draws)


def test_validation_has_numbers_of_its_own():
    trainer = SimpleNamespace(global_step=3, global_rank=0, world_size=1)
    model = SimpleNamespace(device=torch.device("cpu"))
    SeedPerUpdate(seed=0).on_validation_start(trainer, model)
    first = torch.rand(3)
    SeedPerUpdate(seed=0).on_train_batch_start(trainer, model)
    assert not torch.equal(torch.rand(3), first)
    SeedPerUpdate(seed=0).on_validation_start(trainer, model)
    assert torch.equal(torch.rand(3), first)
