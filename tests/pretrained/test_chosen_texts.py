"""Texts that a user chooses become tokens; what the model cannot read is said."""

import logging

import pytest
import torch

from limner.data.vocabulary import Vocabulary
from limner.errors import UserError
from limner.pretrained.chosen_labels import chosen_condition
from limner.pretrained.chosen_texts import chosen_texts, known_texts, unknown_words

WORDS = Vocabulary(["a", "red", "circle", "star"])
FACTS = {"vocabulary": WORDS.text, "num_tokens": 6, "text_length": 3, "num_classes": 2}


def model(*, reads_text=False, num_classes=None):
    module = torch.nn.Linear(1, 1)
    module.reads_text, module.num_classes = reads_text, num_classes
    return module


def condition(module, num_images=2, **given):
    nothing = {"label": None, "labels": None, "text": None}
    return chosen_condition(module, FACTS, num_images, **(nothing | given))


def test_text_is_repeated_and_several_texts_keep_their_order():
    assert chosen_texts("a red star", 2, FACTS) == [[2, 3, 5]] * 2
    assert chosen_texts(["red", "a star"], 2, FACTS) == [[3, 0, 0], [2, 5, 0]]


def test_texts_that_differ_in_case_and_punctuation_are_the_same():
    assert chosen_texts("A RED, star!", 1, FACTS) == chosen_texts("a red star", 1, FACTS)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (["red"], "a text for each of 2 images, not 1 texts"),
        (["red", "star", "a"], "not 3 texts"),
        ("...", "needs a word or more"),
        ([1, 2], "1 is no text"),
        (5, "text: 5 is no text; write it in quotes"),
        (True, "True is no text"),
    ],
)
def test_texts_that_do_not_fit_are_refused(text, message):
    with pytest.raises(UserError, match=message):
        chosen_texts(text, 2, FACTS)


def test_model_without_a_vocabulary_is_refused():
    with pytest.raises(UserError, match=r"no data\.vocabulary"):
        chosen_texts("red", 1, {"text_length": 3})


def test_unknown_words_are_named_once_with_the_nearest_word(caplog):
    with caplog.at_level(logging.WARNING):
        chosen_texts(["a cirle", "a cirle zebra"], 2, FACTS)
    assert "these words: cirle (nearest: circle), zebra." in caplog.text
    assert unknown_words(["a star"], WORDS) == ""


def test_words_beyond_the_length_of_a_text_are_said(caplog):
    with caplog.at_level(logging.WARNING):
        assert chosen_texts("a a a star", 1, FACTS) == [[2, 2, 2]]
    assert "reads 3 words of a text and no more: it reads 'a a a'" in caplog.text
    caplog.clear()
    chosen_texts("a red star", 1, FACTS)
    assert caplog.text == ""


def test_messages_about_long_texts_are_short(caplog):
    facts = FACTS | {"text_length": 400}
    with caplog.at_level(logging.WARNING):
        chosen_texts("red " * 500, 1, facts)
        chosen_texts("z" * 900, 1, facts)
    with pytest.raises(UserError) as error:
        chosen_texts("." * 900, 1, facts)
    for message in [*caplog.messages, str(error.value)]:
        assert len(message) < 160
        assert "..." in message


def test_unknown_words_of_a_stranger_cannot_write_control_characters():
    assert "\x1b" not in unknown_words(["\x1b[31m" + "x" * 5], WORDS)


def test_condition_is_the_texts_of_a_model_of_texts_and_the_classes_of_others():
    assert condition(model(reads_text=True), text="red").tolist() == [[3, 0, 0]] * 2
    assert condition(model(num_classes=2), labels=[1, 0]).tolist() == [1, 0]
    assert condition(model()) is None


@pytest.mark.parametrize(
    ("module", "given", "message"),
    [
        (model(reads_text=True), {"label": 1}, "reads texts, not classes"),
        (model(num_classes=2), {"text": "red"}, "reads classes: give label="),
        (model(), {"text": "red"}, "trained without texts: it is unconditional"),
        (model(), {"label": 0}, "trained without labels"),
    ],
)
def test_condition_of_another_kind_is_refused(module, given, message):
    with pytest.raises(UserError, match=message):
        condition(module, **given)


def test_known_texts_are_different_captions_without_padding():
    captions = torch.tensor([[2, 3, 5], [3, 0, 0], [2, 3, 5], [0, 0, 0]])
    assert known_texts(captions, FACTS, 9) == ["a red star", "red"]
    assert known_texts(captions, FACTS, 1) == ["a red star"]
    assert known_texts(torch.zeros(4, 3, dtype=torch.int64), FACTS, 9) == []
