"""The methods of a loaded model, tested on fake models."""

import numpy as np
import pytest
import torch
from torch import nn

from limner.errors import UserError
from limner.pixels import to_uint8
from limner.pretrained.trained_model import BATCH, TrainedModel
from limner.randomness import generator_for, uniform_labels

DATA = {"image_shape": [1, 2, 2], "num_classes": 3}


class Codes(nn.Module):
    """A model whose codes are its images times 4, flattened."""

    latent_dim, num_classes = 4, None

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def sample(self, num_images, *, generator=None, labels=None):
        z = torch.randn(num_images, 4, generator=generator)
        if labels is None:
            labels = uniform_labels(num_images, self.num_classes, generator=generator)
        return self.generate(z, labels)

    def generate(self, z, labels=None):
        assert len(z) <= BATCH
        return (z / 4).unflatten(1, (1, 2, 2))

    def encode(self, images):
        return 4 * images.flatten(1)

    def reconstruct(self, images):
        return self.generate(self.encode(images))


class Labelled(Codes):
    """A model whose images have the grey value of their label."""

    num_classes = 3

    def generate(self, z, labels=None):
        return (labels / 127.5 - 1)[:, None, None, None].expand(-1, 1, 2, 2)


class Blind(nn.Module):
    """A model that samples, but does not decode codes."""

    num_classes = None

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def sample(self, num_images, *, generator=None):
        return torch.rand(num_images, 1, 2, 2, generator=generator)


def made(module: type[nn.Module]) -> TrainedModel:
    return TrainedModel(module(), config={"data": DATA}, update=1, source="here")


@pytest.mark.parametrize("module", [Codes, Blind])
def test_sample_gives_an_image_that_depends_only_on_seed_and_index(module):
    model = made(module)
    many = model.sample(2 * BATCH + 3, seed=5)
    assert many.shape == (2 * BATCH + 3, 2, 2, 1)
    assert many.dtype == np.uint8
    assert np.array_equal(many, model.sample(2 * BATCH + 3, seed=5))
    assert not np.array_equal(many, model.sample(2 * BATCH + 3, seed=6))
    assert not np.array_equal(many[:BATCH], many[BATCH : 2 * BATCH])
    if module is Codes:
        assert np.array_equal(many[: BATCH + 1], model.sample(BATCH + 1, seed=5))
        assert np.array_equal(many, model.decode(model.latents(2 * BATCH + 3, seed=5)))


def test_sample_does_not_change_the_global_random_state():
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    made(Codes).sample(3)
    assert torch.equal(torch.rand(1), expected)


def test_truncation_scales_the_codes():
    model = made(Codes)
    half = model.sample(5, truncation=0.5)
    assert np.array_equal(half, model.decode(0.5 * model.latents(5)))
    assert np.ptp(model.sample(5, truncation=0.0)) == 0


def test_labels_reach_a_conditional_model_in_order():
    model, labels = made(Labelled), np.arange(BATCH + 5) % 3
    images = model.sample(BATCH + 5, labels=list(labels))
    assert np.array_equal(images[:, 0, 0, 0], labels)
    assert (model.sample(3, label=2) == 2).all()
    assert np.array_equal(
        model.decode(np.zeros((5, 4)), labels=labels[:5])[:, 0, 0, 0], labels[:5]
    )
    assert (model.interpolate(np.zeros(4), np.ones(4), 3, label=1) == 1).all()


def test_sample_draws_classes_when_a_conditional_model_gets_no_labels():
    """The classes are equally likely, and image i depends only on the seed and i."""
    drawn = made(Labelled).sample(BATCH + 20, seed=3)[:, 0, 0, 0]
    assert np.array_equal(drawn[:BATCH], made(Labelled).sample(BATCH, seed=3)[:, 0, 0, 0])
    assert min(np.bincount(drawn, minlength=3)) > 15
    own = made(Labelled).module.sample(
        BATCH, generator=generator_for(3, "samples", 0), labels=None
    )
    assert np.array_equal(drawn[:BATCH], to_uint8(own)[:, 0, 0, 0].numpy())


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda: made(Codes).sample(3, label=1), "trained without labels"),
        (lambda: made(Blind).sample(3, labels=[1, 2, 0]), "trained without labels"),
        (lambda: made(Labelled).sample(3, label=3), "the classes are 0 to 2"),
        (lambda: made(Labelled).sample(3, labels=[0, -1, 0]), "the classes are 0 to 2"),
        (lambda: made(Labelled).sample(3, labels=[0, 1]), "one label for each of 3 images"),
        (lambda: made(Labelled).sample(2, label=0, labels=[0, 1]), "are both set: choose one"),
        (lambda: made(Labelled).decode(np.zeros((2, 4))), "need labels"),
        (lambda: made(Codes).sample(0), "num_images=0: must be 1 or more"),
        (lambda: made(Codes).sample(1, seed=-1), "seed=-1: must be 0 or more"),
        (lambda: made(Codes).sample(1, truncation=-1.0), "truncation=-1.0"),
        (lambda: made(Blind).sample(1, truncation=0.5), "no latent codes"),
        (lambda: made(Blind).reconstruct(np.zeros((1, 2, 2, 1), np.uint8)), "no encoder"),
        (lambda: made(Blind).encode(np.zeros((1, 2, 2, 1), np.uint8)), "no encoder"),
        (lambda: made(Codes).encode(np.zeros((1, 3, 2, 1), np.uint8)), "are uint8 (N, 2, 2, 1)"),
        (lambda: made(Codes).encode(np.zeros((1, 2, 2, 1))), "not float64"),
        (lambda: made(Codes).encode(np.zeros((0, 2, 2, 1), np.uint8)), "no images"),
        (lambda: made(Codes).decode(np.zeros((2, 5))), "are (N, 4), not (2, 5)"),
        (lambda: made(Codes).interpolate(np.zeros(4), np.ones(4), 1), "num_steps=1"),
        (lambda: made(Codes).interpolate(np.zeros(4), np.ones(4), 3, mode="x"), "mode=x"),
        (lambda: made(Blind).interpolate(np.zeros(4), np.ones(4), 3), "no latent codes"),
    ],
)
def test_trained_model_refuses_what_it_cannot_do(ask, message):
    with pytest.raises(UserError) as error:
        ask()
    assert message in str(error.value)


def test_decode_inverts_encode():
    images = np.random.default_rng(0).integers(0, 256, (BATCH + 2, 2, 2, 1), dtype=np.uint8)
    model = made(Codes)
    assert model.encode(images).shape == (BATCH + 2, 4)
    assert np.array_equal(model.decode(model.encode(images)), images)
    assert np.array_equal(model.reconstruct(images), images)


@pytest.mark.parametrize("mode", ["linear", "spherical"])
def test_interpolation_includes_both_ends(mode):
    model = made(Codes)
    a, b = model.latents(2)
    way = model.interpolate(a, b, 5, mode=mode)
    assert np.array_equal(way[[0, -1]], model.decode(np.stack([a, b])))
    images = model.decode(np.stack([a, b]))
    assert np.array_equal(model.interpolate(*images, 5, mode=mode)[[0, -1]], images)


def test_spherical_interpolation_keeps_the_length_and_linear_does_not():
    model = made(Codes)
    a, b = np.array([2.0, 0, 0, 0]), np.array([0, 2.0, 0, 0])
    lengths = {}
    for mode in ("linear", "spherical"):
        middle = model.encode(model.interpolate(a, b, 3, mode=mode))[1]
        lengths[mode] = np.linalg.norm(middle)
    assert lengths["spherical"] == pytest.approx(2, abs=0.05)
    assert lengths["linear"] == pytest.approx(2**0.5, abs=0.05)
    same = model.interpolate(a, a, 3, mode="spherical")
    assert np.array_equal(same[1], same[0])


def test_encode_and_reconstruct_pass_the_class_of_a_conditional_model_on():
    class Conditional(Labelled):
        def encode(self, images, labels):
            return labels[:, None].repeat(1, 4).float()

        def reconstruct(self, images, labels):
            return torch.ones_like(images) * (labels[:, None, None, None] - 1)

    model, images = made(Conditional), np.zeros((2, 2, 2, 1), np.uint8)
    assert model.encode(images, labels=[1, 0])[:, 0].tolist() == [1, 0]
    assert model.reconstruct(images, label=0).max() == 0
