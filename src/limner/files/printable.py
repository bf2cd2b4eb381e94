"""Text for people: counts, and text from files without characters that control a terminal."""

__all__ = ["counted", "plot_label", "printable"]

import unicodedata

UNSAFE = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Unicode categories of the escaped characters.

The categories are controls, invisible formatting (including right-to-left overrides), lone
surrogates, and line and paragraph separators.
"""


def printable(text: object, *, keep_newlines: bool = False) -> str:
    r"""Return a text in which control characters are replaced by escapes such as `\x1b`.

    Use this function for all text from files and folders before it is written to a terminal, a
    table, a page or a log: file names, class names, values of a config, names of runs and scores.

    Args:
        text: Object whose `str()` is the text.
        keep_newlines: Whether to keep line feeds, for a message of several lines.
    """
    return "".join(
        character
        if unicodedata.category(character) not in UNSAFE or (keep_newlines and character == "\n")
        else _escape(ord(character))
        for character in str(text)
    )


def counted(number: float, noun: str) -> str:
    """Return a number and a noun, in the plural unless the number is 1: "1,200 images", "1 epoch".

    Args:
        number: The number; a fraction is rounded to four digits.
        noun: The noun in the singular, perhaps with other words before it; it takes an s.
    """
    shown = f"{number:,}" if isinstance(number, int) else f"{number:,.4g}"
    return f"{shown} {noun}" + "s" * (number != 1)


def plot_label(text: object) -> str:
    """Return a text for matplotlib, with escaped control characters and dollar signs."""
    return printable(text).replace("$", r"\$")


def _escape(code: int) -> str:
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
