"""A class that lacks a method of its protocol is refused before training, in one message."""

from typing import Any, Protocol

import pytest

from limner.config.protocols import check_protocol, protocol_in
from limner.config.types import check_type
from limner.errors import UserError
from limner.interfaces import (
    AdversarialLoss,
    Augmentation,
    FeatureExtractor,
    missing_members,
    trait,
)


class HalfALoss:
    """A loss that has only the part of the generator."""

    def generator(self, real_logits, fake_logits):
        return fake_logits


class WholeLoss(HalfALoss):
    def discriminator(self, real_logits, fake_logits):
        return fake_logits


def plain(value, other):
    """Do nothing: this function has no annotations."""


@pytest.mark.parametrize("value", [3, 2.5, "text", True, None, [1], {"a": 1}])
def test_parameter_of_type_any_accepts_every_value(value):
    check_type("x", value, Any)
    check_type("x", value, Any | None if value is not None else Any)


@pytest.mark.parametrize("hint", [AdversarialLoss, AdversarialLoss | None])
def test_class_without_a_method_of_its_protocol_is_named_with_the_protocol(hint):
    with pytest.raises(UserError) as error:
        check_protocol("model.loss", f"{__name__}.HalfALoss", hint)
    message = str(error.value)
    assert message.startswith("model.loss: ")
    assert "has no method discriminator()" in message
    assert "limner.interfaces.AdversarialLoss" in message
    check_protocol("model.loss", f"{__name__}.WholeLoss", hint)


@pytest.mark.parametrize("hint", [Any, int, AdversarialLoss | Augmentation, type(None)])
def test_hint_without_one_protocol_asks_for_no_methods(hint):
    assert protocol_in(hint) is None


def test_attributes_with_a_value_in_the_protocol_may_be_missing():
    loss = WholeLoss()
    assert missing_members(loss, AdversarialLoss) == []
    assert trait(loss, AdversarialLoss, "needs_lipschitz") is False
    assert trait(loss, AdversarialLoss, "relativistic") is False
    assert trait(loss, AdversarialLoss, "threshold") is None
    loss.relativistic = True
    assert trait(loss, AdversarialLoss, "relativistic") is True


def test_missing_members_names_methods_and_attributes_without_a_value():
    class Nothing:
        pass

    missing = missing_members(Nothing(), FeatureExtractor)
    assert {"prepare()", "to()", "__call__()", "protocol()", "suffix", "num_features"} <= {
        *missing
    }
    # Such an attribute may be set by __init__.
    assert "suffix" not in missing_members(Nothing, FeatureExtractor)


def test_missing_members_reads_the_protocols_that_a_protocol_extends():
    class Base(Protocol):
        def first(self): ...

    class Extended(Base, Protocol):
        def second(self): ...

    assert missing_members(object(), Extended) == ["first()", "second()"]
