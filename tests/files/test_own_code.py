"""The code of a class outside limner is part of the keys of the cache."""

import importlib
import pathlib
import sys

import pytest
import torch
from hydra.utils import instantiate

from limner.config.schema import CONFIG_DIR
from limner.data import Digits, ImageFolder
from limner.files.own_code import origin, own_code

CODE = """
from limner.data import ImageFolder

class Own:
    def value(self):
        return 1

class Other(Own): ...
class Folder(ImageFolder): ...
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Return a function that writes, imports and returns the module `own_part`."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def load(code=CODE):
        (tmp_path / "own_part.py").write_text(code)
        importlib.invalidate_caches()
        sys.modules.pop("own_part", None)
        return importlib.import_module("own_part")

    yield load
    sys.modules.pop("own_part", None)


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (Digits, "limner"), (torch.nn.Linear, "library"), (instantiate, "library"),
        (dict, "library"), (pathlib.Path, "library"), (len, "library"),
    ],
)  # fmt: skip
def test_origin_of_classes_and_functions(target, expected):
    assert origin(target) == expected


def test_classes_in_files_and_notebooks_of_the_user_are_own(module):
    assert origin(module().Folder) == "own"
    assert origin(type("Own", (), {"__module__": "a_notebook"})) == "own"


def test_own_code_changes_with_the_file_of_the_class(module):
    before = own_code(module().Own())
    assert own_code(module().Own()) == before
    assert own_code(module(CODE.replace("1", "2")).Own()) != before


def test_own_code_keeps_the_code_that_was_imported(module, tmp_path):
    own = module().Own()
    before = own_code(own)
    (tmp_path / "own_part.py").write_text(CODE.replace("1", "2"))
    assert own_code(own) == before


def test_own_code_contains_the_name_of_each_class(module):
    own = module()
    assert [name for name, _ in own_code(own.Other())] == ["own_part.Other", "own_part.Own"]
    assert own_code(own.Own()) != own_code(own.Other())


def test_own_code_of_a_class_that_inherits_from_limner_contains_its_own_file_only(module):
    assert [name for name, _ in own_code(module().Folder(path="x"))] == ["own_part.Folder"]


def test_own_code_contains_own_networks_in_a_part_of_limner():
    class Net(torch.nn.Module): ...

    features = Digits()
    features.network = torch.nn.Sequential(torch.nn.Linear(1, 1), Net())
    ((name, code),) = own_code(features)
    assert name.endswith("Net")
    assert len(code) == 64


def test_own_code_of_an_installed_package_is_its_name():
    assert own_code(torch.nn.Linear(1, 1)) == [["torch.nn.modules.linear.Linear", None]]


def test_own_code_of_a_class_without_a_file_changes_with_its_methods():
    def made(text):
        space = {"__name__": "a_notebook"}
        exec(f"class Cell:\n def value(self): return {text}", space)
        return own_code(space["Cell"]())

    assert made("1") == made("1")
    assert made("1") != made("2")


@pytest.mark.parametrize("data", sorted(p.stem for p in (CONFIG_DIR / "data").glob("*.yaml")))
def test_own_code_of_every_data_set_of_limner_is_empty(composed, data):
    file = CONFIG_DIR / "data" / f"{data}.yaml"
    written = file.read_text()
    if "base/pictures" in written:
        written += (file.parent / "base" / "pictures.yaml").read_text()
    keys = ("path", "root", "input_column")
    words = [f"data.{key}=x" for key in keys if f"\n{key}: ???" in written]
    config = composed(f"data={data}", *words)
    assert own_code(instantiate(config.data.source)) == []


def test_own_code_of_every_feature_network_of_limner_is_empty(composed):
    for name in ("classifier", "inception"):
        config = composed("data=digits", "data.num_classes=10", f"metrics={name}")
        assert own_code(instantiate(config.metrics.features)) == []
    assert own_code(ImageFolder(path="x")) == []
