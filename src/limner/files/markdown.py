"""Escaping of texts from files in Markdown, so that no part of a text acts as markup."""

__all__ = ["code", "fenced", "plain"]

import re
import string

from limner.files.printable import printable

PUNCTUATION = re.compile(f"([{re.escape(string.punctuation)}])")
WORDS = re.compile(r"[^\W_]+([ _-]?[^\W_]+)*")
"""Words in which no character is markup: an underscore inside a word is none."""
NAME = re.compile(r"[\w ./:@=,+-]+")


def plain(text: object) -> str:
    """Return a text in one line with escaped punctuation, for Markdown and its tables."""
    words = printable(text)
    return words if WORDS.fullmatch(words) else PUNCTUATION.sub(r"\\\1", words)


def code(text: object) -> str:
    """Return a name in a code span; if its characters could end the span, return `plain(text)`."""
    words = printable(text)
    return f"`{words}`" if NAME.fullmatch(words) else plain(words)


def fenced(text: str, language: str) -> str:
    """Return lines as a code block, with a fence that the lines cannot close."""
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"
