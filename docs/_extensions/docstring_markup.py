"""Turn limner's docstrings into reStructuredText before napoleon reads them.

The docstrings are plain text: a word in single backticks is code, indented lines are a
formula or an example, and `*`, `|` and `_` mean themselves.
"""

import ast
import re
import textwrap

from sphinx.application import Sphinx

SECTIONS = ("Args:", "Returns:", "Raises:", "Yields:", "Note:", "Example:", "Attributes:")


def setup(app: Sphinx) -> dict[str, object]:
    app.connect("autodoc-process-docstring", convert, priority=100)
    app.connect("autodoc-skip-member", _skip)
    app.connect("autodoc-process-signature", _sign)
    return {"parallel_read_safe": True}


def convert(
    app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]
) -> None:
    """Rewrite the lines of a docstring in place."""
    if not (getattr(obj, "__module__", None) or name).startswith("limner"):
        lines[:] = []  # an inherited docstring of another library, in its own markup
        return
    lines[:] = _converted(lines)


def _skip(
    app: Sphinx, what: str, name: str, obj: object, skip: bool, options: object
) -> bool | None:
    """Leave out fields of a NamedTuple, which its signature shows; keep what makes calls."""
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
    """Return reStructuredText: indented lines outside of sections are code or formulas."""
    converted: list[str] = []
    block: list[str] = []
    text: list[str] = []
    in_section = False
    for line in [*lines, "end"]:
        stripped = line.strip()
        in_section |= line == stripped and stripped in SECTIONS
        if (not in_section and line.startswith("    ")) or (block and not stripped):
            if text:
                converted += _escaped("\n".join(text)).split("\n")
                text = []
            block.append(line)
            continue
        if block:
            converted += _literal(block)
            block = []
        text.append(line)
    return [*converted, *_escaped("\n".join(text[:-1])).split("\n")]


def _literal(block: list[str]) -> list[str]:
    """Return a code block; it is Python if it parses as Python with a call."""
    code = textwrap.dedent("\n".join(block)).strip()
    try:
        is_python = any(isinstance(node, ast.Call) for node in ast.walk(ast.parse(code)))
    except SyntaxError:
        is_python = False
    lines = [f"    {line}".rstrip() for line in code.split("\n")]
    return ["", f".. code-block:: {'python' if is_python else 'text'}", "", *lines, ""]


def _escaped(text: str) -> str:
    """Escape what is no code; code may go on in the next line of its paragraph."""
    parts = re.split(r"(``[^`]+``|`(?:[^`\n]|\n(?!\s*\n))+`)", text)
    escaped = [re.sub(r"([\\*|_])", r"\\\1", part) for part in parts]
    for at in range(1, len(parts), 2):  # the code
        follows = r"\ " if parts[at + 1][:1].isalnum() else ""  # a letter may not follow code
        escaped[at] = f"``{parts[at].strip('`')}``{follows}"
    return "".join(escaped)
