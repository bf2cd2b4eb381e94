"""CycleGAN: the losses of its four networks, its order of steps, its pools and its results."""

import copy

import lightning as L
import pytest
import torch
from torch import nn

from limner.augmentations.ada import ADA
from limner.augmentations.chain import Chain
from limner.augmentations.diffaugment import Colour, Cutout, Translation
from limner.losses import adversarial
from limner.losses.consistency import Consistency
from limner.losses.gradient_penalty import R1, R2, GradientPenalty
from limner.losses.lecam import LeCam
from limner.losses.penalty import Weighted
from limner.models import CycleGAN
from limner.models.gradients import Gradients
from limner.models.optimization import OptimizerStep
from limner.randomness import seed_for
from support.two_domains import Domains, Patches, Recolour, batch, images

PENALTIES = {
    "gradient": GradientPenalty, "r1": lambda: R1(approximate=None),
    "r2": lambda: R2(approximate=0.1), "lecam": lambda: LeCam(decay=0.9),
    "consistency": lambda: Consistency(augmentation=Translation(max_fraction=0.25)),
}  # fmt: skip
DIFFAUGMENT = Chain(
    parts={
        "colour": Colour(brightness=0.5, saturation=1.0, contrast=0.5),
        "translation": Translation(max_fraction=0.25),
        "cutout": Cutout(fraction=0.5),
    }
)


def shaken(network):
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(torch.randn_like(weight), alpha=0.1)
    return network


def made(*, lr=0.1, accumulate=1, ema=None, max_norm=None, **more):
    torch.manual_seed(0)
    parts = {
        "generator_ab": shaken(Recolour()), "generator_ba": shaken(Recolour()),
        "discriminator_a": Patches(), "discriminator_b": Patches(),
        "loss": adversarial.LeastSquares(), "penalty": None, "augmentation": None,
        "cycle_loss": nn.L1Loss(), "cycle_weight": 10.0, "identity_weight": 5.0, "pool_size": 0,
        "optimizer": lambda weights, lr=lr: torch.optim.SGD(weights, lr=lr),
        "discriminator_lr": None, "ema_half_life": ema,
        "gradients": Gradients(max_norm=max_norm, accumulate=accumulate),
    }  # fmt: skip
    return CycleGAN(**parts | more)


class Seeds(L.Callback):
    """Begin each update's random numbers, as limner's training does."""

    def on_train_batch_start(self, trainer, model, batch, batch_idx):
        model.noise.start(seed_for(0, "step", trainer.global_step), rank=0, world_size=1)


def trainer(**more):
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False}
    callbacks = [Seeds(), *more.pop("callbacks", [])]
    return L.Trainer(
        **{"accelerator": "cpu", "num_sanity_val_steps": 0, "enable_checkpointing": False}
        | quiet | more, callbacks=callbacks,
    )  # fmt: skip


def trained(model, *batches, **more):
    """Train an update on each batch; return the values of the last update."""
    fit = trainer(max_steps=len(batches), limit_val_batches=0, **more)
    fit.fit(model, Domains(batches))
    assert fit.global_step == len(batches), "an update is counted once"
    return {name: float(value) for name, value in fit.callback_metrics.items()}


def weights(part):
    return {name: weight.detach().clone() for name, weight in part.named_parameters()}


def test_update_steps_the_generators_and_then_the_discriminators_on_the_losses_of_the_paper():
    """The fake images of the discriminators' step are from before the generators' step."""
    model, data = made(cycle_weight=3.0, identity_weight=2.0), batch()
    (to_b, to_a), (d_a, d_b) = (
        copy.deepcopy(list(part.values())) for part in (model.network, model.discriminators)
    )
    a, b = data["image_a"], data["image_b"]
    fake_a, fake_b = to_a(b), to_b(a)
    cycle = (to_a(fake_b) - a).abs().mean() + (to_b(fake_a) - b).abs().mean()
    identity = (to_a(a) - a).abs().mean() + (to_b(b) - b).abs().mean()
    fool = 0.5 * ((d_a(fake_a) - 1).square().mean() + (d_b(fake_b) - 1).square().mean())
    gs = [*to_b.parameters(), *to_a.parameters()]
    ds = [*d_a.parameters(), *d_b.parameters()]
    moves = torch.autograd.grad(fool + 3 * cycle + 2 * identity, gs)
    tell = sum(
        0.5 * ((d(real) - 1).square().mean() + d(fake.detach()).square().mean())
        for d, real, fake in ((d_a, a, fake_a), (d_b, b, fake_b))
    )
    moves += torch.autograd.grad(tell, ds)
    expected = [w - 0.1 * move for w, move in zip([*gs, *ds], moves, strict=True)]
    values = trained(model, data)
    found = [*model.network.parameters(), *model.discriminators.parameters()]
    torch.testing.assert_close([w.detach() for w in found], [w.detach() for w in expected])
    pairs = {"loss_generator": fool, "loss_discriminator": tell, "cycle_loss": cycle,
             "identity_loss": identity}  # fmt: skip
    for name, value in pairs.items():
        both = values[f"train/{name}_a"] + values[f"train/{name}_b"]
        assert both == pytest.approx(float(value), rel=1e-5), name


def test_cycle_and_identity_losses_of_identity_generators_are_0():
    model = made(generator_ab=Recolour(), generator_ba=Recolour(), lr=0.0)
    values = trained(model, batch())
    for name in ("cycle_loss", "identity_loss"):
        assert values[f"train/{name}_a"] == values[f"train/{name}_b"] == 0


def test_identity_loss_is_not_computed_if_its_weight_is_0():
    assert "train/identity_loss_a" not in trained(made(identity_weight=0.0), batch())


def test_each_optimizer_step_changes_only_its_networks(monkeypatch):
    moved, original = [], OptimizerStep.finish

    def finish(step, **options):
        before = weights(step.model)
        values = original(step, **options)
        now = step.model.named_parameters()
        moved.append({name.split(".")[0] for name, w in now if not w.equal(before[name])})
        return values

    monkeypatch.setattr(OptimizerStep, "finish", finish)
    trained(made(), batch(), batch(seed=1))
    assert moved == [{"network"}, {"discriminators"}] * 2


@pytest.mark.parametrize("player", ["generators", "discriminators"])
def test_losses_of_a_player_give_the_other_player_no_gradient(player):
    model, data = made(), batch()
    inputs = [
        model._draw(objective, data[name])[1]
        for objective, name in ((model.objective_a, "image_a"), (model.objective_b, "image_b"))
    ]
    own, other = model.network, model.discriminators
    if player == "generators":
        other.requires_grad_(False)  # as in the training step
        model._generator_losses(*inputs)[0].backward()
    else:
        own, other = other, own
        fakes = [each._replace(z=model.network["ab"](each.real)) for each in inputs]
        objectives = (model.objective_a, model.objective_b)
        losses = [o.discriminator_losses(f, 0, update=0) for o, f in zip(objectives, fakes,
                                                                        strict=True)]  # fmt: skip
        sum(sum(each.means.values()) for each in losses).backward()
    assert all(w.grad is not None and w.grad.any() for w in own.parameters())
    assert all(w.grad is None for w in other.parameters())


@pytest.mark.parametrize(
    ("loss", "penalties", "augmentation"),
    [
        ("Minimax", [], DIFFAUGMENT),
        ("NonSaturating", ["r1", "lecam"], None),
        ("LeastSquares", ["consistency"], "ada"),
        ("Hinge", ["r2"], DIFFAUGMENT),
        ("Wasserstein", ["gradient"], None),
        ("Relativistic", ["r1", "r2"], "ada"),
    ],
)
def test_every_loss_trains_with_penalties_augmentations_and_accumulation(
    loss, penalties, augmentation
):
    if augmentation == "ada":
        augmentation = ADA(image_shape=(3, 8, 8), target=0.6, images_per_unit=100, every=1)
    penalty = {name: Weighted(function=PENALTIES[name](), weight=0.1, every=1)
               for name in penalties}  # fmt: skip
    model = made(loss=getattr(adversarial, loss)(), penalty=penalty, pool_size=6, accumulate=2,
                 augmentation=augmentation, lr=0.01, max_norm=1.0)  # fmt: skip
    before = weights(model)
    values = trained(model, batch(), batch(seed=1), batch(seed=2))
    assert all(value == value for value in values.values())
    for name in penalties:
        assert values[f"train/penalty_{name}_a"] != values[f"train/penalty_{name}_b"]
    relative = loss in ("Wasserstein", "Relativistic", "Hinge")
    for name, weight in weights(model).items():
        is_last_bias = name.startswith("discriminators") and name.endswith("2.bias")
        if not (relative and is_last_bias):  # there only differences of logits count
            assert not weight.equal(before[name]), name


def test_parts_that_adapt_are_separate_for_each_discriminator():
    """LeCam's averages and ADA's probability follow the logits of one discriminator."""
    penalty = {"lecam": Weighted(function=LeCam(decay=0.9), weight=0.1, every=1)}
    ada = ADA(image_shape=(3, 8, 8), target=0.6, images_per_unit=100, every=1)
    model = made(penalty=penalty, augmentation=ada)
    trained(model, batch(), batch(seed=1))
    state = model.state_dict()
    averages = {name: value for name, value in state.items() if "lecam" in name}
    a, b = ({name.removeprefix(each): value for name, value in averages.items()
             if name.startswith(each)} for each in ("penalty_a.", "penalty_b."))  # fmt: skip
    assert a.keys() == b.keys()
    assert any(not a[name].equal(b[name]) for name in a)
    assert {"augmentation_a.p", "augmentation_b.p"} <= state.keys()


def test_accumulation_equals_the_whole_batch_with_a_pool():
    models = [made(accumulate=number, pool_size=5) for number in (1, 2)]
    values = [trained(model, *(batch(seed=i) for i in range(4))) for model in models]
    for name in values[0]:
        assert values[0][name] == pytest.approx(values[1][name], rel=1e-4), name
    torch.testing.assert_close(weights(models[0]), weights(models[1]))


def test_discriminators_see_images_of_the_pool(monkeypatch):
    """With images that stay in the pool, an update depends on the earlier updates' images."""
    last = batch(seed=5)
    found = {}
    for size in (0, 8):
        for seed in (1, 2):
            model = made(pool_size=size, lr=0.0)
            values = trained(model, batch(seed=seed), batch(seed=seed), last)
            found[size, seed] = values["train/logits_fake_a"]
    assert found[0, 1] == found[0, 2]
    assert found[8, 1] != found[8, 2]


@pytest.mark.parametrize("size", [0, 6, 18])
def test_resumed_training_equals_uninterrupted_training_with_the_pools(tmp_path, size):
    data = [batch(seed=i) for i in range(6)]
    adam = {"optimizer": lambda weights, lr=0.01: torch.optim.Adam(weights, lr=lr), "ema": 20.0}
    whole = made(pool_size=size, **adam)
    expected = trained(whole, *data)
    first = made(pool_size=size, **adam)
    fit = trainer(max_epochs=1, limit_val_batches=0)  # Lightning cannot resume within an epoch
    fit.fit(first, Domains(data[:3]))
    fit.save_checkpoint(tmp_path / "first.ckpt")
    for forgets in (False, True):
        second = made(pool_size=size, **adam)
        if forgets:
            second.on_load_checkpoint = lambda checkpoint: None
        fit = trainer(max_epochs=2, limit_val_batches=0)
        fit.fit(second, Domains(data[3:]), ckpt_path=tmp_path / "first.ckpt", weights_only=True)
        found = {name: float(value) for name, value in fit.callback_metrics.items()}
        is_equal = all(torch.equal(value, second.state_dict()[name])
                       for name, value in whole.state_dict().items())  # fmt: skip
        assert is_equal == (found == expected)
        assert is_equal == (not forgets or size == 0), "the comparison can fail"
    assert not any("pool" in name for name in whole.state_dict()), "an export has no pool"


def test_transform_uses_the_average_of_the_direction_and_gives_the_same_result_twice():
    model = made(ema=1.0, lr=0.01)
    trained(model, batch(), batch(seed=1))
    model.train()
    for weight in model.network.parameters():
        weight.data.zero_()
    inputs = 3 * images(2, size=(5, 7), seed=9)
    results = {direction: model.transform(inputs, direction) for direction in ("ab", "ba")}
    for direction, result in results.items():
        assert torch.equal(model.transform(inputs, direction=direction), result)
        expected = model.ema.network[direction](inputs).clamp(-1, 1)
        assert torch.equal(result, expected)
        assert not result.requires_grad
    assert not results["ab"].equal(results["ba"])
    assert model.network.training


def test_validation_returns_all_outputs_and_counts_each_picture_once():
    """A picture of weight 0 is repeated beside a picture of the larger domain."""
    pictures = [
        {"image_a": images(1, size=(6, 9), seed=1), "image_b": images(1, size=(7, 4), seed=2)},
        {"image_a": images(1, size=(5, 5), seed=3), "image_b": images(1, size=(7, 4), seed=2),
         "weight_a": torch.ones(1), "weight_b": torch.zeros(1)},
    ]  # fmt: skip
    model, outputs = made(), []

    class Watch(L.Callback):
        def on_validation_batch_end(self, trainer, model, out, batch, batch_idx):
            outputs.append(out)

    watch = trainer(callbacks=[Watch()])
    (values,) = watch.validate(model, Domains([batch()], pictures), verbose=False)
    first = outputs[0]
    a, b = pictures[0]["image_a"], pictures[0]["image_b"]
    assert torch.equal(first["output_b"], model.transform(a, "ab"))
    assert torch.equal(first["cycle_a"], model.transform(first["output_b"], "ba"))
    assert torch.equal(first["identity_b"], model.transform(b, "ab"))
    assert first.keys() == {f"{name}_{domain}" for name in ("output", "cycle", "identity")
                            for domain in "ab"}  # fmt: skip
    error = [float((out["cycle_a"] - picture["image_a"]).abs().mean())
             for out, picture in zip(outputs, pictures, strict=True)]  # fmt: skip
    assert values["val/cycle_loss_a"] == pytest.approx(sum(error) / 2)
    assert values["val/cycle_loss_b"] == pytest.approx(float((first["cycle_b"] - b).abs().mean()))
    change = float((first["output_a"] - b).abs().mean())
    assert values.pop("val/change_ba") == pytest.approx(127.5 * change)
    assert values.pop("val/change_ab") > 0
    assert values.keys() == {f"val/{name}_loss_{domain}" for name in ("cycle", "identity")
                             for domain in "ab"}  # fmt: skip


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"cycle_weight": -1.0}, r"model\.cycle_weight=-1\.0: must be 0 or more"),
        ({"identity_weight": float("nan")}, r"model\.identity_weight=nan: must be 0 or more"),
        (
            {"generator_ba": nn.Identity()},
            "generator_ba: the attribute `scale` of .* None",
        ),
        ({"pool_size": -1}, r"model\.pool_size=-1: must be 0 or more"),
        ({"loss": adversarial.Wasserstein()}, "needs a penalty: model/penalty=gradient"),
        ({"ema": 0.0}, r"model\.ema_half_life=0\.0: must be above 0"),
    ],
)
def test_cycle_gan_refuses_invalid_values(more, message):
    with pytest.raises(ValueError, match=message):
        made(**more)
