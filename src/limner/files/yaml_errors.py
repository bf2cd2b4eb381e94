"""One-line messages for mistakes in YAML files, with the number of the line."""

__all__ = ["yaml_mistake"]

import re

import yaml

TAB = "a tab is used for indentation; indent with spaces"


def yaml_mistake(error: Exception, text: str) -> tuple[int | None, str]:
    """Return the number of the wrong line and a description of the mistake.

    Args:
        error: Exception of PyYAML.
        text: Text of the file.

    Returns:
        The number of the line, counted from 1, or None if the exception has no line; and the
        description, a sentence without a full stop.
    """
    if isinstance(error, yaml.reader.ReaderError):
        line = text[: error.position].count("\n") + 1
        return line, f"the character {chr(error.character)!r} is not allowed"
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return None, " ".join(str(error).split()) or type(error).__name__
    line = error.problem_mark.line + 1
    problem = " ".join((error.problem or "it cannot be read").split())
    first = None if error.context_mark is None else error.context_mark.line + 1
    if twice := re.fullmatch(r"found duplicate key (.*)", problem):
        return line, f"the key {twice[1]} is given twice; keep one of the two"
    if r"'\t'" in problem or _indented_by_tab(text, line):
        return line, TAB
    if "could not determine a constructor for the tag" in problem:
        return line, "a tag (`!...`) is not read; write the plain value"
    if "mapping values are not allowed" in problem:
        return line, "a second `: ` or a wrong indent; put each `key: value` on a line of its own"
    if "expected <block end>" in problem or "could not find expected ':'" in problem:
        return line, "does not fit the lines above; indent keys alike, and write `key: value`"
    if "another document" in problem:
        return line, "a second document begins here; remove the line `---`"
    if "end of stream" in problem or "<stream end>" in problem:
        return first or line, "a quote or a bracket that begins here is never closed"
    return line, problem


def _indented_by_tab(text: str, line: int) -> bool:
    lines = text.splitlines()
    return line <= len(lines) and re.match(r" *\t", lines[line - 1]) is not None
