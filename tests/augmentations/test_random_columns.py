import pytest
import scipy.stats
import torch

from limner.augmentations.random_columns import RandomColumns

LINE = (torch.arange(1000) + 0.5) / 1000


@pytest.mark.parametrize(
    ("draw", "distribution"),
    [
        (lambda columns: columns.uniform(), scipy.stats.uniform(0, 1)),
        (lambda columns: columns.signed(), scipy.stats.uniform(-1, 2)),
        (lambda columns: columns.angle(), scipy.stats.uniform(-torch.pi, 2 * torch.pi)),
        (lambda columns: columns.normal(), scipy.stats.norm),
    ],
)
def test_random_columns_have_their_distributions(draw, distribution):
    values = draw(RandomColumns(LINE[:, None]))
    assert scipy.stats.kstest(values.numpy(), distribution.cdf).pvalue > 0.99


def test_random_columns_draw_whole_numbers_with_equal_probability():
    assert RandomColumns(LINE[:, None]).integer(4).long().bincount().tolist() == [250] * 4
    assert RandomColumns(torch.tensor([[0.99999997]])).integer(3).item() == 2


def test_random_columns_are_read_in_order():
    columns = RandomColumns(torch.tensor([[0.1, 0.2, 0.9, 0.3]]))
    assert columns.uniform().item() == pytest.approx(0.1)
    kept = columns.maybe(0.25, torch.tensor([5.0]), 1.0)
    both = columns.maybe_both(0.25, torch.tensor([5.0]), torch.tensor([6.0]))
    assert (kept.item(), *(each.item() for each in both)) == (5.0, 0.0, 0.0)
    assert columns.uniform().item() == pytest.approx(0.3)
