"""The judge of attributes names what an image shows."""

import pytest
import torch

from limner.errors import UserError
from limner.metrics import judges
from limner.metrics.attributes import attributes_of
from support.captions import Colours, Squares, attributes


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("LIMNER_CACHE", str(tmp_path / "cache"))


def trained():
    judge, store = attributes(), Colours()
    judge.prepare(store, torch.arange(len(store)))
    return judge


def test_attributes_are_the_named_values_of_a_store():
    assert attributes_of(Colours(), torch.tensor([1, 0])) == {"colour": ["green", "red"]}
    assert attributes_of(Squares(), torch.tensor([1])) == {}


def test_judge_names_the_colour_and_refuses_other_colours():
    judge, images = trained(), Colours().gather(torch.arange(4))
    right = ["red", "green", "blue", "white"]
    assert judge.hits(images, {"colour": right}).tolist() == [[True]] * 4
    wrong = ["green", "green", "purple", "red"]
    assert judge.hits(images, {"colour": wrong}).tolist() == [[False], [True], [False], [False]]


def test_judge_of_attributes_is_trained_once(monkeypatch):
    first = trained().protocol()
    monkeypatch.setattr(judges, "fit_network", None)
    assert trained().protocol() == first
    assert "colour" in first["judge"]


def test_judge_of_attributes_refuses_numbers_below_one():
    with pytest.raises(UserError, match=r"metrics\.attributes\.num_updates=0"):
        attributes(num_updates=0)
