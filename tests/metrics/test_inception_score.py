"""IS compared with closed forms and independent computations."""

import numpy as np
import pytest
import torch
from torch_fidelity.metric_isc import isc_features_to_metric

from limner.metrics.inception_score import InceptionScore


def scored(logits, num_splits=2, batch_size=77):
    score = InceptionScore(
        num_images=len(logits), num_classes=logits.shape[1], num_splits=num_splits
    )
    for positions in torch.randperm(len(logits)).split(batch_size):
        score.update(logits[positions], positions)
    return [value.item() for value in score.compute()]


def test_inception_score_is_the_number_of_classes_when_they_are_certain_and_even():
    logits = 1000.0 * torch.nn.functional.one_hot(torch.arange(1000) % 5, 5)
    assert scored(logits, num_splits=1) == [pytest.approx(5, rel=1e-12), 0]


def test_inception_score_is_1_when_there_is_one_class():
    assert scored(torch.zeros(100, 5)) == [pytest.approx(1), pytest.approx(0, abs=1e-12)]


def test_inception_score_agrees_with_numpy():
    logits = torch.randn(600, 7, generator=torch.Generator().manual_seed(0))
    p = torch.softmax(logits.double(), 1).numpy()
    expected = np.exp((p * (np.log(p) - np.log(p.mean(0)))).sum(1).mean())
    assert scored(logits, num_splits=1)[0] == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("num", "num_splits"), [(600, 10), (613, 10), (7, 7)])
def test_inception_score_agrees_with_torch_fidelity(num, num_splits):
    """The splits agree too, even if their number does not divide the number of images."""
    logits = 3 * torch.randn(num, 9, generator=torch.Generator().manual_seed(0))
    theirs = isc_features_to_metric(logits, num_splits)
    mean, std = scored(logits, num_splits)
    assert mean == pytest.approx(theirs["inception_score_mean"], rel=1e-9)
    assert std == pytest.approx(theirs["inception_score_std"], rel=1e-9, abs=1e-12)
