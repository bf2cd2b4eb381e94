"""The matching losses of images and texts: closed forms, and what equal texts mean."""

import math

import pytest
import torch
from torch.nn.functional import cross_entropy, normalize

from limner.losses.adversarial import Hinge
from limner.losses.matching import Matched, TextMatching, contrastive

TEXTS = torch.tensor([[2, 3], [2, 4], [5, 0]])


def matched(num=3, *, seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits, wrong = torch.randn(2, num, generator=generator)
    images, texts = torch.randn(2, num, 4, generator=generator)
    return Matched(logits, wrong, images, normalize(texts, dim=1))


def losses(**changes):
    weights = {"mismatch_weight": 1.0, "contrastive_weight": 1.0, "generator_weight": 1.0}
    return TextMatching(
        loss=Hinge(), **{**weights, "temperature": 0.5, "augmentation_weight": None, **changes}
    )


def test_contrastive_loss_is_the_mean_of_two_cross_entropies():
    found = matched()
    cosines = normalize(found.image_codes, dim=1) @ found.text_codes.T / 0.5
    right = torch.arange(3)
    expected = cross_entropy(cosines, right, reduction="none")
    expected += cross_entropy(cosines.T, right, reduction="none")
    values = contrastive(found, TEXTS, temperature=0.5)
    torch.testing.assert_close(values, expected / 2)


def test_a_right_pair_costs_nothing_and_a_wrong_pair_costs_much():
    codes = torch.eye(3)
    right = Matched(torch.zeros(3), torch.zeros(3), 7 * codes, codes)
    assert contrastive(right, TEXTS, temperature=0.02).max() < 1e-6
    wrong = right._replace(text_codes=codes.roll(1, 0))
    assert contrastive(wrong, TEXTS, temperature=0.02).min() > 49
    same = right._replace(image_codes=codes[:1].expand(3, 3), text_codes=codes[:1].expand(3, 3))
    torch.testing.assert_close(
        contrastive(same, TEXTS, temperature=0.1), torch.full((3,), math.log(3))
    )


def test_equal_texts_are_neither_wrong_nor_competitors():
    equal = torch.tensor([[2, 3], [2, 3], [5, 0]])
    codes = torch.eye(3)
    found = Matched(torch.zeros(3), torch.zeros(3), codes[[0, 0, 2]], codes[[0, 0, 2]])
    assert contrastive(found, equal, temperature=0.02).max() < 1e-6
    values = losses().discriminator(found, found, labels=equal)["mismatch"]
    assert values.tolist() == [2.0, 0.0, 2.0], "the second text equals the text before it"


def test_mismatch_is_the_loss_of_d_on_right_and_wrong_texts():
    real = matched()
    expected = Hinge().discriminator(real.logits, real.wrong_logits)
    values = losses(mismatch_weight=0.3).discriminator(real, matched(seed=1), labels=TEXTS)
    torch.testing.assert_close(values["mismatch"], 0.3 * expected)


def test_a_loss_of_weight_zero_is_left_out():
    real = matched()
    off = losses(mismatch_weight=0, contrastive_weight=0, generator_weight=0)
    assert off.discriminator(real, real, labels=TEXTS) == {}
    assert off.generator(real, labels=TEXTS) == {}
    assert losses(contrastive_weight=0).discriminator(real, real, labels=TEXTS).keys() == {
        "mismatch"
    }


@pytest.mark.parametrize(
    "changes",
    [{"mismatch_weight": -1}, {"contrastive_weight": -1}, {"generator_weight": -1},
     {"temperature": 0}, {"augmentation_weight": 0}],
)  # fmt: skip
def test_weights_below_zero_and_no_temperature_are_refused(changes):
    with pytest.raises(ValueError, match=f"model.auxiliary.{next(iter(changes))}"):
        losses(**changes)
