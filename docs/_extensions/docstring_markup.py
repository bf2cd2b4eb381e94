"""Turn limner's docstrings into reStructuredText before napoleon reads them.

The docstrings are plain text: a word in single backticks is code, an indented line is a formula,
and `*`, `|` and `_` mean themselves.
"""

import re

from sphinx.application import Sphinx

SECTIONS = ("Args:", "Returns:", "Raises:", "Yields:", "Note:", "Example:", "Attributes:")


def setup(app: Sphinx) -> dict[str, object]:
    app.connect("autodoc-process-docstring", convert, priority=100)
    return {"parallel_read_safe": True}


def convert(
    app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]
) -> None:
    """Rewrite the lines of a docstring in place."""
    if not (getattr(obj, "__module__", None) or name).startswith("limner"):
        lines[:] = []  # an inherited docstring of another library, in its own markup
        return
    if lines and lines[0].startswith("Alias for field number"):  # a NamedTuple's own words
        lines[:] = []
        return
    lines[:] = _formulas(_escaped("\n".join(lines)).split("\n"))


def _escaped(text: str) -> str:
    """Escape what is no code; code may go on in the next line of its paragraph."""
    parts = re.split(r"(``[^`]+``|`(?:[^`\n]|\n(?!\s*\n))+`)", text)
    escaped = [re.sub(r"([\\*|_])", r"\\\1", part) for part in parts]
    for at in range(1, len(parts), 2):  # the code
        follows = r"\ " if parts[at + 1][:1].isalnum() else ""  # a letter may not follow code
        escaped[at] = f"``{parts[at].strip('`')}``{follows}"
    return "".join(escaped)


def _formulas(lines: list[str]) -> list[str]:
    """Keep the line breaks of indented lines outside of sections, by line blocks."""
    converted: list[str] = []
    in_section = False
    was_formula = False
    for line in lines:
        text = line.strip()
        if line == text and text in SECTIONS:
            in_section = True
        is_formula = not in_section and bool(text) and line != line.lstrip()
        if is_formula != was_formula and converted and converted[-1].strip():
            converted.append("")
        converted.append(f"    | {text}" if is_formula else line)
        was_formula = is_formula
    return converted
