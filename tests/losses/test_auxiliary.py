import math

import pytest
import torch

from limner.losses.auxiliary import AuxiliaryClassifier


def test_auxiliary_loss_of_equal_logits_is_the_logarithm_of_the_number_of_classes():
    loss, labels = AuxiliaryClassifier(weight=0.5), torch.tensor([0, 3, 4])
    even = torch.full((3, 5), 7.0)
    assert loss.generator(even, labels=labels).tolist() == pytest.approx([0.5 * math.log(5)] * 3)
    both = loss.discriminator(even, even, labels=labels)
    assert both.tolist() == pytest.approx([math.log(5)] * 3)


def test_auxiliary_loss_is_0_for_the_right_class_and_the_logit_gap_for_a_wrong_one():
    labels = torch.tensor([1, 1])
    right, wrong = torch.tensor([[0.0, 90.0]] * 2), torch.tensor([[90.0, 0.0]] * 2)
    loss = AuxiliaryClassifier(weight=1.0)
    assert loss.discriminator(right, right, labels=labels).tolist() == [0, 0]
    assert loss.discriminator(right, wrong, labels=labels).tolist() == [90, 90]
    assert loss.discriminator(wrong, right, labels=labels).tolist() == [90, 90]


def test_auxiliary_loss_values_are_negative_log_likelihoods():
    real, fake = torch.randn(2, 6, 4, dtype=torch.float64).unbind()
    labels = torch.randint(0, 4, (6,))
    pick = torch.arange(6), labels
    expected = -torch.log(real.softmax(1)[pick]) - torch.log(fake.softmax(1)[pick])
    values = AuxiliaryClassifier(weight=1.0).discriminator(real, fake, labels=labels)
    assert torch.allclose(values, expected)


def test_auxiliary_loss_refuses_a_weight_of_0():
    with pytest.raises(ValueError, match="above 0"):
        AuxiliaryClassifier(weight=0.0)
