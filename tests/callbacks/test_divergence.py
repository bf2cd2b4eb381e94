"""The report of a divergence names the value that diverged."""

import pytest
import torch
from lightning.pytorch.strategies import SingleDeviceStrategy

from limner.callbacks.divergence import MAX_LOGIT, check_values, check_weights
from limner.errors import Diverged

ALONE = SingleDeviceStrategy()


def test_divergence_names_the_first_value_that_is_not_a_number():
    check_values({"a": 1.0}, 7, ALONE)
    with pytest.raises(Diverged, match="b is nan at update 7"):
        check_values({"a": 1.0, "b": float("nan"), "c": float("inf")}, 7, ALONE)


@pytest.mark.parametrize("sign", [1, -1])
def test_divergence_recognises_logits_that_grow_before_they_are_infinite(sign):
    check_values({"train/logits_fake": sign * MAX_LOGIT, "train/loss": 10 * MAX_LOGIT}, 7, ALONE)
    with pytest.raises(Diverged, match=r"train/logits_fake is -?1.01e\+05 at update 7"):
        check_values({"train/logits_fake": sign * 1.01 * MAX_LOGIT}, 7, ALONE)


def test_divergence_names_the_first_weight_that_is_not_a_number():
    network = torch.nn.Linear(2, 2)
    check_weights(network, 3)
    network.bias.data[1] = float("inf")
    with pytest.raises(Diverged, match="The weights bias are not finite at update 3"):
        check_weights(network, 3)
