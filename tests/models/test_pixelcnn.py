"""PixelCNN as a model: an exact likelihood, samples that follow it, and its runs."""

import csv
import itertools
import json
import math

import numpy as np
import pytest
import torch

import limner
from limner.commands.evaluate.command import run as evaluate
from limner.commands.sample import run as sample
from limner.config.build import build
from limner.errors import UserError
from limner.losses.categorical import Categorical
from limner.losses.likelihood import Bernoulli, GaussianLikelihood
from limner.losses.logistic import LogisticMixture
from limner.metrics.likelihood import exact_likelihood
from limner.models import PixelCNN
from limner.models.gradients import Gradients
from limner.networks.pixelcnn import PixelCNN as Network
from limner.pixels import to_float
from support.grids import grid_of
from support.runs import trained

SMALL = ["network.pixelcnn.width=8", "network.pixelcnn.num_layers=2"]


def made(likelihood=None, *, shape=(1, 2, 2), num_classes=None, temperature=1.0, **changed):
    likelihood = likelihood or Categorical(num_levels=2)
    torch.manual_seed(0)
    network = Network(
        image_shape=shape, params_per_value=getattr(likelihood, "params_per_value", 1), width=8,
        num_layers=2, first_kernel_size=3, kernel_size=3, dropout=0.0, num_classes=num_classes,
    )  # fmt: skip
    for parameter in network.parameters():  # weights far from the nearly uniform start
        torch.nn.init.normal_(parameter, std=0.5)
    return PixelCNN(
        pixelcnn=network, likelihood=likelihood, temperature=temperature, num_classes=num_classes,
        optimizer=torch.optim.Adam, ema_half_life=None,
        gradients=Gradients(max_norm=None, accumulate=1), **changed,
    )  # fmt: skip


def every_image(shape, num_levels):
    values = [-1 + 2 * k / (num_levels - 1) for k in range(num_levels)]
    return torch.tensor(list(itertools.product(values, repeat=math.prod(shape)))).view(-1, *shape)


@pytest.mark.parametrize(
    ("likelihood", "num_levels", "shape"),
    [
        (Categorical(num_levels=2), 2, (1, 2, 3)),
        (Categorical(num_levels=3), 3, (2, 1, 2)),
        (Bernoulli(), 2, (3, 1, 2)),
        (LogisticMixture(num_components=2), 256, (1, 1, 2)),
    ],
    ids=lambda each: type(each).__name__,
)
def test_pixelcnn_probabilities_of_all_images_sum_to_one(likelihood, num_levels, shape):
    model, images = made(likelihood, shape=shape), every_image(shape, num_levels)
    total = sum(model.log_prob(part).double().exp().sum() for part in images.split(4096))
    assert total.item() == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_pixelcnn_samples_follow_the_probabilities(temperature):
    model = made(shape=(1, 2, 2), temperature=temperature)
    drawn = model.sample(20_000, generator=torch.Generator().manual_seed(0))
    every = every_image((1, 2, 2), 2)
    with torch.no_grad():
        logits = model.network["pixelcnn"](every) / temperature
    p = model.likelihood.log_prob(logits, every).exp()
    places = torch.tensor([8, 4, 2, 1])
    numbers = (((drawn + 1) / 2).round().long().flatten(1) * places).sum(1)
    found = torch.bincount(numbers, minlength=16) / 20_000
    assert ((found - p).abs() < 5 * (p * (1 - p) / 20_000).sqrt() + 1e-4).all()
    assert p.max() > 0.15


@pytest.mark.parametrize(
    "likelihood",
    [Categorical(num_levels=2), Categorical(num_levels=256), Bernoulli(),
     LogisticMixture(num_components=3)],
    ids=lambda each: type(each).__name__,
)  # fmt: skip
@pytest.mark.parametrize("num_classes", [None, 3])
def test_log_likelihood_of_a_cached_sample_equals_the_evaluated_one(
    monkeypatch, likelihood, num_classes
):
    """The sum of the log-probabilities by which values were drawn is log p of the image."""
    model, drawn = made(likelihood, shape=(2, 4, 3), num_classes=num_classes), []
    original = model._draw_level

    def draw(params, uniform):
        values = original(params, uniform)
        log_probs = likelihood.level_log_probs(params)[:, 0, :, 0, 0]
        levels = ((values + 1) / 2 * (log_probs.shape[1] - 1)).round().long().flatten()
        drawn.append(log_probs.gather(1, levels[:, None])[:, 0])
        return values

    monkeypatch.setattr(model, "_draw_level", draw)
    labels = None if num_classes is None else torch.arange(6) % 3
    images = model.sample(6, labels=labels)
    assert images.shape == (6, 2, 4, 3)
    assert images.abs().max() <= 1
    found = model.log_prob(images, labels)
    torch.testing.assert_close(sum(drawn), found, rtol=1e-4, atol=1e-3)


def test_complete_keeps_the_given_rows_and_draws_the_others():
    model, random = made(shape=(1, 6, 4)), torch.Generator
    start = model.sample(5, generator=random().manual_seed(0))[:, :, :3]
    first, again, other = (
        model.complete(start, generator=random().manual_seed(seed)) for seed in (1, 1, 2)
    )
    assert torch.equal(first[:, :, :3], start)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_exact_likelihood_is_the_mean_over_all_batches():
    model = made(shape=(1, 2, 2), num_classes=2)
    images = torch.randint(2, (7, 1, 2, 2), dtype=torch.uint8) * 255
    labels = torch.arange(7) % 2
    found = exact_likelihood(model, zip(images.split(3), labels.split(3), strict=True))
    values = model.log_prob(to_float(images), labels)
    assert found.log_prob == pytest.approx(values.mean().item(), rel=1e-5)
    assert found.standard_error == pytest.approx(values.std().item() / 7**0.5, rel=1e-4)
    assert (found.num_images, found.num_values) == (7, 4)


@pytest.mark.parametrize(
    ("likelihood", "changed", "message"),
    [
        (GaussianLikelihood(sigma=0.3), {}, "GaussianLikelihood has no levels"),
        (None, {"temperature": 0.0}, "model.temperature=0.0: must be above 0"),
    ],
)
def test_pixelcnn_refuses_invalid_parts(likelihood, changed, message):
    with pytest.raises(ValueError, match=message):
        made(likelihood, **changed)


@pytest.mark.parametrize(
    ("words", "num_levels"),
    [
        ([], 256),
        (["data.binarisation=dynamic"], 2),
        (["data.binarisation=static"], 2),
        (["data=restoration", "data.path=x", "data.crop_size=8"], 256),
    ],
)
def test_config_gives_the_number_of_levels_of_the_data(composed, words, num_levels):
    model = build(composed("model=pixelcnn", *SMALL, *words), "model")
    assert model.likelihood.params_per_value == num_levels
    assert model.network["pixelcnn"].head.params_per_value == num_levels


def test_run_with_two_levels_refuses_grey_images(run):
    result = run("model=pixelcnn", "model/likelihood=bernoulli", *SMALL, "trainer.max_steps=1")
    assert result.code == 1
    assert "set data.binarisation=dynamic" in result.err


def test_pixelcnn_run_learns_and_reports_its_exact_likelihood(tmp_path):
    """The loss falls, and `limner evaluate` gives log p of held-out images in both units."""
    words = [
        "model=pixelcnn", *SMALL, "data.binarisation=dynamic", "model/condition=concat",
        "logger=csv", "trainer.max_steps=30", "callbacks.log.every_num_updates=10",
        "optimizer.lr=0.01", "callbacks.pictures.num_images=4", "metrics=loss",
    ]  # fmt: skip
    folder = trained(tmp_path / "run", *words)
    with open(folder / "metrics.csv", newline="") as file:
        losses = [float(row["train/loss"]) for row in csv.DictReader(file) if row["train/loss"]]
    assert losses[-1] < 0.9 * losses[0]
    assert (folder / "final.png").is_file()
    assert (folder / "final_completions.png").is_file()
    assert evaluate([
        f"run={folder}", "measures=[likelihood]", "num_measured=40", "metrics=lite0",
        "metrics.num_samples=10", "metrics.scores=[fid]", f"to={tmp_path}",
    ]) == 0  # fmt: skip
    found = json.loads((tmp_path / "evaluation.json").read_text())
    for words in ([], ["metrics=loss", "measures=[likelihood]"], ["metrics=none"]):
        assert evaluate([f"run={folder}", "num_measured=40", f"to={tmp_path}", *words]) == 0
        alone = json.loads((tmp_path / "evaluation.json").read_text())
        assert alone == {name: found[name] for name in ("log_likelihood", "bits_per_dim")}
    model = limner.load(folder, device="cpu")
    value = found["log_likelihood"]["value"]
    assert found["bits_per_dim"]["value"] == pytest.approx(-value / 64 / math.log(2))
    about = found["log_likelihood"]["protocol"]
    assert (about["method"], about["given"]) == ("exact, no bound", "its class")
    assert -64 * math.log(2) < value < 0
    assert model.sample(2, labels=[0, 1]).shape == (2, 8, 8, 1)
    to = tmp_path / "classes.png"
    words = [f"run={folder}", "device=cpu", "num_images=2"]
    assert sample([*words, "mode=classes", "labels=[3,1]", f"to={to}"]) == 0
    expected = model.sample(2, label=1)[..., 0]
    row = grid_of(to)[68:132, :, 0]
    assert np.array_equal(row[4::8, 2 + 4 : 66 : 8], expected[0])
    for mode in ("interpolate", "traverse"):
        with pytest.raises(UserError, match="has no latent codes"):
            sample([*words, f"mode={mode}"])
    with pytest.raises(UserError, match=r"\(model=pixelcnn\) does not paint .*\n.*model=draw"):
        sample([*words, "mode=steps"])


@pytest.mark.parametrize("metrics", ["none", "loss"])
def test_plain_evaluation_of_a_run_without_scores_draws_no_samples(
    tmp_path, monkeypatch, capfd, metrics
):
    words = ["model=pixelcnn", *SMALL, "data.binarisation=dynamic", "data.test_fraction=0.01"]
    pictures = ["~callbacks.pictures", f"metrics={metrics}", "trainer.limit_val_batches=1"]
    folder = trained(tmp_path / "run", *words, "model/likelihood=bernoulli", *pictures)
    monkeypatch.setattr(PixelCNN, "sample", None)
    assert evaluate([f"run={folder}", "num_measured=8", f"to={tmp_path}"]) == 0
    found = json.loads((tmp_path / "evaluation.json").read_text())
    assert found.keys() == {"log_likelihood", "bits_per_dim"}
    assert "metrics=auto, which draws them" in capfd.readouterr().out
