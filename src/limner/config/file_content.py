"""Mistakes in the content of a config file that YAML allows and Hydra misreads.

Each check returns the line and a description of the mistake, or None.
"""

__all__ = ["check_defaults", "check_mapping", "check_top_level"]

import dataclasses
import re
from typing import Any

import yaml

from limner.config.schema import CONFIG_DIR, RunConfig
from limner.config.similar import similar

Mistake = tuple[int, str]
FIELDS = {field.name: field for field in dataclasses.fields(RunConfig)}
MAPPINGS = {name for name, field in FIELDS.items() if field.default is None and field.type is Any}
"""Top-level keys with keys below them."""
FORM = "write `- override /GROUP: OPTION`"


def check_mapping(node: yaml.Node) -> Mistake | None:
    """Return the mistake of a file that is a list or a text, or None for a mapping."""
    if isinstance(node, yaml.MappingNode):
        return None
    if isinstance(node, yaml.SequenceNode):
        return _line(node), "a config file is `key: value` lines, not a list"
    text = str(node.value).split("\n", 1)[0][:40]
    key, _, value = text.partition("=")
    wanted = f"{key}: {value}" if value else "key: value"
    return _line(node), f"`{text}` is no `key: value`; write `{wanted}`"


def check_top_level(node: yaml.MappingNode) -> Mistake | None:
    """Return the first mistake among the keys of a `# @package _global_` file."""
    for key, value in node.value:
        name = str(key.value)
        if name not in {*FIELDS, "defaults", "hydra"}:
            return _line(key), _unknown(name, value)
        if name not in MAPPINGS or not isinstance(value, yaml.ScalarNode):
            if name in MAPPINGS and isinstance(value, yaml.SequenceNode):
                return _line(key), f"{name} holds keys, not a list; {_below(name)}"
            continue
        if value.value == "" and value.style is None:
            return _line(key), (
                f"{name} has no keys below it, so the group would be empty; write a key below "
                "it, indented, or remove the line"
            )
        if value.value not in ("null", "~"):
            return _line(key), f"{name}: {value.value} is no choice here; {_choice(name, value)}"
    return None


def check_defaults(node: yaml.MappingNode, *, name: str, is_experiment: bool) -> Mistake | None:
    """Return the first mistake in the defaults list.

    Args:
        node: The whole file.
        name: Hydra's name of the file, such as experiment/mine.
        is_experiment: Whether the file is an experiment.
    """
    found = next((value for key, value in node.value if key.value == "defaults"), None)
    if found is None:
        return None
    if not isinstance(found, yaml.SequenceNode):
        return _line(found), f"defaults is a list; {FORM} below `defaults:`"
    seen: dict[str, int] = {}
    for item in found.value:
        if isinstance(item, yaml.ScalarNode):
            mistake = _check_name(item, name=name, is_experiment=is_experiment)
        elif isinstance(item, yaml.MappingNode) and len(item.value) == 1:
            mistake = _check_choice(*item.value[0], is_experiment=is_experiment)
        else:
            mistake = f"an item of defaults is one choice; {FORM}"
        label = _label(item)
        if mistake is None and label is not None and label in seen:
            mistake = f"{label} is given twice (line {seen[label]}); keep one of the two"
        if mistake is not None:
            return _line(item), mistake
        if label is not None:
            seen[label] = _line(item)
    return None


def _label(item: yaml.Node) -> str | None:
    """Return the name of an item that may be given only once: an override, or `_self_`."""
    if isinstance(item, yaml.MappingNode):
        key = str(item.value[0][0].value)
        return key if key.startswith("override ") else None
    return "_self_" if item.value == "_self_" else None


def _check_name(item: yaml.ScalarNode, *, name: str, is_experiment: bool) -> str | None:
    """Return the mistake in an item of defaults that is one word, or None."""
    text = str(item.value)
    if text.startswith("override"):
        group, _, option = text.removeprefix("override").strip().lstrip("/").partition("=")
        return f"write `- override /{group or 'GROUP'}: {option or 'OPTION'}`"
    if text in (name, f"/{name}", name.rpartition("/")[2]):
        return f"`{text}` is this file itself; remove the line"
    if is_experiment and (chosen := re.fullmatch(r"/?(\w+)=(\w+)", text)):
        return f"write `- override /{chosen[1]}: {chosen[2]}`"
    return None


def _check_choice(key: yaml.Node, value: yaml.Node, *, is_experiment: bool) -> str | None:
    """Return the mistake in an item of defaults that chooses an option of a group, or None."""
    words = str(key.value).split()
    group = words[-1].partition("@")[0] if words else ""
    keywords = words[:-1]
    if not group or not set(keywords) <= {"override", "optional"}:
        return f"`{key.value}` is no choice; {FORM}"
    option = _option(value)
    if option is None:
        return f"`{key.value}` names no option; write `- {key.value}: OPTION`"
    if not is_experiment or "@" in words[-1] or not _is_group(group.lstrip("/")):
        return None
    if "override" not in keywords or not group.startswith("/"):
        return f"write `- override /{group.lstrip('/')}: {option}`"
    return None


def _option(value: yaml.Node) -> str | None:
    """Return the chosen option as text; None if the value is empty."""
    if isinstance(value, yaml.SequenceNode):
        return f"[{', '.join(str(item.value) for item in value.value)}]"
    return None if value.value == "" and value.style is None else str(value.value)


def _unknown(name: str, value: yaml.Node) -> str:
    head, _, rest = name.partition(".")
    if rest and head in FIELDS:
        return f"`{name}` is no key in a file; write `{rest}: ...` below `{head}:`, indented"
    if "=" in name:
        key, _, given = name.partition("=")
        return f"`{name}` is no `key: value`; write `{key}: {given}`"
    if _is_group(name) and isinstance(value, yaml.ScalarNode):
        return f"{name}: {value.value} is no choice here; {_choice(name, value)}"
    return f"there is no key {name}{similar(name, list(FIELDS))}"


def _choice(name: str, value: yaml.ScalarNode) -> str:
    if not _is_group(name) or not re.fullmatch(r"[\w.-]+", value.value):
        return _below(name)
    return f"write `- override /{name}: {value.value}` below `defaults:`"


def _below(name: str) -> str:
    return f"write keys below `{name}:`, indented"


def _is_group(name: str) -> bool:
    return bool(name) and (CONFIG_DIR / name).is_dir()


def _line(node: yaml.Node) -> int:
    return node.start_mark.line + 1
