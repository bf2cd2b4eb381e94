"""Words of captions and their token numbers: 0 is padding, 1 an unknown word, words begin at 2.

A caption is split into its words: letters and digits in lower case, without punctuation. Scripts
that put no spaces between words, such as Chinese, have one word per character. So two captions
that differ only in case, spaces or punctuation have the same tokens.
"""

__all__ = [
    "MAX_TOKENS",
    "MAX_WORDS",
    "PADDING",
    "UNKNOWN",
    "Tokenizer",
    "Vocabulary",
    "parse",
    "sizes_of_texts",
    "split_words",
]

import collections
import json
import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Protocol

from limner.data.hub_tokens import SCHEME, HubTokens
from limner.files.printable import counted

PADDING, UNKNOWN = 0, 1
NUM_SPECIAL = 2
"""Number of tokens that are no words: padding and the unknown word."""
MAX_WORDS = 1_000_000
"""Largest number of words of a vocabulary."""
MAX_TOKENS = 1024
"""Largest number of tokens of a caption."""
MAX_BYTES = 120_000
"""Largest size in bytes of a vocabulary that is made from captions, so that the config of a run
stays small enough to be read as plain data."""
MAX_LENGTH = 60
"""Largest number of characters of a word that a vocabulary keeps."""
ASCII_WORD = re.compile(r"[a-z0-9]+")
WITHOUT_SPACES = re.compile(r"([\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff])")
"""Characters of scripts without spaces between words; each of them is a word of its own."""


class Tokenizer(Protocol):
    """Numbers the parts of texts; see `Vocabulary` for its methods."""

    text: str
    num_tokens: int

    def encode(self, text: str, length: int) -> list[int]: ...
    def decode(self, tokens: Sequence[int]) -> str: ...
    def unknown(self, text: str) -> list[str]: ...


class Vocabulary:
    """The words that a model knows, each with a token number.

    Args:
        words: The words of tokens 2, 3, ...: different texts without spaces, at most 1,000,000.

    Raises:
        ValueError: If a word is empty, has a space, or occurs twice, or if there are too many.
    """

    def __init__(self, words: Sequence[str]) -> None:
        self.words = tuple(words)
        if len(self.words) > MAX_WORDS:
            raise ValueError(f"{len(self.words):,} words; a vocabulary has {MAX_WORDS:,} at most")
        odd = [word for word in self.words if not isinstance(word, str) or word.split() != [word]]
        if odd:
            raise ValueError(f"{str(odd[0])[:MAX_LENGTH]!r} is no word: it is empty or has spaces")
        self._numbers = {word: number for number, word in enumerate(self.words, NUM_SPECIAL)}
        if len(self._numbers) < len(self.words):
            twice = collections.Counter(self.words).most_common(1)[0][0]
            raise ValueError(f"the word {twice[:MAX_LENGTH]!r} occurs twice in the vocabulary")

    @classmethod
    def from_texts(cls, texts: Iterable[str], *, limit: int) -> "Vocabulary":
        """Return the vocabulary of texts: the most frequent words first, ties in their order.

        Words of more than 60 characters are left out, as are rare words that would make `text`
        larger than 120,000 bytes.

        Args:
            texts: Captions.
            limit: Largest number of words.
        """
        counts = collections.Counter(word for text in texts for word in split_words(text))
        ordered = sorted(counts, key=lambda word: (-counts[word], word))
        kept, num_bytes = [], 0
        for word in (word for word in ordered if len(word) <= MAX_LENGTH):
            num_bytes += len(json.dumps(word))
            if len(kept) == limit or num_bytes > MAX_BYTES:
                break
            kept.append(word)
        return cls(kept)

    @property
    def text(self) -> str:
        """All words, joined by spaces; `parse` reads it."""
        return " ".join(self.words)

    @property
    def num_tokens(self) -> int:
        """Number of different tokens: the words, padding and the unknown word."""
        return len(self.words) + NUM_SPECIAL

    def encode(self, text: str, length: int) -> list[int]:
        """Return `length` tokens of a text: its first words, then padding."""
        found = [self._numbers.get(word, UNKNOWN) for word in split_words(text)[:length]]
        return found + [PADDING] * (length - len(found))

    def decode(self, tokens: Sequence[int]) -> str:
        """Return the words of tokens without padding; an unknown word is "?"."""
        shown = ("?", *self.words)
        return " ".join(shown[int(i) - 1] for i in tokens if 0 < int(i) < self.num_tokens)

    def unknown(self, text: str) -> list[str]:
        """Return the words of a text that the vocabulary lacks, each once and in order."""
        return [word for word in dict.fromkeys(split_words(text)) if word not in self._numbers]

    @staticmethod
    def parse(text: str) -> "Tokenizer":
        """Return the vocabulary of a fact `data.vocabulary`, see `parse`."""
        return parse(text)


def sizes_of_texts(text_length: int, num_tokens: int) -> str:
    """Return a description of texts of at most `text_length` words, for people."""
    most = counted(text_length, "word")
    return f"at most {most}, vocabulary of {num_tokens - NUM_SPECIAL:,}"


def parse(text: str) -> Tokenizer:
    """Return the tokenizer that a fact `data.vocabulary` describes.

    Args:
        text: Words joined by spaces, or `hf:NAME` for the tokens of a pretrained network.

    Raises:
        ValueError: If the text is no vocabulary.
        UserError: If the pretrained tokenizer cannot be read.
    """
    if not isinstance(text, str):
        raise ValueError(f"a vocabulary is text, not {type(text).__name__}")
    if text.startswith(SCHEME):
        return HubTokens(text.removeprefix(SCHEME))
    if text.count(" ") >= MAX_WORDS:
        raise ValueError(f"a vocabulary has {MAX_WORDS:,} words at most")
    return Vocabulary(text.split())


def split_words(text: str) -> list[str]:
    """Return the words of a text in lower case, without punctuation."""
    if text.isascii():
        return ASCII_WORD.findall(text.lower())
    plain = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).lower())
    letters = "".join(character if _in_word(character) else " " for character in plain)
    return WITHOUT_SPACES.sub(r" \1 ", letters).split()


def _in_word(character: str) -> bool:
    return character.isalnum() or unicodedata.category(character)[0] == "M"
