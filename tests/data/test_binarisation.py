"""Black and white images are drawn from grey images with the right probabilities, reproducibly."""

import itertools

import pytest
import torch

from limner.data.batches import TrainingBatches
from limner.data.binarisation import BinarisedStore, Coins
from limner.data.store import MemoryStore

LEVELS = torch.tensor([0, 1, 64, 128, 254, 255], dtype=torch.uint8)


def grey(num_images=1000):
    """Return images whose six rows have one grey level each."""
    images = LEVELS.view(1, 1, 6, 1).expand(num_images, 1, 6, 20)
    return MemoryStore(images.clone(), torch.arange(num_images), fingerprint="grey")


def binarised(**more):
    return BinarisedStore(grey(), **{"split_seed": 0, "name": "train", **more})


def check_chances(images):
    assert set(images.unique().tolist()) <= {0, 255}
    share = (images == 255).double().mean((0, 1, 3))
    expected = LEVELS.double() / 255
    error = (expected * (1 - expected) / (images.numel() / 6)).sqrt()
    assert ((share - expected).abs() <= 4 * error).all()


def test_pixels_are_white_with_the_probability_of_their_level():
    check_chances(binarised().gather(torch.arange(1000)))
    store = grey()
    uniform = torch.rand(1000, 120)
    check_chances(Coins((1, 6, 20))(store.images, uniform=uniform))


def test_draw_of_an_image_is_fixed_and_does_not_depend_on_other_images():
    store = binarised()
    whole, some = store.gather(torch.arange(1000)), torch.tensor([7, 3, 999])
    assert torch.equal(store.gather(some), whole[some])
    assert len(whole.flatten(1).unique(dim=0)) == 1000
    correlation = torch.corrcoef(whole[:, 0, 3].T.double())
    assert (correlation - torch.eye(20)).abs().max() < 0.15, "values are independent"
    for other in ({"split_seed": 1}, {"name": "test"}):
        assert not torch.equal(binarised(**other).gather(some), whole[some])
    assert store.labels.tolist() == list(range(1000))
    assert len(store) == 1000


def training(store, *, rank=0, world_size=1, batch_size=8, update=0):
    return TrainingBatches(
        store, torch.arange(96), batch_size=batch_size, batches_per_update=1, seed=0, rank=rank,
        world_size=world_size, augmentation=Coins((1, 6, 20)), layout=torch.contiguous_format,
            update=lambda: update,
    )  # fmt: skip


def test_fresh_draws_follow_the_update_on_any_number_of_processes():
    one = list(itertools.islice(iter(training(grey(), batch_size=16)), 12))
    ranks = [
        list(itertools.islice(iter(training(grey(), rank=r, world_size=2)), 12)) for r in (0, 1)
    ]
    for whole, left, right in zip(one, *ranks, strict=True):
        assert torch.equal(whole["image"], torch.cat([left["image"], right["image"]]))
    resumed = next(iter(training(grey(), batch_size=16, update=7)))
    assert torch.equal(resumed["image"], one[7]["image"])
    assert not torch.equal(one[0]["image"], one[6]["image"])


@pytest.mark.parametrize("kind", ["dynamic", pytest.param("static", marks=pytest.mark.slow)])
def test_run_trains_on_black_and_white_images_and_its_scores_state_that(run, monkeypatch, kind):
    import json

    from limner.models import VAE

    original, seen = VAE._losses, []

    def losses(self, network, images, *arguments, **options):
        seen.append(images)
        return original(self, network, images, *arguments, **options)

    monkeypatch.setattr(VAE, "_losses", losses)
    result = run(
        f"data.binarisation={kind}", "model/likelihood=bernoulli", "metrics=none", "logger=csv",
        "trainer.max_steps=2", "network=mlp", "~callbacks.pictures", "~callbacks.codes",
    )  # fmt: skip
    assert result.code == 0, result.err
    assert all(set(images.unique().tolist()) == {-1, 1} for images in seen)
    scores = json.loads((result.only_run() / "scores.json").read_text())
    assert scores["val/loss"]["protocol"]["binarisation"] == kind
    config = (result.only_run() / "config.yaml").read_text()
    assert f"binarisation: {kind}" in config
