"""Texts that a user chooses for images, as tokens of a model's vocabulary."""

__all__ = ["chosen_texts", "known_texts", "text_list", "unknown_words"]

import difflib
import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from limner.data.vocabulary import Tokenizer, Vocabulary, parse
from limner.errors import UserError
from limner.files.printable import printable

log = logging.getLogger(__name__)

MOST_NAMED = 5
"""Largest number of unknown words that a warning names."""
MOST_CHARACTERS = 60
"""Largest number of characters of a text or a word that a message shows."""


def chosen_texts(
    text: str | Sequence[str], num_images: int, facts: Mapping[str, Any]
) -> list[list[int]]:
    """Return the tokens of the text of each image, (num_images, L).

    A warning names words that the vocabulary lacks, and texts that are cut.

    Args:
        text: Text of all images, or of each image.
        num_images: Number of images.
        facts: `data` of the model's config, with its vocabulary and the length L of a text.

    Raises:
        UserError: If there are not as many texts as images, a text has no words, or the model has
            no vocabulary.
    """
    texts = text_list(text)
    if not isinstance(text, str) and len(texts) != num_images:
        raise UserError(
            f"text must be one text, or a text for each of {num_images} images, not {len(texts)} "
            "texts."
        )
    tokenizer, length = _tokenizer(facts), facts["text_length"]
    tokens = {each: tokenizer.encode(each, length + 1) for each in dict.fromkeys(texts)}
    for each, found in tokens.items():
        if not any(found):
            raise UserError(f"text={_shortened(each)!r}: a text needs a word or more.")
    if words := unknown_words(texts, tokenizer):
        log.warning("%s", words)
    cut = [each for each, found in tokens.items() if found[-1]]
    if cut:
        log.warning(
            "The model reads %d words of a text and no more: it reads '%s'",
            length,
            _shortened(tokenizer.decode(tokens[cut[0]][:length])),
        )
    rows = [tokens[each][:length] for each in texts]
    return rows * num_images if isinstance(text, str) else rows


def known_texts(captions: Tensor, facts: Mapping[str, Any], num_texts: int) -> list[str]:
    """Return different captions of a model's training images, at equal distances.

    Args:
        captions: Tokens int64 (K, L) of the model's captions.
        facts: `data` of the model's config, with its vocabulary.
        num_texts: Largest number of texts.
    """
    tokenizer = _tokenizer(facts)
    rows = [tuple(row) for row in captions.tolist() if any(row)]
    different = list(dict.fromkeys(rows))
    places = torch.linspace(0, max(len(different) - 1, 0), min(num_texts, len(different)))
    return [tokenizer.decode(different[int(place)]) for place in places]


def text_list(text: str | Sequence[str]) -> list[str]:
    """Return a text, or several texts, as a list; raise `UserError` for anything else."""
    if not isinstance(text, Iterable):
        raise UserError(f"text: {_shortened(repr(text))} is no text; write it in quotes.")
    texts = [text] if isinstance(text, str) else list(text)
    for each in texts:
        if not isinstance(each, str):
            raise UserError(f"text: {_shortened(repr(each))} is no text; write it in quotes.")
    return texts


def unknown_words(texts: Sequence[str], tokenizer: Tokenizer) -> str:
    """Return a message about the words that a vocabulary lacks; "" if it has all words."""
    unknown = list(dict.fromkeys(word for each in texts for word in tokenizer.unknown(each)))
    if not unknown:
        return ""
    known = tokenizer.words if isinstance(tokenizer, Vocabulary) else ()
    named = [_shortened(word) + _nearest(word, known) for word in unknown[:MOST_NAMED]]
    more = f", and {len(unknown) - MOST_NAMED} more" if len(unknown) > MOST_NAMED else ""
    what = "this word" if len(unknown) == 1 else "these words"
    return f"The model does not know {what}: {', '.join(named)}{more}."


def _nearest(word: str, known: Sequence[str]) -> str:
    """Return the known word that is nearest to a word, in brackets."""
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.7)
    return f" (nearest: {printable(close[0])})" if close else ""


def _shortened(text: str) -> str:
    """Return a text of any length for a message."""
    return printable(text[:MOST_CHARACTERS]) + ("..." if len(text) > MOST_CHARACTERS else "")


def _tokenizer(facts: Mapping[str, Any]) -> Tokenizer:
    if facts.get("vocabulary") is None:
        raise UserError("The config of this model has no data.vocabulary, so it reads no texts.")
    return parse(facts["vocabulary"])
