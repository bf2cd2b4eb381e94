"""Config values have the types of constructor parameters, or are refused by a message."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import pytest
from torch import nn

from limner.config.types import check_type
from limner.errors import UserError


@pytest.mark.parametrize(
    ("value", "hint"),
    [(1, float), (None, int | None), ([1, 2], Sequence[int]), ("a", Literal["a", "b"]),
     ({"_target_": "anything.At.All"}, int), (True, bool), ([0.9, 1], tuple[float, float]),
     ({"hours": 1.5}, dict[str, int]), ({"a": {"_target_": "b"}}, Mapping[str, nn.Module])],
)  # fmt: skip
def test_check_type_accepts_values_that_fit(value, hint):
    check_type("key", value, hint)


@pytest.mark.parametrize(
    ("value", "hint", "message"),
    [
        (True, int, "key=True: must be a whole number, not true or false."),
        ("fast", float, "key=fast: must be a number, not text."),
        (1.5, int | None, "key=1.5: must be a whole number or null, not 1.5."),
        ([1, "b"], Sequence[int], "must be a list of whole numbers, not [1, 'b']."),
        ("c", Literal["a", "b"], "key=c: must be a or b."),
        ("c", int | Literal["a"], "key=c: must be a whole number or a."),
        (1, Literal["a", "b"], "key=1: must be a or b, not a whole number."),
        ([0.9], tuple[float, float], "must be a list of 2 numbers"),
        ({}, nn.Module, "must be Module, not a dict"),
        (None, int, "key=null: must be a whole number, not null."),
        (None, Callable[[int], int], "must be a mapping with _target_, not null"),
        ({"a": 1}, Mapping[str, nn.Module], "must be a mapping"),
    ],
)
def test_check_type_refuses_other_values_by_a_message(value, hint, message):
    with pytest.raises(UserError, match=re.escape(message)):
        check_type("key", value, hint)


def test_check_type_names_networks_that_determine_the_size_of_codes():
    with pytest.raises(UserError, match=r"latent_dim=null: .*\n.*network=draw or\nnetwork=ladder"):
        check_type("network.encoder.latent_dim", None, int)
