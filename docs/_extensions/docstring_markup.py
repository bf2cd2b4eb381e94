"""Turn limner's docstrings into reStructuredText before napoleon reads them.

The docstrings are plain text: a word in single backticks is code, indented lines are a
formula or an example, and `*`, `|` and `_` mean themselves.
"""

import ast
import re
import textwrap

from sphinx.application import Sphinx

SECTIONS = ("Args:", "Returns:", "Raises:", "Yields:", "Note:", "Example:", "Attributes:")
CONTINUED = "\0"
"""Mark of a line that continues the line before it."""


def setup(app: Sphinx) -> dict[str, object]:
    app.connect("autodoc-process-docstring", convert, priority=100)
    app.connect("autodoc-skip-member", _skip)
    app.connect("autodoc-process-signature", _sign)
    return {"parallel_read_safe": True}


def convert(
    app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]
) -> None:
    """Rewrite the lines of a docstring in place."""
    is_value = what in ("attribute", "data", "property")
    module = name if is_value else getattr(obj, "__module__", None) or name
    if not module.startswith("limner"):
        lines[:] = []  # an inherited docstring of another library, in its own markup
        return
    lines[:] = _converted(lines)
    if is_value and lines:
        lines.insert(0, ":")  # otherwise napoleon reads the text before a colon as the type


def _skip(
    app: Sphinx, what: str, name: str, obj: object, skip: bool, options: object
) -> bool | None:
    """Leave out the fields of a NamedTuple, since its signature shows the fields; keep methods."""
    if name == "__call__":
        return not str(getattr(obj, "__module__", "")).startswith("limner")
    is_field = str(getattr(obj, "__doc__", "")).startswith("Alias for field number")
    return True if is_field else None


def _sign(
    app: Sphinx, what: str, name: str, obj: object, options: object, signature: str, result: str
) -> tuple[str, None] | None:
    """Show no arguments for a protocol, which has no constructor."""
    return ("", None) if what == "class" and getattr(obj, "_is_protocol", False) else None


def _converted(lines: list[str]) -> list[str]:
    """Return reStructuredText: indented paragraphs outside of sections are code or formulas.

    A paragraph whose lines are all aligned by spaces is a formula too. Indented lines after a line
    of text belong to that text, and end a paragraph.
    """
    converted: list[str] = []
    paragraphs, rest = _split("\n".join(lines))
    for paragraph in paragraphs:
        rows = paragraph.split("\n")
        is_block = all(row.startswith("    ") or not row for row in rows)
        if is_block or all(re.search(r"[^\s.] {3,}\S", row) for row in rows):
            converted += _literal(paragraph)
            continue
        for row in _escaped(paragraph).split("\n"):
            hangs = row.startswith("    ")
            if not hangs and converted and converted[-1].startswith(CONTINUED):
                converted.append("")
            converted.append(f"{CONTINUED}{row.strip()}" if hangs else row)
        converted.append("")
    text = [line.removeprefix(CONTINUED) for line in converted]
    return [*text, *_escaped(rest).split("\n")] if rest else text


def _split(text: str) -> tuple[list[str], str]:
    """Return the paragraphs before the first section, and the sections."""
    section = re.search(rf"^({'|'.join(SECTIONS)})$", text, re.M)
    at = section.start() if section else len(text)
    paragraphs = re.split(r"\n\s*\n", text[:at].strip("\n"))
    joined: list[str] = []
    for paragraph in filter(str.strip, paragraphs):
        if joined and paragraph.startswith("    ") and joined[-1].startswith("    "):
            joined[-1] += f"\n\n{paragraph}"  # code with an empty line in it
        else:
            joined.append(paragraph)
    return joined, text[at:]


def _literal(block: str) -> list[str]:
    """Return a code block; it is Python if it parses as Python with a call."""
    code = textwrap.dedent(block).strip()
    try:
        is_python = any(isinstance(node, ast.Call) for node in ast.walk(ast.parse(code)))
    except SyntaxError:
        is_python = False
    lines = [f"    {line}".rstrip() for line in code.split("\n")]
    return ["", f".. code-block:: {'python' if is_python else 'text'}", "", *lines, ""]


def _escaped(text: str) -> str:
    """Escape text outside of code; code may continue in the next line of its paragraph."""
    parts = re.split(r"(``[^`]+``|`(?:[^`\n]|\n(?!\s*\n))+`)", text)
    escaped = [re.sub(r"([\\*|_])", r"\\\1", part) for part in parts]
    for at in range(1, len(parts), 2):  # the text of the code
        follows = (
            r"\ " if parts[at + 1][:1].isalnum() else ""
        )  # reStructuredText allows no letter directly after code
        code = parts[at].strip("`")
        is_name = re.fullmatch(r"limner(\.\w+)+", code)  # may be an object with a page
        escaped[at] = (f":py:obj:`{code}`" if is_name else f"``{code}``") + follows
    return "".join(escaped)
