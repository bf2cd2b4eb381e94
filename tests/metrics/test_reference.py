"""Statistics of real images are computed once, and again if the cache entry is not valid."""

import json
import logging
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from limner.cache import cache_dir
from limner.metrics import reference as module
from limner.metrics.reference import reference
from limner.metrics.statistics import StatisticsRequest
from support.fakes import PixelFeatures, Store

NUM = 90
REQUEST = StatisticsRequest(gaussian=True, max_features=40, num_splits=None)


def made(store=None, network=None, **changes):
    store = store or Store(NUM)
    arguments = {
        "indices": torch.arange(NUM),
        "about": {"data": "fake", "split": "train"},
        "request": REQUEST,
        "batch_size": 32,
        "device": torch.device("cpu"),
        **changes,
    }
    return reference(store, network=network or PixelFeatures(), **arguments).statistics


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("LIMNER_CACHE", str(tmp_path))


def blind(monkeypatch):
    """Make every further look at a real image fail."""
    monkeypatch.setattr(Store, "gather", None)


def entry() -> Path:
    (folder,) = (path for path in (cache_dir() / "reference").iterdir() if path.is_dir())
    return folder


def equal(a, b) -> bool:
    pairs = zip((*a.gaussian, a.features), (*b.gaussian, b.features), strict=True)
    return all(torch.equal(x, y) for x, y in pairs)


def test_reference_reads_no_image_the_second_time(monkeypatch):
    first = made()
    blind(monkeypatch)
    network = PixelFeatures()
    assert equal(made(network=network), first)
    assert network.num_seen == 0


@pytest.mark.slow  # a process that imports everything
def test_reference_reads_no_image_in_another_process():
    first = made()
    code = (
        "import torch; from support import fakes; import test_reference as t;"
        "fakes.Store.gather = None; print(t.made().gaussian.mean.tolist())"
    )
    folders = [str(Path(__file__).parent), str(Path(__file__).parents[1])]
    code = f"import sys; sys.path[:0] = {folders}; {code}"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert json.loads(printed.stdout) == first.gaussian.mean.tolist()


@pytest.mark.parametrize(
    "changes",
    [
        {"store": Store(NUM, seed=1)},
        {"indices": torch.arange(NUM - 1)},
        {"about": {"data": "fake", "split": "test"}},
        {"request": REQUEST._replace(max_features=41)},
        {"request": REQUEST._replace(gaussian=False)},
        {"request": REQUEST._replace(modes=True)},
    ],
)
def test_reference_key_includes_everything_that_changes_the_statistics(monkeypatch, changes):
    made()
    blind(monkeypatch)
    with pytest.raises(TypeError):
        made(**changes)


def test_reference_is_separate_for_each_feature_network(monkeypatch):
    made()
    monkeypatch.setattr(PixelFeatures, "protocol", lambda self: {"weights_sha256": "1"})
    blind(monkeypatch)
    with pytest.raises(TypeError):
        made()


def test_two_own_networks_with_equal_protocols_share_no_statistics():
    class Brighter(PixelFeatures):
        def __call__(self, images):
            found = super().__call__(images)
            return found._replace(features=found.features * 10)

    plain, bright = made(), made(network=Brighter())
    torch.testing.assert_close(bright.gaussian.mean, plain.gaussian.mean * 10)


def test_statistics_are_computed_again_after_a_change_of_the_code(monkeypatch):
    monkeypatch.setattr(module, "own_code", lambda network: [["Own", "1"]])
    made()
    monkeypatch.setattr(module, "own_code", lambda network: [["Own", "2"]])
    network = PixelFeatures()
    made(network=network)
    assert network.num_seen == NUM


def test_key_of_a_network_of_limner_is_unchanged(monkeypatch):
    keys = []
    monkeypatch.setattr(module, "own_code", lambda network: [])
    monkeypatch.setattr(module, "cached_folder", lambda kind, key, build: keys.append(key))
    made()
    assert keys[0].keys() == {"images", "indices", "about", "network", "wanted"}
    assert keys[0]["wanted"] == {"gaussian": True, "max_features": 40, "num_splits": None}


def truncate(folder):
    path = folder / "statistics.pt"
    path.write_bytes(path.read_bytes()[:-100])


def flip(folder):
    path = folder / "statistics.pt"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def age(folder):
    about = json.loads((folder / "about.json").read_text())
    (folder / "about.json").write_text(json.dumps(about | {"format": module.FORMAT - 1}))


def halve(folder):
    path = folder / "about.json"
    path.write_text(path.read_text()[:10])


def lose(folder):
    (folder / "statistics.pt").unlink()


@pytest.mark.parametrize(
    ("break_", "message"),
    [
        (truncate, "damaged"),
        (flip, "damaged"),
        (halve, "damaged"),
        (lose, "damaged"),
        (age, f"of format {module.FORMAT - 1}, not {module.FORMAT}"),
    ],
)
def test_damaged_reference_is_computed_again_and_reported(monkeypatch, caplog, break_, message):
    first = made()
    break_(entry())
    with caplog.at_level(logging.WARNING):
        assert equal(made(), first)
    (record,) = caplog.records
    assert message in record.getMessage()
    assert "computing them again" in record.getMessage()
    caplog.clear()
    blind(monkeypatch)
    assert equal(made(), first)
    assert not caplog.records


def test_reference_works_when_it_cannot_be_cached(monkeypatch, caplog):
    first = made()
    for folder in (cache_dir() / "reference").iterdir():
        if folder.is_dir():
            shutil.rmtree(folder)

    def fail(*_):
        raise RuntimeError("PytorchStreamWriter failed writing file data/0: file write failed")

    monkeypatch.setattr(torch, "save", fail)
    with caplog.at_level(logging.WARNING, logger="limner"):
        assert equal(made(), first)
    assert "cannot be kept in the cache (PytorchStreamWriter" in caplog.text
