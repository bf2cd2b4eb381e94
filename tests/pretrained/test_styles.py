"""Styles of a loaded model as numpy arrays."""

import math

import numpy as np
import pytest

from limner.errors import UserError
from limner.pretrained.styles import Styles
from limner.pretrained.trained_model import BATCH, TrainedModel
from support.style_models import LATENT, LAYERS, SHAPE, STYLE, StyleModel, style_model


@pytest.fixture(scope="module")
def model():
    return style_model()


@pytest.fixture(scope="module")
def styles(model):
    return model.styles


def test_drawn_styles_are_those_of_the_samples_codes(model, styles):
    w = styles.draw(BATCH + 3, seed=4)
    assert np.allclose(w, styles.of(model.latents(BATCH + 3, seed=4)), atol=1e-6)
    assert np.array_equal(styles.draw(2, seed=4), w[:2])
    assert np.array_equal(styles.paint(w), model.decode(model.latents(BATCH + 3, seed=4)))


def test_drawn_styles_have_the_drawn_or_the_given_classes():
    model = style_model(num_classes=3)
    styles, z = model.styles, model.latents(4, seed=1)
    _, drawn = model._draws.codes(1, 0)
    found = styles.draw(4, seed=1)
    assert np.allclose(found, styles.of(z, labels=drawn[:4].tolist()), atol=1e-6)
    given = styles.draw(4, seed=1, labels=[2, 2, 0, 1])
    assert np.allclose(given, styles.of(z, labels=[2, 2, 0, 1]), atol=1e-6)


@pytest.mark.parametrize("num_classes", [None, 3])
def test_truncated_styles_lie_between_the_mean_and_the_style(num_classes):
    styles = style_model(num_classes).styles
    of = {} if num_classes is None else {"label": 1}
    w, mean = styles.draw(5, **of), styles.mean(**of)
    assert np.allclose(styles.draw(5, truncation=0.3, **of), mean + 0.3 * (w - mean), atol=1e-6)


def test_mixed_styles_have_the_chosen_layers(styles):
    a, b = styles.draw(2, seed=1), styles.draw(2, seed=2)
    mixed = styles.mix(a, b, layers=[0, 2])
    assert mixed.shape == (2, LAYERS, STYLE)
    assert np.array_equal(mixed[:, [0, 2]], np.stack([a, a], 1))
    assert np.array_equal(mixed[:, 1], b)
    assert np.array_equal(styles.paint(styles.mix(a, b, layers=range(LAYERS))), styles.paint(a))
    assert np.array_equal(styles.mix(a, b), styles.mix(a, b, layers=[0])), "the coarser half"


def test_directions_read_the_chosen_layers(styles):
    directions, shares = styles.directions()
    assert directions.shape == (STYLE, STYLE)
    assert shares.sum() == pytest.approx(1, abs=1e-5)
    assert not np.allclose(directions, styles.directions(layers=[1])[0])


def test_walk_moves_the_chosen_layers_by_usual_distances_from_the_mean(styles):
    w, (directions, _) = styles.draw(4096, seed=0), styles.directions()
    unit = np.sqrt(np.square(w - w.mean(0)).sum(1).mean())
    images = styles.walk(w[0], directions[:2], [-1.0, 0.0, 2.0], layers=[1])
    assert images.shape == (2, 3, *SHAPE[1:], 1)
    moved = np.repeat(w[:1, None], LAYERS, axis=1)
    assert np.array_equal(images[0, 1], styles.paint(moved)[0])
    moved[:, 1] += 2 * unit * directions[1]
    assert np.abs(images[1, 2].astype(int) - styles.paint(moved)[0]).max() <= 1
    assert np.array_equal(styles.walk(moved[0], directions[:1], [0.0])[0], styles.paint(moved))


def test_projection_returns_styles_images_and_their_distances(styles):
    pictures = styles.paint(2 * styles.draw(2, seed=3))
    counts = []
    found = styles.project(pictures, num_updates=15, progress=counts.append)
    assert counts == list(range(1, 16))
    assert np.array_equal(found.images, styles.paint(found.styles))
    start = styles.project(pictures, num_updates=0)
    assert np.allclose(start.styles, styles.mean())
    assert (found.distances < start.distances).all()
    error = ((found.images.astype(float) - pictures) / 255) ** 2
    assert found.psnr == pytest.approx(-10 * np.log10(error.mean((1, 2, 3))), abs=0.01)
    assert (start.distances <= 4).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s: s.paint(np.zeros((2, STYLE + 1))), r"\(N, 5\) or \(N, 3, 5\), not \(2, 6\)"),
        (lambda s: s.paint(np.zeros((0, STYLE))), r"not \(0, 5\)"),
        (lambda s: s.directions(layers=[3]), r"layers=\[3\]: must be .* from 0 .* to 2"),
        (lambda s: s.directions(layers=[]), "layers="),
        (lambda s: s.directions(layers=[1, 1]), "different layers"),
        (lambda s: s.draw(0), "num_images=0"),
        (lambda s: s.draw(1, truncation=-1.0), "truncation=-1.0"),
        (lambda s: s.of(np.zeros((2, LATENT + 1))), "Latent codes .* are"),
        (lambda s: s.project(np.zeros((1, 4, 4, 1), np.uint8), num_updates=-1), "num_updates=-1"),
        (lambda s: s.project(np.zeros((1, 4, 4, 1), np.uint8), lr=0.0), "lr=0.0: must be above 0"),
        (lambda s: s.project(np.zeros((1, 5, 4, 1), np.uint8)), "Images for this model"),
        (lambda s: s.mean(label=1), "trained without labels"),
        (lambda s: s.draw(1, truncation=math.nan), "truncation=nan: must be a finite number"),
        (lambda s: s.draw(1, truncation="half"), "truncation=half: must be a finite number"),
        (lambda s: s.paint(np.full((1, STYLE), np.nan)), "numbers that are not finite"),
        (
            lambda s: s.mix(np.zeros((2, STYLE)), np.zeros((3, STYLE))),
            r"not \(2, 5\) and \(3, 5\)",
        ),
        (lambda s: s.walk(np.zeros(3), np.zeros((1, STYLE)), [0]), r"not \(3,\)"),
        (lambda s: s.walk(np.zeros(STYLE), np.zeros((0, STYLE)), [0]), "at least one each"),
        (
            lambda s: s.project(np.zeros((1, 4, 4, 1), np.uint8), num_updates=2.5),
            "num_updates=2.5: must be a whole number",
        ),
    ],
)
def test_styles_refuse_what_does_not_fit(styles, call, message):
    with pytest.raises(UserError, match=message):
        call(styles)


def test_styles_of_a_conditional_model_need_a_class():
    styles = style_model(num_classes=3).styles
    for call in (styles.mean, lambda: styles.of(np.zeros((1, LATENT)))):
        with pytest.raises(UserError, match="need label, labels or text"):
            call()


def test_model_without_styles_names_the_network_that_has_them(model):
    module = StyleModel()
    module.generator = module.generator.mapping
    plain = TrainedModel(module, config=model.config, update=1, source="here")
    assert (plain.has_styles, model.has_styles) == (False, True)
    assert isinstance(model.styles, Styles)
    with pytest.raises(UserError, match="has no styles: train a model with network=stylegan2"):
        _ = plain.styles
