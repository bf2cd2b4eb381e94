"""The training step of each model, and its samples."""

import csv

import pytest
import torch
from torch import nn

from limner.config.build import build
from limner.losses.adversarial import NonSaturating, Wasserstein
from limner.losses.gradient_penalty import R1, GradientPenalty
from limner.losses.penalty import Pairs, Weighted
from limner.models import GAN
from limner.models.gradients import Gradients
from limner.models.optimization import OptimizerStep
from support.runs import last_checkpoint


@pytest.fixture
def made(composed):
    return lambda *overrides: build(composed(*overrides), "model")


@pytest.mark.parametrize("model", ["vae", "cvae", "ladder_vae", "draw", "gan", "pixelcnn"])
def test_sample_returns_the_same_images_for_the_same_generator(made, model):
    network = made(f"model={model}")
    first, second = (network.sample(4, generator=torch.Generator().manual_seed(1)) for _ in "ab")
    assert first.shape == (4, 1, 8, 8)
    assert first.abs().max() <= 1
    assert torch.equal(first, second)
    assert not first.requires_grad
    assert network.training, "drawing leaves the mode as it was"


@pytest.mark.parametrize("model", ["vae", "cvae", "ladder_vae", "draw", "gan", "pixelcnn"])
def test_sample_uses_the_average_of_the_weights(made, model):
    network = made(f"model={model}", "model.ema_half_life=100")
    before = network.sample(2, generator=torch.Generator().manual_seed(0))
    for name, parameter in network.named_parameters():
        if not name.startswith("ema."):
            parameter.data.zero_()
    after = network.sample(2, generator=torch.Generator().manual_seed(0))
    assert torch.equal(before, after)


def test_each_optimizer_step_changes_only_its_own_network(run, monkeypatch):
    """Weights are compared at every step of both optimizers in two real updates."""
    moved = []

    def finish(step, **options):
        before = {n: p.detach().clone() for n, p in step.model.named_parameters()}
        done = original(step, **options)
        after = step.model.named_parameters()
        moved.append({n.split(".")[0] for n, p in after if not p.equal(before[n])})
        return done

    original = OptimizerStep.finish
    monkeypatch.setattr(OptimizerStep, "finish", finish)
    result = run(
        "model=gan", "model.num_discriminator_steps=2", "trainer.max_steps=2", "metrics=none",
        "logger=none", "data.batch_size=8", "callbacks.pictures.num_images=4",
    )  # fmt: skip
    assert result.code == 0, result.err
    assert moved == [{"discriminator"}, {"discriminator"}, {"generator"}] * 2


def test_discriminator_may_have_a_separate_learning_rate(made):
    model = made("model=gan", "model.discriminator_lr=0.5")
    generator, discriminator = model.configure_optimizers()
    assert generator.param_groups[0]["lr"] == 2e-4
    assert discriminator.param_groups[0]["lr"] == 0.5


@pytest.mark.parametrize(
    ("loss", "penalty", "discriminator", "steps", "message"),
    [
        (Wasserstein(), None, nn.Identity(), 1, "needs a penalty"),
        (NonSaturating(), None, nn.Identity(), 0, "num_discriminator_steps=0"),
        (
            NonSaturating(),
            GradientPenalty(),
            nn.BatchNorm2d(1),
            1,
            "model/penalty=it is a penalty",
        ),
        (NonSaturating(), R1(approximate=None), nn.BatchNorm2d(1), 1, "must not have batch norm"),
    ],
)
def test_models_refuse_invalid_values(loss, penalty, discriminator, steps, message):
    if penalty is not None:
        penalty = {"it": Weighted(function=penalty, weight=1.0, every=1)}
    with pytest.raises(ValueError, match=message):
        GAN(
            generator=nn.Identity(), discriminator=discriminator, loss=loss, auxiliary=None,
            penalty=penalty, augmentation=None, latent_dim=2, num_classes=None, text=None,
            num_discriminator_steps=steps, optimizer=torch.optim.Adam, discriminator_lr=None,
            gradients=Gradients(max_norm=None, accumulate=1), ema_half_life=None, ema_ramp=None,
            num_standing_batches=None,
        )  # fmt: skip


@pytest.mark.parametrize(
    ("model", "precision"),
    [
        ("vae", "bf16-mixed"),
        ("gan", "64-true"),
        pytest.param("vae", "64-true", marks=pytest.mark.slow),
        pytest.param("gan", "bf16-mixed", marks=pytest.mark.slow),
        pytest.param("classifier", "bf16-mixed", marks=pytest.mark.slow),
        pytest.param("classifier", "64-true", marks=pytest.mark.slow),
    ],
)
def test_models_train_in_other_precisions(run, model, precision):
    result = run(
        f"model={model}", f"trainer.precision={precision}", "trainer.max_steps=2", "metrics=none",
        "logger=none", "data.batch_size=8", "trainer.limit_val_batches=1",
        "callbacks.pictures.num_images=4", "callbacks.codes.num_images=8",
    )  # fmt: skip
    assert result.code == 0, result.err


def test_penalties_are_computed_at_their_intervals_over_all_discriminator_steps(run):
    """R1 is due only at the first of 2 x 3 steps of D, so only update 1 logs R1."""
    result = run(
        "model=gan", "model.num_discriminator_steps=3", "model/penalty=[r1,lecam]",
        "model.penalty.r1.every=6", "trainer.max_steps=2", "callbacks.log.every_num_updates=1",
        "metrics=none", "logger=csv", "data.batch_size=8", "callbacks.pictures.num_images=4",
    )  # fmt: skip
    assert result.code == 0, result.err
    with open(result.only_run() / "metrics.csv", newline="") as file:
        first, second = csv.DictReader(file)
    assert float(first["train/penalty_r1"]) > 0 == len(second["train/penalty_r1"])
    assert float(first["train/penalty_lecam"]) > 0
    saved = torch.load(last_checkpoint(result.only_run()), weights_only=True)
    assert saved["state_dict"]["penalty.lecam.function.real"] != 0


@pytest.mark.parametrize(
    "weight",
    ["1.5", "{_target_: limner.schedules.Linear, start: 3, end: 0, first: 0, last: 4}"],
)
def test_penalty_weight_is_a_number_or_a_schedule(made, weight):
    model = made("model=gan", "model/penalty=r1", f"model.penalty.r1.weight={weight}")
    images = torch.randn(2, 1, 8, 8, requires_grad=True)
    logits = images.sum((1, 2, 3))  # The gradient of these logits is 1 in each of 64 pixels.
    pairs = Pairs(images, images, logits, logits)
    factors = model.penalty.factors(step=2, update=2)
    values = model.penalty(None, pairs, uniform=torch.zeros(2, 0), factors=factors)
    assert values["r1"].tolist() == [1.5 * 64 / 2] * 2
