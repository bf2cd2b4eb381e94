"""The parts of a GAN together: every loss with every network and condition, and all options."""

import csv

import pytest
import torch
from torch import nn

from limner.config.build import build
from limner.models import GAN
from limner.models.adversarial import Inputs
from limner.models.gradients import Gradients
from limner.models.optimization import micro_batches
from limner.models.standing_statistics import StandingStatistics
from support import runs
from support.runs import last_checkpoint

LOSSES = ["minimax", "non_saturating", "least_squares", "hinge", "wasserstein", "relativistic"]
CONDITIONS = ["none", "concat", "projection", "auxiliary"]
NETWORKS = ["dcgan", "mlp", "resnet", "resnet_large", "stylegan2"]
TRIPLES = [
    (loss, NETWORKS[(i + j) % len(NETWORKS)], condition)
    for i, loss in enumerate(LOSSES)
    for j, condition in enumerate([*CONDITIONS, "none"])
]
"""Losses, networks and conditions in which every pair of two occurs."""
TINY = {
    "dcgan": ["network.generator.width=8", "network.discriminator.width=8"],
    "mlp": ["network.generator.hidden_dims=[16]", "network.discriminator.hidden_dims=[16]"],
    "resnet": [
        "network.generator.width=8", "network.generator.max_width=8",
        "network.discriminator.width=8", "network.discriminator.max_width=8",
    ],
    "stylegan2": [
        "network.generator.width=8", "network.generator.max_width=8",
        "network.discriminator.width=8", "network.discriminator.max_width=8",
        "network.generator.style_dim=16", "network.discriminator.num_mapping_layers=2",
        "network.generator.num_mapping_layers=2",
    ],
}  # fmt: skip
TINY["resnet_large"] = TINY["resnet"]


@pytest.fixture
def made(composed):
    """Return a function that makes a GAN of small networks for 8x8 images of 10 classes."""

    def make(*overrides, network="dcgan"):
        words = ["model=gan", f"network={network}", *TINY[network], *overrides]
        return build(composed(*words), "model")

    return make


def inputs_for(model, num_images=6):
    """Return the inputs of a training step, with images in [-1, 1]."""
    draws = model.augmentation.num_draws if model.augmentation is not None else 0
    return Inputs(
        real=torch.rand(num_images, 1, 8, 8) * 2 - 1,
        labels=None if model.num_classes is None else torch.arange(num_images) % 10,
        z=torch.randn(num_images, model.num_normal),
        for_real=torch.rand(num_images, draws),
        for_fake=torch.rand(num_images, draws),
        for_penalty=torch.rand(num_images, model.penalty.num_draws),
    )


def both_losses(model, inputs):
    """Return the sum of the losses of generator and discriminator."""
    d = model.objective.discriminator_losses(inputs, 0, update=0)
    g = model.objective.generator_losses(inputs)
    return [sum(losses.means.values()) for losses in (d, g)]


def test_triples_contain_every_pair():
    for one, other in ((0, 1), (0, 2), (1, 2)):
        pairs = {(triple[one], triple[other]) for triple in TRIPLES}
        assert len(pairs) == len({a for a, _ in pairs}) * len({b for _, b in pairs})
    assert {network for _, network, _ in TRIPLES} == set(TINY)


@pytest.mark.parametrize(
    ("loss", "network", "condition"),
    [
        pytest.param(*triple, marks=[pytest.mark.slow] * (i % 5 > 0))
        for i, triple in enumerate(TRIPLES)
    ],
)
def test_gradient_reaches_every_parameter_of_generator_and_discriminator(
    made, loss, network, condition
):
    words = [f"model/loss={loss}", f"model/condition={condition}"]
    if network in ("mlp", "stylegan2") and condition == "projection":
        words.append("network.generator_condition=concat")
    model = made(*words, network=network)
    inputs = inputs_for(model, num_images=20)
    if loss == "hinge":  # If all logits lie within the margin, the gradients cancel.
        nn.init.constant_(model.discriminator.classify.bias, 100.0)
    for player, total in zip(
        ("discriminator", "generator"), both_losses(model, inputs), strict=True
    ):
        model.zero_grad()
        total.backward()
        rows = {n: p.grad for n, p in getattr(model, player).named_parameters()}
        relative = loss in ("relativistic", "wasserstein") and player == "discriminator"
        for name, grad in rows.items():
            if relative and name.startswith("classify") and name.endswith("bias"):
                continue  # Only differences of logits count.
            assert grad is not None, (player, name)
            assert grad.any(), (player, name)


@pytest.mark.parametrize(
    ("augmentation", "condition"),
    [
        pytest.param(augmentation, condition, marks=[pytest.mark.slow] * ((i + j) % 2))
        for i, augmentation in enumerate(["diffaugment", "ada"])
        for j, condition in enumerate(CONDITIONS)
    ],
)
def test_generator_gets_gradients_through_augmented_fakes(made, condition, augmentation):
    model = made(
        f"model/condition={condition}", f"model/augmentation={augmentation}",
        "model/penalty=[r1,lecam,consistency]",
    )  # fmt: skip
    if augmentation == "ada":
        model.augmentation.p.fill_(0.8)
    inputs = inputs_for(model)
    total = both_losses(model, inputs)[1]
    model.zero_grad()
    total.backward()
    assert all(p.grad.any() for p in model.generator.parameters())
    other = inputs._replace(for_fake=torch.rand_like(inputs.for_fake))
    assert both_losses(model, other)[1] != total, "other draws give the same augmented images"


def test_generator_draws_the_class_it_is_given(made):
    for condition in CONDITIONS[1:]:
        model = made(f"model/condition={condition}", "model.ema_half_life=null")
        z = torch.randn(3, 64)
        if condition == "projection":  # Scales and shifts of all classes are equal at the start.
            for module in model.generator.modules():
                if isinstance(module, nn.Embedding):
                    nn.init.normal_(module.weight)
        one, other = (model.generate(z, torch.full((3,), c)) for c in (1, 2))
        assert not torch.allclose(one, other)
        drawn = model.sample(5, generator=torch.Generator().manual_seed(1))
        assert drawn.shape == (5, 1, 8, 8)


def test_micro_batches_give_the_gradient_of_the_whole_batch():
    whole = Inputs(*(torch.randn(6, 2) for _ in range(5)), for_penalty=torch.randn(6, 0))
    cut = micro_batches(Gradients(max_norm=None, accumulate=3), *whole._replace(labels=None))
    parts = [Inputs(*part) for part in cut]
    assert [part.labels for part in parts] == [None] * 3
    assert torch.equal(torch.cat([part.z for part in parts]), whole.z)
    assert parts[0].for_penalty.shape == (2, 0)


def test_standing_statistics_belong_to_the_current_weights(made):
    """The running averages of this generator still have their initial values."""
    plain, model = (
        made("model.ema_half_life=null", f"model.num_standing_batches={n}") for n in ("null", 20)
    )
    model.load_state_dict(plain.state_dict())
    z = torch.randn(400, 64)
    with torch.no_grad():
        expected = plain.generator.train()(z)
    plain.load_state_dict(model.state_dict())
    with_standing, without = ((m.generate(z) - expected).abs().mean() for m in (model, plain))
    assert with_standing < 0.3 * without
    assert not any("standing" in name for name in model.state_dict())


def test_standing_statistics_are_computed_once_per_update():
    asked = []
    kept = StandingStatistics(3)
    for update in (1, 1, 2):
        kept.of(
            nn.BatchNorm1d(2), update=update, draw=lambda n, b, g: asked.append(g.initial_seed())
        )
    assert asked[:3] == asked[3:]
    assert len(set(asked)) == 3
    with pytest.raises(ValueError, match="num_standing_batches=0"):
        StandingStatistics(0)


def test_ada_probability_is_saved_and_logged(tmp_path):
    folder = runs.trained(
        tmp_path, "model=gan", "model/augmentation=ada", "model.augmentation.images_per_unit=1000",
        "model.augmentation.every=1", "model.augmentation.target=-1", "logger=csv",
        "callbacks.log.every_num_updates=1", "trainer.max_steps=8",
    )  # fmt: skip
    saved = torch.load(last_checkpoint(folder), weights_only=True)["state_dict"]
    assert 0 < saved["augmentation.p"].item() <= 8 * 64 / 1000
    header, *_, last = (folder / "metrics.csv").read_text().splitlines()
    row = dict(zip(header.split(","), last.split(","), strict=True))
    assert float(row["train/augmentation_p"]) == pytest.approx(saved["augmentation.p"].item())
    for name in ("accuracy_real", "accuracy_fake", "gradient_norm_generator", "logits_real"):
        assert f"train/{name}" in row
    assert 0 <= float(row["train/accuracy_real"]) <= 1
    assert float(row["train/gradient_norm_discriminator"]) > 0


def test_values_of_an_update_are_means_over_its_discriminator_steps(tmp_path, monkeypatch):
    """This includes a penalty at every third step, and ADA's probability."""
    steps, original = [], GAN._discriminator_step

    def kept(self, *arguments):
        found = original(self, *arguments)
        steps.append({name: value.item() for name, value in found.items()})
        return found

    monkeypatch.setattr(GAN, "_discriminator_step", kept)
    folder = runs.trained(
        tmp_path, "model=gan", "network=mlp", *TINY["mlp"], "trainer.max_steps=3",
        "model.num_discriminator_steps=2", "model/penalty=r1", "model.penalty.r1.every=3",
        "model/augmentation=ada", "model.augmentation.images_per_unit=1000", "logger=csv",
        "model.augmentation.target=-1", "model.augmentation.every=1",
        "callbacks.log.every_num_updates=1",
    )  # fmt: skip
    with open(folder / "metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(steps) == 2 * len(rows) == 6
    for row, *pair in zip(rows, steps[::2], steps[1::2], strict=True):
        names = {*pair[0], *pair[1]}
        assert {"loss_discriminator", "logits_real", "augmentation_p"} < names
        for name in names:
            values = [step[name] for step in pair if name in step]
            assert float(row[f"train/{name}"]) == pytest.approx(sum(values) / len(values)), name
        assert pair[0]["augmentation_p"] != pair[1]["augmentation_p"]
    assert rows[2]["train/penalty_r1"] == "", "R1 counts at steps 0 and 3 only"
