"""A table has the features of a frozen network for each image, and is computed once."""

import pytest
import torch

from limner.data import feature_tables
from limner.data.feature_tables import feature_table
from limner.data.store import MemoryStore

CPU = torch.device("cpu")


class Network:
    """Network whose features are the first two pixels of an image; it counts the images."""

    num_features = 2

    def __init__(self, name="a"):
        self.name, self.num_images = name, 0

    def facts(self):
        return [self.name]

    def features(self, images):
        self.num_images += len(images)
        return images.flatten(1)[:, :2]


@pytest.fixture
def store(monkeypatch, tmp_path):
    monkeypatch.setenv("LIMNER_CACHE", str(tmp_path))
    monkeypatch.setattr(feature_tables, "CHUNK", 3)
    return stored(seed=0)


def stored(*, seed):
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(256, (10, 1, 2, 2), dtype=torch.uint8, generator=generator)
    return MemoryStore(images, None, fingerprint=f"images {seed}")


def test_table_has_the_features_of_each_image_in_order(store):
    expected = store.images.flatten(1)[:, :2] / 127.5 - 1
    torch.testing.assert_close(feature_table(store, Network(), device=CPU), expected)


def test_table_is_computed_once_for_the_same_network_and_images(store):
    first, again = Network(), Network()
    tables = [feature_table(store, network, device=CPU) for network in (first, again)]
    assert (first.num_images, again.num_images) == (10, 0)
    assert torch.equal(*tables)


def test_other_networks_and_other_images_have_tables_of_their_own(store):
    feature_table(store, Network(), device=CPU)
    for images, network in ((store, Network("b")), (stored(seed=1), Network())):
        table = feature_table(images, network, device=CPU)
        assert network.num_images == 10
        assert torch.equal(table, (images.images / 127.5 - 1).flatten(1)[:, :2])


def test_changes_of_a_table_in_memory_do_not_reach_the_cache(store):
    table = feature_table(store, Network(), device=CPU)
    before = table.clone()
    table.zero_()
    assert torch.equal(feature_table(store, Network(), device=CPU), before)


def test_damaged_table_is_computed_again(store, tmp_path, caplog):
    before = feature_table(store, Network(), device=CPU).clone()
    (file,) = tmp_path.glob("features/*/features.bin")
    file.write_bytes(file.read_bytes()[:-4])
    assert torch.equal(feature_table(store, network := Network(), device=CPU), before)
    assert network.num_images == 10
    assert "damaged" in caplog.text


def test_interrupted_computation_leaves_no_table(store, tmp_path):
    class Stopped(Network):
        def features(self, images):
            if self.num_images:
                raise KeyboardInterrupt
            return super().features(images)

    with pytest.raises(KeyboardInterrupt):
        feature_table(store, Stopped(), device=CPU)
    assert not list(tmp_path.glob("features/*/features.bin"))
