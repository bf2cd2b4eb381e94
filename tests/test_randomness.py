"""What random numbers depend on, and what they do not depend on."""

import copy
import itertools
import pickle

import pytest
import torch

from limner.data.batches import TrainingBatches
from limner.data.store import MemoryStore
from limner.randomness import Noise, generator_for, seed_for, seed_torch

CPU = torch.device("cpu")


def started(seed=3, *, rank=0, world_size=1) -> Noise:
    noise = Noise()
    noise.start(seed, rank=rank, world_size=world_size)
    return noise


@pytest.mark.parametrize("world_size", [2, 3])
def test_noise_of_all_processes_together_is_the_noise_of_one_process(world_size):
    one = started()
    ranks = [started(rank=rank, world_size=world_size) for rank in range(world_size)]
    whole, part = torch.empty(4 * world_size, 1, 2, 2), torch.empty(4, 1, 2, 2)
    for draw in (Noise.normal, Noise.uniform, Noise.normal):
        rows = torch.cat([draw(noise, part, 5, 2) for noise in ranks])
        assert rows.shape == (4 * world_size, 5, 2)
        assert torch.equal(rows, draw(one, whole, 5, 2))


@pytest.mark.parametrize("steps", [1, 2])
def test_noise_of_an_image_does_not_depend_on_the_number_of_processes(steps):
    """Batches and noise are divided alike, so that each row of noise belongs to its image."""

    def numbers(*, rank, world_size):
        store = MemoryStore(
            torch.zeros(100, 1, 2, 2, dtype=torch.uint8), torch.arange(100), fingerprint=""
        )
        batches = TrainingBatches(
            store, torch.arange(100), batch_size=24 // world_size, batches_per_update=steps,
            seed=0, rank=rank, world_size=world_size, augmentation=None, update=lambda: 0,
            layout=torch.contiguous_format,
        )  # fmt: skip
        noise, found = Noise(), {}
        for update, batch in enumerate(itertools.islice(iter(batches), 3)):
            noise.start(seed_for(0, "noise", update), rank=rank, world_size=world_size)
            for labels in batch["label"].chunk(steps):
                z = noise.normal(labels.float(), 2)
                found |= {
                    (update, i): tuple(row)
                    for i, row in zip(labels.tolist(), z.tolist(), strict=True)
                }
        return found

    one = numbers(rank=0, world_size=1)
    assert len(one) == len(set(one.values())) == 3 * steps * 24
    assert one == numbers(rank=0, world_size=2) | numbers(rank=1, world_size=2)


def test_noise_depends_only_on_the_seed_and_the_update():
    images = torch.empty(1000, 1)
    noise = started(seed=1)
    first = noise.normal(images, 4)
    assert not torch.equal(noise.normal(images, 4), first), "successive draws differ"
    torch.manual_seed(7)
    noise.start(1, rank=0, world_size=1)
    assert torch.equal(noise.normal(images, 4), first)
    noise.start(2, rank=0, world_size=1)
    assert not torch.equal(noise.normal(images, 4), first)


def test_noise_has_the_distribution_in_its_name():
    normal = started().normal(torch.empty(5000, 1), 4)
    assert normal.mean().item() == pytest.approx(0, abs=0.03)
    assert normal.std().item() == pytest.approx(1, abs=0.03)
    uniform = started().uniform(torch.empty(5000, 1), 4)
    assert uniform.min() >= 0
    assert uniform.max() < 1
    assert uniform.mean().item() == pytest.approx(0.5, abs=0.02)


def test_noise_has_the_dtype_of_the_images_and_otherwise_does_not_depend_on_it():
    for draw in (Noise.normal, Noise.uniform):
        exact = draw(started(), torch.empty(6, 1), 3)
        for dtype in (torch.float64, torch.bfloat16):
            numbers = draw(started(), torch.empty(6, 1, dtype=dtype), 3)
            assert numbers.dtype == dtype
            assert torch.equal(numbers, exact.to(dtype))


def test_noise_comes_from_torch_before_it_is_started():
    torch.manual_seed(4)
    drawn = Noise().normal(torch.empty(5, 1), 2)
    torch.manual_seed(4)
    assert torch.equal(drawn, torch.randn(5, 2))


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_copied_noise_draws_its_update_from_the_beginning(copied):
    noise, images = started(rank=1, world_size=2), torch.empty(5, 1)
    first = noise.normal(images, 2)
    assert torch.equal(copied(noise).normal(images, 2), first)
    assert not torch.equal(noise.normal(images, 2), first), "the original must continue"


def test_streams_and_positions_are_independent():
    places = [("a", 0, 0), ("a", 0, 1), ("a", 1, 0), ("a", 1, 1), ("b", 0, 0)]
    seeds = {seed_for(seed, *place) for seed in (0, 1) for place in places}
    assert len(seeds) == 2 * len(places)
    assert seed_for(0, "a", 3) == seed_for(0, "a", 3, 0), "a 0 at the end makes no difference"
    draws = torch.stack([torch.randn(10000, generator=generator_for(0, *p)) for p in places])
    between = torch.corrcoef(draws) - torch.eye(len(places))
    assert between.abs().max() < 0.05


def test_seed_torch_equals_torch_manual_seed():
    torch.manual_seed(123456789)
    expected = torch.rand(5)
    torch.manual_seed(0)
    seed_torch(123456789, CPU)
    assert torch.equal(torch.rand(5), expected)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_noise_on_a_gpu_does_not_wait_for_the_device():
    device = torch.device("cuda", 0)
    images, rank = torch.empty(8, 1, device=device), {"rank": 1, "world_size": 2}
    noise = started(**rank)
    torch.cuda.set_sync_debug_mode("error")
    try:
        first = noise.normal(images, 4)
        noise.start(3, **rank)
        seed_torch(5, device)
        second = noise.normal(images, 4)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert torch.equal(first, second)
    assert first.device == device
    own = torch.rand(3, device=device)
    torch.manual_seed(5)
    assert torch.equal(torch.rand(3, device=device), own)
