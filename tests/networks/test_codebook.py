"""Vector quantisation: nearest codes, moving averages, and equal codebooks on all ranks."""

import multiprocessing
from pathlib import Path

import pytest
import torch
from torch import distributed

from limner.networks.codebook import Codebook, code_use


def book(num_codes=8, code_dim=3, *, decay=0.9, revive_after=None):
    return Codebook(num_codes=num_codes, code_dim=code_dim, decay=decay, revive_after=revive_after)


def rows_of(z):
    return z.permute(0, 2, 3, 1).flatten(0, 2)


def test_codebook_replaces_every_code_by_the_nearest_entry():
    quantise, z = book().eval(), torch.randn(2, 3, 4, 5)
    result = quantise(z)
    distances = torch.cdist(rows_of(z), quantise.codes)
    assert torch.equal(result.indices.flatten(), distances.argmin(1))
    assert torch.equal(quantise.look_up(result.indices), result.codes)
    expected = distances.amin(1).square().view(2, -1).sum(1)
    assert torch.allclose(result.commitment, expected, rtol=1e-4)
    assert torch.equal(result.counts, torch.bincount(result.indices.flatten(), minlength=8))


def test_codebook_passes_gradients_straight_through_and_commitment_pulls_to_the_entry():
    quantise, z = book(), torch.randn(2, 3, 4, 5, requires_grad=True)
    upstream = torch.randn(2, 3, 4, 5)
    (quantise(z).codes * upstream).sum().backward()
    assert torch.equal(z.grad, upstream)
    z.grad = None
    before = quantise.codes.clone()
    result = quantise(z)
    result.commitment.sum().backward()
    chosen = before[result.indices].movedim(-1, 1)
    assert torch.allclose(z.grad, 2 * (z - chosen).detach())
    assert not list(quantise.parameters())


def test_codebook_follows_the_averages_of_the_paper():
    quantise = book(decay=0.7)
    sizes, sums = torch.ones(8), quantise.codes.clone()
    for _ in range(3):
        z = torch.randn(2, 3, 4, 5)
        indices = quantise(z).indices.flatten()
        for j in range(8):
            mine = rows_of(z)[indices == j]
            sizes[j] = 0.7 * sizes[j] + 0.3 * len(mine)
            sums[j] = 0.7 * sums[j] + 0.3 * mine.sum(0)
        assert torch.allclose(quantise.codes, sums / sizes[:, None], atol=1e-5)


def test_codebook_changes_nothing_and_draws_nothing_in_evaluation():
    quantise = book(revive_after=1).eval()
    before = {name: value.clone() for name, value in quantise.state_dict().items()}
    state = torch.get_rng_state()
    quantise(torch.randn(2, 3, 4, 4, generator=torch.Generator()))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(before[n], value) for n, value in quantise.state_dict().items())


@pytest.mark.parametrize("revive_after", [5, None])
def test_codebook_with_revival_uses_all_entries_and_covers_all_clusters(revive_after):
    """The codes are far from the initial codebook; without revival most entries stay unused."""
    centres = 20 + 10 * torch.randn(8, 3)
    quantise = book(num_codes=32, revive_after=revive_after)
    counts = torch.zeros(32)
    for update in range(120):
        which = torch.randint(8, (4, 5, 5))
        z = centres[which] + torch.randn(4, 5, 5, 3)
        counts += quantise(z.movedim(-1, 1)).counts * (update >= 60)
    distance = torch.cdist(centres, quantise.codes).amin(1).max()
    if revive_after is None:
        assert code_use(counts).usage < 0.5
        assert distance > 5
    else:
        assert code_use(counts).usage == 1
        assert code_use(counts).perplexity > 20
        assert distance < 1.5


def test_codebook_is_filled_by_its_first_batch():
    z = 50 + torch.randn(4, 3, 4, 4)
    quantise = book(revive_after=20)
    result = quantise(z)
    assert result.commitment.mean() < 1000, "the codes are still near 0, not near z"
    assert code_use(result.counts).usage > 0.9


def test_codebook_replaces_an_entry_after_so_many_updates_without_use():
    quantise = book(num_codes=2, code_dim=1, decay=0.5, revive_after=3)
    # The batch fills both entries with 0 and chooses the first of the two.
    quantise(torch.zeros(1, 1, 2, 2))
    quantise.codes[1], quantise.sums[1] = -9.0, -9.0 * quantise.sizes[1]
    for _ in range(2):
        quantise(torch.ones(1, 1, 2, 2))
        assert quantise.codes[1] == -9
    quantise(torch.ones(1, 1, 2, 2))
    assert quantise.codes[1] == 1


def test_codebook_resumes_exactly():
    """The state dict and torch's random state hold the whole state."""
    generator = torch.Generator().manual_seed(0)
    batches = torch.randn(8, 2, 3, 4, 4, generator=generator)
    torch.manual_seed(1)
    whole = book(num_codes=64, revive_after=2)
    for batch in batches[:4]:
        whole(batch)
    state, numbers = whole.state_dict(), torch.get_rng_state()
    resumed = book(num_codes=64, revive_after=2)
    resumed.load_state_dict({name: value.clone() for name, value in state.items()})
    for quantise in (whole, resumed):
        torch.set_rng_state(numbers)
        for batch in batches[4:]:
            quantise(batch)
    for name, value in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], value), name


def test_codebook_averages_keep_their_precision_in_half_precision():
    quantise = book().bfloat16()
    assert quantise.codes.dtype == quantise.sizes.dtype == torch.float32
    z = torch.randn(2, 3, 4, 4)
    assert quantise(z.bfloat16()).codes.dtype == torch.bfloat16
    expected = quantise.eval()(z)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(quantise(z).indices, expected.indices)
        assert torch.equal(quantise(z).commitment, expected.commitment)


def test_codebook_usage_and_perplexity_have_their_values():
    even, one = torch.tensor([5.0, 5, 5, 5]), torch.tensor([0.0, 7, 0, 0])
    assert code_use(even).usage == 1
    assert code_use(even).perplexity.item() == pytest.approx(4)
    assert code_use(one).usage == 0.25
    assert code_use(one).perplexity.item() == pytest.approx(1)
    assert code_use(torch.zeros(4)).usage == 0


def rank(number: int, folder: Path) -> None:
    """Run one of two processes, each with half of every batch."""
    torch.set_num_threads(1)
    store = f"file://{folder}/store"
    distributed.init_process_group("gloo", init_method=store, rank=number, world_size=2)
    torch.manual_seed(number)  # As in a run, each rank draws its own numbers.
    torch.save(quantised(slice(number, None, 2)), folder / f"{number}.pt")
    distributed.destroy_process_group()


def quantised(part: slice) -> dict:
    """Return the states after three batches, without and with revival."""
    batches = torch.randn(3, 4, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    codes = torch.randn(8, 3, generator=torch.Generator().manual_seed(1))
    states = {}
    for revive_after in (None, 1):
        quantise = book(revive_after=revive_after)
        quantise.codes.copy_(codes)
        quantise.sums.copy_(codes)
        for batch in batches:
            counts = quantise(batch[part]).counts
        states[revive_after] = {**quantise.state_dict(), "counts": counts}
    return states


def test_codebook_is_the_same_on_two_processes(tmp_path):
    # A spawned process would import torch for seconds.
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=rank, args=(i, tmp_path)) for i in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    first, second = (torch.load(tmp_path / f"{i}.pt") for i in range(2))
    for revive_after in (None, 1):
        for name, value in first[revive_after].items():
            assert torch.equal(value, second[revive_after][name]), (revive_after, name)
    for name, value in quantised(slice(None))[None].items():  # the result of one process
        assert torch.allclose(first[None][name].float(), value.float(), atol=1e-6), name


@pytest.mark.parametrize(
    ("changed", "key"),
    [
        ({"num_codes": 1}, "num_codes=1"),
        ({"decay": 1.0}, "decay=1.0"),
        ({"revive_after": 0}, "revive_after=0"),
    ],
)
def test_codebook_refuses_invalid_values(changed, key):
    with pytest.raises(ValueError, match=key):
        book(**changed)
