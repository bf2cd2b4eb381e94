"""Comments for `--cfg job`: each key of the composed config gets its comment from conf/.

Hydra prints the config as plain YAML. This module only adds comments to that text, so that it
still loads as the same config.
"""

__all__ = ["Entry", "commented", "describe_file", "with_comments"]

import contextlib
import dataclasses
import io
import itertools
import re
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import yaml
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.utils import create_config_search_path, get_args_parser
from hydra.types import RunMode

from limner.config.schema import CONFIG_DIR

WIDTH, COLUMN = 80, 26
Comments = Mapping[str, str]
"""Mapping of dotted keys to comments without the number sign."""


@dataclasses.dataclass(frozen=True)
class Entry:
    """One key of a config file.

    Args:
        key: Dotted key; for an entry of the defaults list, the group.
        value: Value as the file writes it, or None if keys below this key hold the values.
        comment: Comment behind the value, or None.
        is_choice: Whether the entry stands in the defaults list.
    """

    key: str
    value: str | None
    comment: str | None
    is_choice: bool


@contextlib.contextmanager
def commented(words: Sequence[str]) -> Iterator[None]:
    """Add comments to the text printed in the block, if the command has `--cfg job`.

    Args:
        words: Words of the command line without the program.
    """
    args, _ = get_args_parser().parse_known_args(list(words))
    if args.cfg != "job":
        yield
        return
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed):
            yield
    except BaseException:
        sys.stdout.write(printed.getvalue())
        raise
    found = _comments(args.overrides, args.config_dir, args.config_name or "train")
    package = "" if args.package in (None, "_global_") else args.package
    sys.stdout.write(with_comments(printed.getvalue(), found, package=package))


def with_comments(text: str, comments: Comments, *, package: str = "") -> str:
    """Return YAML with comments behind its keys, or above a key whose line has no room.

    Args:
        text: Mapping as YAML; other YAML is returned unchanged.
        comments: Mapping of dotted keys to comments.
        package: Dotted key of the mapping; empty for the whole config.
    """
    lines, above = text.splitlines(), {}
    for key, name, value in _keys(yaml.compose(text), package):
        comment = comments.get(key)
        if comment is None:
            continue
        row, indent = name.start_mark.line, " " * name.start_mark.column
        ends_here = not _is_scalar(value) or value.end_mark.line == row
        behind = f"{lines[row]:{COLUMN - 1}} # {comment}"
        if ends_here and "\n" not in comment and len(behind) <= WIDTH:
            lines[row] = behind
        else:
            width = WIDTH - len(indent) - 2
            wrapped = textwrap.wrap(comment, width, break_on_hyphens=False, break_long_words=False)
            above[row] = [f"{indent}# {part}" for part in wrapped]
    commented = [each for row, line in enumerate(lines) for each in (*above.get(row, ()), line)]
    return "".join(f"{line}\n" for line in commented)


def describe_file(text: str) -> tuple[str, list[Entry]]:
    """Return the comment at the top of a config file, and its keys in order.

    Args:
        text: The file.
    """
    tree, lines, entries = yaml.compose(text), text.splitlines(), []
    for key, name, value in _keys(tree, ""):
        if key == "defaults":
            for group, option in _choices(value):
                written = text[option.start_mark.index : option.end_mark.index]
                entries.append(Entry(group.value, written, _behind(lines, option), True))
            continue
        is_leaf = _is_scalar(value) or value.flow_style
        comment = _behind(lines, value if is_leaf else name)
        written = text[value.start_mark.index : value.end_mark.index] if is_leaf else None
        entries.append(Entry(key, written, comment, False))
    return _head(text) or "", entries


def _comments(overrides: Sequence[str], folder: str | None, config_name: str) -> Comments:
    """Return the comments of all files of a composed config; later files override earlier ones."""
    search_path = create_config_search_path(str(CONFIG_DIR))
    if folder is not None:
        search_path.append("command-line", f"file://{Path(folder).absolute()}")
    loader = ConfigLoaderImpl(search_path)
    parts = loader.compute_defaults_list(config_name, list(overrides), RunMode.RUN).defaults
    folders = [Path(s.path) for s in loader.repository.get_sources() if s.scheme() == "file"]
    heads: dict[str, str] = {}
    choices: dict[str, str] = {}
    found: dict[str, str] = {}
    for part in parts:
        paths = [at / f"{part.config_path}.yaml" for at in folders]
        file = next((path for path in paths if path.is_file()), None)
        if file is None:
            continue
        text, package = file.read_text(encoding="utf-8-sig"), part.package or ""
        if package and (head := _head(text)):
            heads[package] = head
        tree = yaml.compose(text)
        lines = text.splitlines()
        named = _of_defaults(tree, lines, package)
        choices = {**named, **choices} if part.primary else {**choices, **named}
        for key, name, value in _keys(tree, package):
            last = name if not _is_scalar(value) and not value.flow_style else value
            if (comment := _behind(lines, last)) and key.rpartition(".")[2] != "defaults":
                found[key] = comment
    return {**heads, **choices, **found}


def _of_defaults(tree: yaml.Node | None, lines: Sequence[str], package: str) -> Comments:
    """Return the comments of a defaults list, keyed by the packages of the groups chosen there."""
    found = {}
    entries = [value for key, _, value in _keys(tree, "") if key == "defaults"]
    for name, value in _choices(entries[0]) if entries else ():
        comment = _behind(lines, value)
        group, _, target = name.value.removeprefix("override ").partition("@")
        own = target if target else f"{package}.{group}"
        if group.startswith("/") and not target:
            own = group.removeprefix("/")
        own = own.replace("_here_", package).removeprefix("_global_").replace("/", ".")
        if comment:
            found[own.strip(".")] = comment
    return found


def _choices(defaults: yaml.Node) -> Iterator[tuple[yaml.Node, yaml.Node]]:
    """Yield group and option of each entry of a defaults list that names both."""
    for entry in defaults.value:
        yield from entry.value if isinstance(entry, yaml.MappingNode) else ()


def _head(text: str) -> str | None:
    """Return the comment at the top of a file, or None."""
    rows = [line for line in text.splitlines() if not line.startswith("# @package")]
    head = []
    for line in rows:
        if not line.startswith("#"):
            break
        head.append(line.lstrip("# ").rstrip())
    return " ".join(head) or None


def _behind(lines: Sequence[str], node: yaml.Node) -> str | None:
    """Return the comment behind a node with its continuation lines, or None.

    A continuation line is a comment that is indented more than the key and than the next key.
    """
    mark = node.end_mark
    if mark.line >= len(lines):
        return None
    match = re.match(r"(:?\s*)#\s*(.*)", lines[mark.line][mark.column :])
    if match is None:
        return None
    comment, rows = [match[2].strip()], []
    for line in lines[mark.line + 1 :]:
        if not line.lstrip().startswith("#"):
            break
        rows.append(line)
    below = lines[mark.line + 1 + len(rows) :][:1]  # its indent is that of the comments above it
    indent = max(_indent(line) for line in (lines[mark.line], *below))
    for row in itertools.takewhile(lambda row: _indent(row) > indent, rows):
        comment.append(row.strip("# "))
    return " ".join(comment)


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _keys(tree: yaml.Node | None, package: str) -> Iterator[tuple[str, yaml.Node, yaml.Node]]:
    """Yield (dotted key, node of the key, node of its value) for all keys below a node."""
    if not isinstance(tree, yaml.MappingNode):
        return
    for name, value in tree.value:
        key = f"{package}.{name.value}" if package else str(name.value)
        yield key, name, value
        if not tree.flow_style:
            yield from _keys(value, key)


def _is_scalar(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode)
