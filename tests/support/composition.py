"""Composition by Hydra in a fraction of its time, for tests that compose the same options.

Hydra takes 0.2 s to merge the files of one config. The files in conf/ do not change while the
tests run, so the merged files are kept for each choice of options, and for each content of the
other folders of config files that a test names. Each test sets its values in a copy of the merged
files. Hydra still parses overrides, applies the values and reports mistakes.
"""

__all__ = ["keep_merged_files", "merge_every_time"]

import dataclasses
import pickle
from collections.abc import Callable
from itertools import chain, islice
from pathlib import Path
from typing import Any

import pytest
from hydra._internal import config_loader_impl
from hydra._internal.config_repository import IConfigRepository
from hydra._internal.defaults_list import DefaultsList, Overrides
from hydra.core.default_element import ResultDefault
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig

from limner.config import config_files
from limner.config.schema import CONFIG_DIR

_read_file = config_files.read_file
_create_defaults_list = config_loader_impl.create_defaults_list
_merge = config_loader_impl.ConfigLoaderImpl._compose_config_from_defaults_list
_files: dict[Path, bytes] = {}
_defaults: dict[tuple, DefaultsList] = {}
_merged: dict[tuple, bytes] = {}
"""What was read and merged, pickled: unpickling a config is six times faster than copying it."""


def keep_merged_files(patch: pytest.MonkeyPatch) -> None:
    """Let Hydra read and merge the files of conf/ once for each choice of options."""
    _set(patch, _file, _defaults_list, _merged_files)


def merge_every_time(patch: pytest.MonkeyPatch) -> None:
    """Let Hydra read and merge files as it does outside of the tests."""
    _set(patch, _read_file, _create_defaults_list, _merge)


def _set(patch: pytest.MonkeyPatch, read: Callable, create: Callable, merge: Callable) -> None:
    patch.setattr(config_files, "read_file", read)
    patch.setattr(config_loader_impl, "create_defaults_list", create)
    loader = config_loader_impl.ConfigLoaderImpl
    patch.setattr(loader, "_compose_config_from_defaults_list", merge)


def _file(path: Path) -> config_files.ReadFile:
    if CONFIG_DIR not in path.parents:
        return _read_file(path)
    if path not in _files:
        _files[path] = pickle.dumps(_read_file(path))
    return pickle.loads(_files[path])


def _defaults_list(
    repo: IConfigRepository, config_name: str, overrides_list: list[Override], **options: bool
) -> DefaultsList:
    """Return which files are merged; options are the arguments that Hydra passes by name."""
    given = {"repo": repo, "config_name": config_name, "overrides_list": overrides_list}
    others = _other_files(repo)
    if others is None:
        return _create_defaults_list(**given, **options)
    values = Overrides(repo=repo, overrides_list=overrides_list).config_overrides
    choices = (o.input_line for o in overrides_list if o not in values)
    key = config_name, *choices, *options.items(), others
    if key not in _defaults:
        _defaults[key] = _create_defaults_list(**given, **options)
    return dataclasses.replace(_defaults[key], config_overrides=values)


def _merged_files(
    loader: Any, defaults: list[ResultDefault], repo: IConfigRepository
) -> DictConfig:
    others = _other_files(repo)
    if others is None:
        return _merge(loader, defaults=defaults, repo=repo)
    key = *((d.config_path, d.package, d.parent, d.is_self) for d in defaults), others
    if key not in _merged:
        _merged[key] = pickle.dumps(_merge(loader, defaults=defaults, repo=repo))
    return pickle.loads(_merged[key])


def _other_files(repo: IConfigRepository) -> tuple | None:
    """Return the content of every config file outside of conf/, or None if there is too much."""
    sources = (source.path for source in repo.get_sources() if source.scheme() == "file")
    folders = [Path(path) for path in sources if path != str(CONFIG_DIR)]
    names = ("*.y*ml", "*/*.y*ml", "*/*/*.y*ml")
    files = list(islice(chain.from_iterable(f.glob(name) for f in folders for name in names), 20))
    if len(files) == 20 or not all(f.is_file() and f.stat().st_size < 2**16 for f in files):
        return None
    return *folders, *((file, file.read_bytes()) for file in files)
