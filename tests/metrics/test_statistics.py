"""Statistics of an image set are the same for any batches and any number of processes."""

import pytest
import torch
import torch.multiprocessing
from torch import distributed

from limner.console import Bar
from limner.errors import UserError
from limner.interfaces import Features
from limner.metrics import statistics
from limner.metrics.statistics import StatisticsRequest, compute_statistics
from support.fakes import PixelFeatures, Store

NUM, REQUEST = 205, StatisticsRequest(gaussian=True, max_features=50, num_splits=7, modes=True)


def collected(store, batch_size=20, request=REQUEST, network=None):
    return compute_statistics(
        lambda start, stop: store.images[start:stop],
        len(store),
        network=network or PixelFeatures(),
        request=request,
        batch_size=batch_size,
        device=torch.device("cpu"),
    )


@pytest.mark.parametrize("attribute", ["num_features", "num_logits"])
def test_compute_statistics_refuses_another_width_than_the_network_states(monkeypatch, attribute):
    network = PixelFeatures()
    monkeypatch.setattr(PixelFeatures, attribute, 7)
    monkeypatch.setattr(PixelFeatures, "__call__", lambda self, images: output(len(images)))

    def output(num_images):
        return Features(torch.zeros(num_images, 6), torch.zeros(num_images, 5))

    with pytest.raises(UserError, match=rf"PixelFeatures.{attribute}=7, but its \w+ of 20 images"):
        collected(Store(NUM), network=network)


def same(a, b):
    torch.testing.assert_close(tuple(a.gaussian), tuple(b.gaussian), rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(a.features, b.features, rtol=1e-6, atol=1e-6)
    assert a.inception_score == pytest.approx(b.inception_score, rel=1e-6)
    assert torch.equal(a.counts, b.counts)


def process(rank, folder, num_images):
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2
    )
    network = PixelFeatures()
    found = collected(Store(num_images), network=network)
    results = found.features, found.inception_score, found.counts, network.num_seen
    torch.save((tuple(found.gaussian), *results), f"{folder}/{rank}.pt")
    distributed.destroy_process_group()


@pytest.mark.parametrize("num_images", [NUM, 19], ids=["not dividing", "fewer than processes"])
def test_two_processes_find_the_statistics_of_one(tmp_path, num_images):
    """The 19 images are a single chunk, so the second process gets none."""
    arguments = (str(tmp_path), num_images)
    torch.multiprocessing.start_processes(process, arguments, nprocs=2, start_method="fork")
    alone = collected(Store(num_images))
    seen = 0
    for rank in range(2):
        gaussian, *found, count = torch.load(tmp_path / f"{rank}.pt")
        seen += count
        same(type(alone)(type(alone.gaussian)(*gaussian), *found), alone)
    assert seen == num_images, "nothing is counted twice"


@pytest.mark.parametrize("batch_size", [1, 64, 1000])
def test_statistics_do_not_depend_on_the_batch_size(batch_size):
    same(collected(Store(NUM), batch_size), collected(Store(NUM)))


def test_one_pass_reads_each_image_once():
    network = PixelFeatures()
    collected(Store(NUM), network=network)
    assert network.num_seen == NUM


def test_statistics_keep_only_what_was_requested():
    found = collected(Store(NUM), request=StatisticsRequest(False, None, None))
    kept = (found.gaussian, found.features, found.inception_score, found.counts)
    assert kept == (None, None, None, None)


@pytest.mark.parametrize("limit", [50, NUM, 1000])
def test_kept_features_are_a_sample_of_the_whole_set_in_its_order(limit):
    store = Store(NUM)
    everything = PixelFeatures()(store.images).features
    kept = collected(store, request=REQUEST._replace(max_features=limit)).features
    assert len(kept) == min(limit, NUM)
    places = torch.cdist(kept, everything).argmin(1)
    assert torch.allclose(everything[places], kept, atol=1e-5)
    assert (places.diff() > 0).all()
    assert places[0] < 20, "none from the beginning"
    assert places[-1] > NUM - 20, "none from the end"


def test_statistics_show_a_bar_of_the_images_done(monkeypatch):
    shown = []

    class Spy(Bar):
        def update(self, completed, values=None):
            shown.append((self._text.unit, completed))

    monkeypatch.setattr(statistics, "Bar", Spy)
    collected(Store(45))
    assert shown == [("images", 20), ("images", 40), ("images", 45)]
