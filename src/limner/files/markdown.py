"""Texts from files as Markdown that shows them as they are: nothing of them is markup."""

__all__ = ["code", "fenced", "plain"]

import re
import string

from limner.files.printable import printable

PUNCTUATION = re.compile(f"([{re.escape(string.punctuation)}])")
WORDS = re.compile(r"[^\W_]+([ -]?[^\W_]+)*")
NAME = re.compile(r"[\w ./:@=,+-]+")


def plain(text: object) -> str:
    """Return a text that Markdown and its tables show as it is, in one line."""
    words = printable(text)
    return words if WORDS.fullmatch(words) else PUNCTUATION.sub(r"\\\1", words)


def code(text: object) -> str:
    """Return a name in a code span where that cannot be broken out of, else as `plain` does."""
    words = printable(text)
    return f"`{words}`" if NAME.fullmatch(words) else plain(words)


def fenced(text: str, language: str) -> str:
    """Return lines as a block of code, by a fence that the lines cannot close."""
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"
