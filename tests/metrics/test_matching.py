"""The judge of captions finds the caption of an image among others."""

import pytest
import torch

from limner.errors import UserError
from limner.metrics import judges
from limner.metrics.matching import choices_for
from support.captions import Squares, matching, words_of


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("LIMNER_CACHE", str(tmp_path / "cache"))


def trained(store=None, **changes):
    store = store or Squares()
    judge, words = matching(**changes), words_of(store)
    judge.prepare(store, torch.arange(len(store)), words, [tuple(each) for each in words])
    return judge


def test_image_matches_its_own_caption_and_no_other_caption():
    judge, store = trained(), Squares(4)
    own, other = words_of(store), words_of(store)[1:] + words_of(store)[:1]
    images = store.gather(torch.arange(4))
    right = [[a, b] for a, b in zip(own, other, strict=True)]
    assert judge.hits(images, right).tolist() == [1, 1, 1, 1]
    assert judge.hits(images, [pair[::-1] for pair in right]).tolist() == [0, 0, 0, 0]


def test_judge_guesses_among_captions_that_it_cannot_tell_apart():
    judge, image = trained(), Squares(1).gather(torch.arange(1))
    assert judge.hits(image, [[["aubergine"], ["zebra"], ["yak", "gnu"]]]).item() == (
        pytest.approx(1 / 3)
    )


def test_order_of_the_words_makes_no_difference():
    judge, image = trained(), Squares(1).gather(torch.arange(1))
    same = [["square", "red", "a"], ["a", "red", "square"]]
    assert judge.hits(image, [same]).item() == 0.5


def test_judge_is_trained_once_and_does_not_depend_on_other_random_numbers(monkeypatch):
    first = trained().protocol()
    torch.manual_seed(7)
    with monkeypatch.context() as patch:
        patch.setattr(judges, "fit_network", None)
        assert trained().protocol() == first
    monkeypatch.setenv("LIMNER_CACHE", "other")
    assert trained().protocol() == first


@pytest.mark.parametrize("change", ["caption", "image", "setting"])
def test_judge_of_other_pairs_or_settings_is_another_judge(change):
    store = Squares()
    if change == "caption":
        store.captions[0] = "a red disc"
    if change == "image":
        store.fingerprint = "other"
    found = trained(store, num_updates=81 if change == "setting" else 80).protocol()
    assert (found["weights_sha256"] == trained().protocol()["weights_sha256"]) == (
        change == "image"
    )


def test_choices_have_the_own_caption_first_and_others_of_different_meanings():
    words = [[name] for name in "abcdefabc"]
    meanings = [each[0] for each in words]
    found = choices_for(words, meanings, num_choices=4, seed=0)
    for own, choice in zip(words, found, strict=True):
        assert choice[0] == own
        assert len({each[0] for each in choice}) == 4
    assert found == choices_for(words, meanings, num_choices=4, seed=0)
    assert found != choices_for(words, meanings, num_choices=4, seed=1)


def test_choices_are_fewer_if_there_are_fewer_meanings():
    words = [["a"], ["the", "a"], ["b"]]
    found = choices_for(words, ["a", "a", "b"], num_choices=10, seed=0)
    assert found == [[["a"], ["b"]], [["the", "a"], ["b"]], [["b"], ["a"]]]


@pytest.mark.parametrize("change", [{"num_choices": 1}, {"num_updates": 0}, {"batch_size": 1}])
def test_judge_refuses_numbers_that_make_no_sense(change):
    (name,) = change
    with pytest.raises(UserError, match=f"metrics.matching.{name}="):
        matching(**change)
