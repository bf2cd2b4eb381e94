"""The training step of pix2pix and SRGAN: losses of pairs and a discriminator."""

import copy

import pytest
import torch
from torch import nn
from torch.nn.functional import softplus

from limner.augmentations.ada import ADA
from limner.augmentations.diffaugment import Translation
from limner.errors import UserError
from limner.losses.adversarial import LeastSquares, NonSaturating, Relativistic, Wasserstein
from limner.losses.gradient_penalty import R1
from limner.losses.penalty import Weighted
from limner.losses.pixel import Pixel
from limner.models import AdversarialImageToImage
from limner.models.gradients import Gradients
from limner.models.optimization import OptimizerStep
from support.pairs import BATCH, Linear, Pairs, pair, trainer

LR = 0.1


class Judge(nn.Module):
    """Discriminator with a logit for each 4x4 patch, which records what it sees."""

    def __init__(self, channels=6):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, 4, 4, stride=4), nn.LeakyReLU(0.2), nn.Conv2d(4, 1, 1)
        )
        self.seen = []

    def forward(self, images):
        self.seen.append(images.detach().clone())
        return self.layers(images).flatten(1)


def made(discriminator=None, *, loss=None, sees=True, scale=1, accumulate=1, **more):
    torch.manual_seed(0)
    if discriminator is None:
        discriminator = Judge(6 if sees else 3)
    options = {
        "losses": {"pixel": Pixel(weight=1.0, kind="l1", epsilon=1e-3)}, "penalty": None,
        "augmentation": None, "adversarial_weight": 0.5, "discriminator_lr": None,
        "ema_half_life": None, "initial_weights": None,
    }  # fmt: skip
    return AdversarialImageToImage(
        network=Linear(scale), discriminator=discriminator,
        loss=NonSaturating() if loss is None else loss, discriminator_sees_input=sees, scale=scale,
        optimizer=lambda weights, lr=LR: torch.optim.SGD(weights, lr=lr),
        gradients=Gradients(max_norm=None, accumulate=accumulate), **(options | more),
    )  # fmt: skip


def trained(model, *batches, input_shape=(3, 8, 8)):
    """Train an update on each batch; return the values of the last update, and the trainer."""
    data = Pairs(batches)
    data.input_shape = input_shape
    fit = trainer(max_steps=len(batches), limit_val_batches=0)
    fit.fit(model, data)
    return {name: float(value) for name, value in fit.callback_metrics.items()}, fit


def weights(model):
    return {name: weight.detach().clone() for name, weight in model.named_parameters()}


def spoiled(name, batch):
    batch[name][BATCH - 1, 0, 2, 2] = torch.nan
    return batch


def test_network_descends_all_losses_and_then_the_discriminator_descends_its_loss():
    batch, model = pair(scale=1), made()
    network, judge = copy.deepcopy(model.network), copy.deepcopy(model.discriminator)
    inputs, target = batch["input"], batch["image"]
    output = network(inputs)
    pixel = (output - target).abs().mean()
    adversarial = softplus(-judge(torch.cat([output, inputs], 1))).mean()
    (pixel + 0.5 * adversarial).backward()
    judge.zero_grad()
    fake, real = (judge(torch.cat([x, inputs], 1)) for x in (output.detach(), target))
    of_judge = (softplus(-real) + softplus(fake)).mean()
    of_judge.backward()
    expected = [w - LR * w.grad for n in (network, judge) for w in n.parameters()]
    values, fit = trained(model, batch)
    found = [w.detach() for n in (model.network, model.discriminator) for w in n.parameters()]
    torch.testing.assert_close(found, expected)
    losses = {
        "loss": pixel + 0.5 * adversarial, "loss_pixel": pixel,
        "loss_adversarial": adversarial,
        "loss_discriminator": of_judge, "num_skipped": 0.0,
    }  # fmt: skip
    for name, value in losses.items():
        assert values[f"train/{name}"] == pytest.approx(float(value)), name
    assert fit.global_step == 1, "an update of both players counts once"


def test_each_step_changes_only_its_own_network(monkeypatch):
    moved = []

    def finish(step, **options):
        before = weights(step.model)
        done = original(step, **options)
        after = weights(step.model)
        moved.append({n.split(".")[0] for n in before if not after[n].equal(before[n])})
        return done

    original = OptimizerStep.finish
    monkeypatch.setattr(OptimizerStep, "finish", finish)
    _, fit = trained(made(), pair(scale=1), pair(scale=1, seed=1))
    assert moved == [{"network"}, {"discriminator"}] * 2
    assert fit.global_step == 2


@pytest.mark.parametrize("scale", [1, 2])
def test_discriminator_sees_the_input_only_if_the_option_says_so(scale):
    batch = pair(scale=scale)
    for sees in (True, False):
        model = made(sees=sees, scale=scale)
        trained(model, batch)
        assert {seen.shape[1] for seen in model.discriminator.seen} == {6 if sees else 3}
        assert any(torch.equal(seen[:, :3], batch["image"]) for seen in model.discriminator.seen)
        if sees and scale == 1:
            for seen in model.discriminator.seen:
                assert torch.equal(seen[:, 3:], batch["input"])


def test_discriminator_that_sees_the_input_is_told_which_pairs_belong_together():
    """With the inputs of other pairs, the logits and the adversarial loss are others."""
    batch, model = pair(scale=1), made()
    shown, other = batch["input"], batch["input"].flip(0)
    nothing = torch.zeros(BATCH, 0)
    output = model.network(shown)
    first, second = (
        model._losses(output, batch["image"], inputs, nothing)["loss_adversarial"]
        for inputs in (shown, other)
    )
    assert not torch.allclose(first, second)
    blind = made(sees=False)
    assert torch.equal(*(
        blind._losses(output, batch["image"], inputs, nothing)["loss_adversarial"]
        for inputs in (shown, other)
    ))  # fmt: skip


def test_mask_is_a_channel_of_what_the_discriminator_sees():
    batch = pair(scale=1, mask=True)
    model = made(Judge(7))
    model.network = Linear(1, inputs=4)
    trained(model, batch)
    assert torch.equal(model.discriminator.seen[0][:, 6:] == 1, batch["mask"] == 1)


@pytest.mark.parametrize("name", ["input", "image"])
def test_pair_that_is_not_finite_is_left_out_of_both_steps(name):
    """The discriminator sees another pair instead; the network's mean is over the others."""
    model, other = made(), made()
    values, _ = trained(model, spoiled(name, pair(scale=1)))
    rest = pair(scale=1)
    for key in rest:
        rest[key] = rest[key][: BATCH - 1]
    expected, _ = trained(other, rest)
    assert values["train/num_skipped"] == 1
    for key in ("train/loss", "train/loss_pixel", "train/loss_adversarial"):
        assert values[key] == pytest.approx(expected[key])
    torch.testing.assert_close(list(model.network.parameters()), list(other.network.parameters()))
    assert all(weight.isfinite().all() for weight in model.parameters())


def test_update_without_a_finite_pair_keeps_the_discriminator_finite():
    batch = pair(scale=1)
    batch["input"] += torch.nan
    model = made()
    values, _ = trained(model, batch)
    assert values["train/loss"] != values["train/loss"], "then a run stops as diverged"
    assert all(weight.isfinite().all() for weight in model.discriminator.parameters())


@pytest.mark.parametrize("loss", [NonSaturating(), LeastSquares(), Relativistic()])
def test_accumulation_equals_the_whole_batch(loss):
    models = [made(loss=loss, accumulate=number) for number in (1, 2)]
    values = [trained(model, pair(scale=1), pair(scale=1, seed=1))[0] for model in models]
    assert values[0] == pytest.approx(values[1], rel=1e-4)
    torch.testing.assert_close(*(list(model.parameters()) for model in models))


def test_augmentation_moves_the_input_as_it_moves_the_image_beside_it():
    batch = pair(scale=1, size=(16, 16))
    batch["image"] = batch["input"].clone()
    model = made(augmentation=Translation(max_fraction=0.5))
    trained(model, batch, input_shape=(3, 16, 16))
    (real,) = [s for s in model.discriminator.seen if torch.equal(s[:, :3], s[:, 3:])]
    assert not torch.equal(real[:, :3], batch["image"])


def test_augmentation_that_cannot_change_the_input_is_refused_before_training():
    ada = ADA(image_shape=[3, 8, 8], target=0.6, images_per_unit=500_000, every=4)
    data = {"input_shape": (4, 8, 8)}
    with pytest.raises(UserError, match="augmentation=ada cannot change inputs of 4 channels"):
        trained(made(augmentation=ada), pair(scale=1), **data)
    trained(made(sees=False, augmentation=ada), pair(scale=1), **data)


def test_penalty_enters_the_loss_of_the_discriminator():
    penalty = {"r1": Weighted(function=R1(approximate=None), weight=10.0, every=1)}
    model = made(penalty=penalty)
    values, _ = trained(model, pair(scale=1))
    assert values["train/penalty_r1"] > 0
    plain = made()
    trained(plain, pair(scale=1))
    first, second = (next(each.discriminator.parameters()) for each in (model, plain))
    assert not torch.equal(first, second)


def test_transform_gives_one_result_twice_and_does_not_change_the_mode():
    model = made(ema_half_life=1.0)
    trained(model, pair(scale=1), pair(scale=1, seed=1))
    model.train()
    inputs = pair(scale=1, size=(7, 5))["input"]
    assert torch.equal(model.transform(inputs), model.transform(inputs))
    assert model.training


def test_validation_reports_the_losses_of_the_pairs_alone():
    model, picture = made(), pair(1, scale=1, size=(12, 9))
    (values,) = trainer().validate(model, Pairs([pair()], [picture]), verbose=False)
    pixel = float((model.transform(picture["input"]) - picture["image"]).abs().mean())
    assert values == pytest.approx({"val/loss": pixel, "val/loss_pixel": pixel})


def test_discriminator_may_have_a_separate_learning_rate():
    network, judge = made(discriminator_lr=0.5).configure_optimizers()
    assert network.param_groups[0]["lr"] == LR
    assert judge.param_groups[0]["lr"] == 0.5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"adversarial_weight": -1.0}, r"adversarial_weight=-1\.0: must be 0 or more"),
        ({"adversarial_weight": float("nan")}, "adversarial_weight=nan: must be 0 or more"),
        ({"losses": {"adversarial": Pixel(weight=1.0, kind="l1", epsilon=1.0)}}, "name is taken"),
        ({"losses": {}}, r"model\.losses has no loss"),
        ({"loss": Wasserstein()}, "needs a penalty: model/penalty=gradient"),
    ],
)
def test_invalid_values_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        made(**options)
