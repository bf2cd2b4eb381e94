"""Text from a file, made safe to print: no character of it can steer a terminal or fake a line."""

__all__ = ["plot_label", "printable"]

import unicodedata

UNSAFE = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Unicode categories: controls, invisible formatting (also right-to-left overrides), lone
surrogates, and line and paragraph separators."""


def printable(text: object, *, keep_newlines: bool = False) -> str:
    r"""Replace every character that a terminal would act on by its escape, such as `\x1b`.

    Use it for whatever comes from a file or a folder before it reaches a terminal, a table, a page
    or a log: file names, class names, values of a config, names of runs and scores.

    Args:
        text: Any object; its `str()` is taken.
        keep_newlines: Whether line feeds stay, for a message of several lines.
    """
    return "".join(
        character
        if unicodedata.category(character) not in UNSAFE or (keep_newlines and character == "\n")
        else _escape(ord(character))
        for character in str(text)
    )


def plot_label(text: object) -> str:
    """Return a text that matplotlib draws as it is: printable, and no formula between dollars."""
    return printable(text).replace("$", r"\$")


def _escape(code: int) -> str:
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
