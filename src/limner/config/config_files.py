"""The user's YAML files: experiments, options of groups, and search spaces.

For most mistakes in a file, Hydra and PyYAML raise an exception that names neither the file nor
the correct text. So Hydra reads its files through `CheckedFiles`, which turns a mistake into one
message with the file and the line.
"""

__all__ = [
    "CheckedFiles",
    "ConfigFileError",
    "choice_place",
    "place",
    "read_file",
    "use_checked_files",
]

import re
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import yaml
from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra._internal.sources_registry import SourcesRegistry
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigResult
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf._utils import get_yaml_loader
from omegaconf.errors import OmegaConfBaseException

from limner.config.file_content import check_defaults, check_mapping, check_top_level
from limner.console import shown
from limner.errors import UserError
from limner.files.yaml_errors import yaml_mistake

GLOBAL = "# @package _global_"
BYTE_ORDER_MARKS = (b"\xff\xfe", b"\xfe\xff")
_read: dict[str, Path] = {}
"""Hydra's name of each config that it has read -> its file."""


class ConfigFileError(UserError):
    """Mistake in a config file. The message names the file, the line, and the correct text."""


class ReadFile(NamedTuple):
    """A YAML file: its text, its nodes (None for an empty file), and its config."""

    text: str
    node: yaml.Node | None
    config: DictConfig | ListConfig


class CheckedFiles(FileConfigSource):
    """Hydra's source of config files, extended by a check of each file that it reads."""

    def load_config(self, config_path: str) -> ConfigResult:
        """Read and check a config file; raise ConfigFileError for a mistake in it."""
        path = Path(self.path) / self._normalize_file_name(config_path)
        if not path.exists():
            return super().load_config(config_path)
        name = config_path.removesuffix(".yaml")
        _read[name] = path
        read = read_file(path)
        header = _header(path, read.text)
        is_experiment = name.startswith("experiment/")
        if not read.text.strip():
            _refuse(path, 1, "the file is empty; write `key: value` lines, or choose another file")
        if is_experiment:
            _check_header(path, read.text, header)
        mistake = None
        if read.node is not None:
            mistake = (
                check_mapping(read.node)
                or (check_top_level(read.node) if header["package"] == "_global_" else None)
                or check_defaults(read.node, name=name, is_experiment=is_experiment)
            )
        if mistake is not None:
            _refuse(path, *mistake)
        return ConfigResult(
            config=read.config,
            path=f"{self.scheme()}://{self.path}",
            provider=self.provider,
            header=header,
        )


def use_checked_files() -> None:
    """Make Hydra read all config files through `CheckedFiles`; repeated calls are harmless."""
    Plugins.instance()  # registers Hydra's own source
    SourcesRegistry.instance().types[CheckedFiles.scheme()] = CheckedFiles


def read_file(path: Path) -> ReadFile:
    """Return the text, the nodes and the config of a YAML file.

    Raises:
        ConfigFileError: If the file cannot be read, is not UTF-8, or is not YAML.
    """
    text = _text(path)
    loader = get_yaml_loader()
    try:
        made = loader(text)  # raises for characters that YAML does not allow
        node = made.get_single_node()
        content = None if node is None else made.construct_document(node)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        line, problem = yaml_mistake(error, text)
        raise ConfigFileError(f"{_at(path, line)}: {problem}.") from error
    try:
        config = OmegaConf.create({} if content is None or isinstance(content, str) else content)
    except (OmegaConfBaseException, RecursionError, ValueError) as error:
        line, problem = _wrong_value(node, error)
        raise ConfigFileError(f"{_at(path, line)}: {problem}") from error
    return ReadFile(text, node, config)


def place(name: str, word: str) -> str | None:
    """Return "FILE, line N" of a word in a config; None if Hydra has not read this config.

    Args:
        name: Hydra's name of the config, such as experiment/mine.
        word: Word on the line. If it is empty, or no line has it, only the file is returned.
    """
    if name not in _read:
        return None
    if not word:
        return _at(_read[name], None)
    pattern = rf"(?<![\w-]){re.escape(word)}(?![\w-])"
    lines = _text(_read[name]).splitlines()
    found = [n for n, line in enumerate(lines, 1) if re.search(pattern, line.split(" #")[0])
             and not line.startswith("#")]  # fmt: skip
    return _at(_read[name], found[0] if found else None)


def choice_place(group: str, option: str) -> str | None:
    """Return "FILE, line N" of the override that chooses an option; None if no file does."""
    pattern = rf"\s*-\s+override\s+/{re.escape(group)}(@\S+)?\s*:.*\b{re.escape(option)}\b"
    for path in _read.values():
        for number, line in enumerate(_text(path).splitlines(), 1):
            if re.match(pattern, line):
                return _at(path, number)
    return None


def _text(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigFileError(f"{shown(path)} cannot be read ({error.strerror}).") from error
    if content.startswith(BYTE_ORDER_MARKS):
        raise ConfigFileError(f"{shown(path)}: the text is UTF-16; save the file as UTF-8.")
    try:
        return content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        _refuse(
            path, line, f"byte 0x{content[error.start]:02x} is not UTF-8; save the file as UTF-8",
            cause=error,
        )  # fmt: skip


def _header(path: Path, text: str) -> dict[str, str | None]:
    try:
        return FileConfigSource._get_header_dict(text[:512])
    except ValueError as error:
        _refuse(path, 1, f"the header is not understood; write `{GLOBAL}`", cause=error)


def _check_header(path: Path, text: str, header: dict[str, str | None]) -> None:
    """Raise ConfigFileError if an experiment lacks the header `# @package _global_`."""
    if header["package"] == "_global_":
        return
    for number, line in enumerate(text.splitlines(), 1):
        if not re.match(r"\s*#\s*@?package\b", line):
            continue
        if line.split() == GLOBAL.split():
            _refuse(path, number, f"`{GLOBAL}` must be the first line of the file")
        _refuse(path, number, f"write `{GLOBAL}`, not `{line.strip()}`")
    _refuse(path, 1, f"the first line of an experiment must be `{GLOBAL}`")


def _wrong_value(node: yaml.Node | None, error: Exception) -> tuple[int | None, str]:
    """Return the line of the first value that OmegaConf refuses, and the reason."""
    if isinstance(error, RecursionError):
        return None, "an anchor (`&`) holds itself; write the values out."
    problem = str(error).splitlines()[0]
    for key, value in _entries(node, depth=0):
        try:
            OmegaConf.create({"key": value.value})
        except OmegaConfBaseException:
            return value.start_mark.line + 1, f"{key}={value.value}: `${{...}}` is not complete."
        if key is None or key == "null":
            return value.start_mark.line + 1, "a key has no name; write `key: value`."
    return None, problem


def _entries(node: Any, *, depth: int) -> list[tuple[str | None, yaml.ScalarNode]]:
    """Return the scalars of a mapping and of its inner mappings, each with its key."""
    found: list[tuple[str | None, yaml.ScalarNode]] = []
    if not isinstance(node, yaml.MappingNode) or depth > 40:
        return found
    for key, value in node.value:
        if isinstance(value, yaml.ScalarNode):
            empty = key.tag == "tag:yaml.org,2002:null"
            found.append((None if empty else str(key.value), value))
        found += _entries(value, depth=depth + 1)
    return found


def _at(path: Path, line: int | None) -> str:
    return shown(path) if line is None else f"{shown(path)}, line {line}"


def _refuse(
    path: Path, line: int | None, problem: str, *, cause: Exception | None = None
) -> NoReturn:
    end = "" if problem.endswith("?") else "."
    raise ConfigFileError(f"{_at(path, line)}: {problem}{end}") from cause
