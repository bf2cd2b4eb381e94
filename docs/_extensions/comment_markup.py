"""Comments of config files as Markdown."""

import re

ALTERNATIVE = r"(?<![\w|(])(?<!\ba )[\w-]+(?=(?: \([^)]*\))? \|)|(?<= \| )\w[\w-]*(?![\w)-])"
"""A value in a list of alternatives: `none | concat`."""
SETTING = r"(?:[a-z]\w*[./])*[a-z]\w*=(?:\[[^\]]*\]|[^\s'\[;:)]*[^\s'\[.,;:)])"
COMMAND = rf"(?:python train\.py|limner (?:evaluate|search))(?: '?{SETTING}'?)+"
WORD = (
    rf"{COMMAND}|(?<![\w-])--[a-z][\w-]*|(?<![\w./]){SETTING}"
    r"|(?<![\w./])[a-z]\w+(?:\.[A-Za-z]\w+)+"
)
"""A command, a word of the command line, a dotted key or a file."""


def prose(text: str) -> str:
    """Return a comment as Markdown: addresses are links, words to type are code, all else text."""
    text = re.sub(r"(https?://\S+[^\s.,;:)]) (?=[A-Z])", r"\1. ", " ".join(text.split()))
    parts = re.split(rf"(`[^`]*`|https?://[^\s,;)]+|{WORD}|{ALTERNATIVE})", text)
    alternatives = set(re.findall(ALTERNATIVE, text))
    return "".join(_part(part, alternatives) for part in parts)


def code(text: str) -> str:
    """Return a text as code in a cell of a table."""
    return f"`{text}`".replace("|", "\\|") if text else ""


def cell(text: str) -> str:
    """Return a comment as Markdown in a cell of a table."""
    return prose(text).replace("|", "\\|")


def _part(part: str, alternatives: set[str]) -> str:
    if part.startswith("`"):
        return part
    if part.startswith("http"):
        address = part.rstrip(".:")
        return f"<{address}>{part[len(address) :]}"
    if re.fullmatch(WORD, part) or part in alternatives:
        return f"`{part}`"
    return re.sub(r"([\\*_<>\[\]$~#])", r"\\\1", part)
