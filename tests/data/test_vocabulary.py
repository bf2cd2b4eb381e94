"""The vocabulary of captions: which words share a token, limits, and the text that keeps it."""

import sys
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from limner.data.vocabulary import (
    MAX_BYTES,
    MAX_WORDS,
    PADDING,
    UNKNOWN,
    Vocabulary,
    parse,
    split_words,
)
from limner.errors import UserError

SMALL = Vocabulary(["a", "red", "circle"])


def test_tokens_are_padding_unknown_and_the_words_in_order():
    assert SMALL.num_tokens == 5
    assert SMALL.encode("a red circle", 5) == [2, 3, 4, PADDING, PADDING]
    assert SMALL.encode("a green circle", 3) == [2, UNKNOWN, 4]
    assert SMALL.encode("a red circle", 2) == [2, 3]
    assert SMALL.encode("", 2) == [PADDING, PADDING]


@pytest.mark.parametrize(
    "text", ["A RED circle!", "  a  red,circle ", "a-red_circle", "“a” red…circle"]
)
def test_case_spaces_and_punctuation_do_not_change_the_tokens(text):
    assert SMALL.encode(text, 4) == SMALL.encode("a red circle", 4)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Ärger im Café", ["ärger", "im", "café"]),
        ("cafe\u0301", ["café"]),
        ("红色的圆 no. 7", ["红", "色", "的", "圆", "no", "7"]),
        ("हिन्दी शब्द", ["हिन्दी", "शब्द"]),
        ("ﬁre", ["fire"]),
        ("woman's", ["woman", "s"]),
        ("\u202e\x1b[31m 🙂", ["31m"]),
    ],
)  # fmt: skip
def test_split_words_reads_scripts_and_drops_other_characters(text, words):
    assert split_words(text) == words


def test_from_texts_takes_frequent_words_first_and_ties_in_alphabetical_order():
    texts = ["red circle", "red square", "a red star"]
    assert Vocabulary.from_texts(texts, limit=99).words == ("red", "a", "circle", "square", "star")
    assert Vocabulary.from_texts(texts, limit=2).words == ("red", "a")
    assert Vocabulary.from_texts(reversed(texts), limit=2).words == ("red", "a")


def test_from_texts_leaves_out_long_words_and_rare_words_of_a_huge_vocabulary():
    assert Vocabulary.from_texts(["x" * 61, "y" * 60], limit=9).words == ("y" * 60,)
    many = Vocabulary.from_texts((f"w{i}" for i in range(40_000)), limit=MAX_WORDS)
    assert MAX_BYTES - 20 < sum(len(word) + 2 for word in many.words) <= MAX_BYTES


@given(st.lists(st.text(max_size=30), max_size=8))
def test_text_keeps_the_vocabulary_of_any_captions(texts):
    made = Vocabulary.from_texts(texts, limit=50)
    saved = OmegaConf.to_yaml(OmegaConf.create({"vocabulary": made.text}))
    read = parse(OmegaConf.create(saved).vocabulary)
    assert read.words == made.words
    for text in texts:
        tokens = made.encode(text, 12)
        assert read.encode(text, 12) == tokens
        if UNKNOWN not in tokens:
            assert read.encode(made.decode(tokens), 12) == tokens


def test_decode_leaves_out_padding_and_shows_unknown_words():
    assert SMALL.decode([2, 1, 4, 0, 0, 99]) == "a ? circle"


def test_unknown_names_each_word_once_and_in_order():
    assert SMALL.unknown("A cirle and a red cirle") == ["cirle", "and"]
    assert SMALL.unknown("a red circle") == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["a", "a"], "'a' occurs twice"), ([""], "'' is no word"), (["a b"], "'a b' is no word"),
        ([3], "'3' is no word"), (["x"] * (MAX_WORDS + 1), "1,000,000 at most"),
    ],
)  # fmt: skip
def test_vocabulary_refuses_what_are_no_words(words, message):
    with pytest.raises(ValueError, match=message):
        Vocabulary(words)


@pytest.mark.parametrize("text", [3, None, ["a"], "a a", " ".join(["x"] * (MAX_WORDS + 1))])
def test_parse_refuses_hostile_values(text):
    with pytest.raises(ValueError, match="vocabulary"):
        parse(text)


class FakeTokenizer:
    """Numbers the letters a, b and c from 5, between a start 3 and an end 4; 9 is unknown."""

    unk_token_id = 9

    def __len__(self):
        return 10

    def __call__(self, text, *, truncation=False, max_length=None, add_special_tokens=True):
        found = [5 + "abc".index(letter) if letter in "abc" else 9 for letter in text]
        if add_special_tokens:
            found = [3, *found[: max_length - 2], 4]
        return {"input_ids": found}

    def decode(self, numbers, *, skip_special_tokens):
        return "".join("abc"[number - 5] for number in numbers if 5 <= number < 8)


@pytest.fixture
def transformers(monkeypatch):
    given = {}

    def from_pretrained(name, **options):
        given.update(options, name=name)
        if name == "nowhere":
            raise OSError("nowhere is no model\nmore lines")
        return FakeTokenizer()

    fake = SimpleNamespace(AutoTokenizer=SimpleNamespace(from_pretrained=from_pretrained))
    monkeypatch.setitem(sys.modules, "transformers", fake)
    return given


def test_hub_tokens_leave_token_0_to_padding(transformers):
    found = Vocabulary.parse("hf:owner/name")
    assert transformers == {"name": "owner/name", "trust_remote_code": False}
    assert (found.text, found.num_tokens) == ("hf:owner/name", 11)
    assert found.encode("ab", 6) == [4, 6, 7, 5, 0, 0]
    assert found.encode("abcabc", 4) == [4, 6, 7, 5]
    assert found.decode(found.encode("ab", 6)) == "ab"
    assert found.unknown("ab ax ax") == ["ax"]


def test_hub_tokens_that_cannot_be_read_are_refused_in_one_line(transformers, monkeypatch):
    with pytest.raises(
        UserError, match=r"^data\.vocabulary=hf:nowhere: .* \(nowhere is no model\)"
    ):
        parse("hf:nowhere")
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(UserError, match=r"needs transformers: pip install 'limner\[text\]'"):
        parse("hf:owner/name")
