"""The training step, validation and output of image-to-image models."""

import copy

import lightning as L
import pytest
import torch
from torch import nn

from limner.errors import UserError
from limner.losses.perceptual import Perceptual, PerceptualDistance
from limner.losses.pixel import Pixel
from limner.losses.ssim import SSIM
from limner.metrics.picture_quality import SCORES as PAIR_SCORES
from limner.metrics.set_distances import SCORES as SET_SCORES
from limner.models import ImageToImage
from limner.models import image_to_image as module
from limner.models.gradients import Gradients
from limner.networks.efficientnet_lite import EfficientNetLite0
from support.pairs import BATCH, Linear, Pairs, pair, trainer
from support.two_processes import on_two


class Own:
    """Loss of a user's own: a function of the difference of output and target."""

    def __init__(self, function, weight=1.0):
        self.function, self.weight = function, weight

    def __call__(self, output, target):
        return self.function((output - target).flatten(1))


def l1(weight=1.0):
    return Pixel(weight=weight, kind="l1", epsilon=1e-3)


def made(network=None, losses=None, *, scale=2, accumulate=1, ema=None, lr=1.0):
    torch.manual_seed(0)
    return ImageToImage(
        network=Linear(scale) if network is None else network,
        losses={"pixel": l1()} if losses is None else losses, scale=scale,
        optimizer=lambda weights: torch.optim.SGD(weights, lr=lr),
        gradients=Gradients(max_norm=None, accumulate=accumulate), ema_half_life=ema,
    )  # fmt: skip


def trained(model, *batches, **more):
    """Train an update on each batch; return the values of the last update."""
    fit = trainer(max_steps=len(batches), limit_val_batches=0, **more)
    fit.fit(model, Pairs(batches))
    return {name: float(value) for name, value in fit.callback_metrics.items()}


def weights(model):
    return [weight.detach().clone() for weight in model.network.parameters()]


def without(batch, index):
    keep = [i for i in range(len(batch["image"])) if i != index]
    return {name: values[keep] for name, values in batch.items()}


def test_update_descends_the_weighted_sum_of_the_losses():
    batch = pair()
    model = made(losses={"pixel": l1(0.5), "ssim": SSIM(weight=0.1)}, lr=0.1)
    network = copy.deepcopy(model.network)
    output = network(batch["input"])
    parts = {"pixel": l1()(output, batch["image"]).mean(),
             "ssim": SSIM(weight=1.0)(output, batch["image"]).mean()}  # fmt: skip
    loss = 0.5 * parts["pixel"] + 0.1 * parts["ssim"]
    loss.backward()
    expected = [weight - 0.1 * weight.grad for weight in network.parameters()]
    values = trained(model, batch)
    torch.testing.assert_close(weights(model), expected)
    assert values == pytest.approx(
        {"train/loss": float(loss), "train/num_skipped": 0.0}
        | {f"train/loss_{name}": float(value) for name, value in parts.items()}
    )


def test_no_loss_has_the_name_of_a_score():
    """A loss may have any name, also that of a score, which is another quantity."""
    losses = {name: l1() for name in (*PAIR_SCORES, *SET_SCORES, "loss", "kept", "num_skipped")}
    fit = trainer(max_steps=1)
    fit.fit(made(losses=losses), Pairs([pair()], [pair(1)]))
    of_losses = {f"{stage}/loss_{name}" for stage in ("train", "val") for name in losses}
    others = {"train/loss", "val/loss", "train/num_skipped"}
    assert set(fit.callback_metrics) == of_losses | others


def times(function, last):
    """Return a loss of differences that are multiplied by `last` in the last patch."""
    return Own(lambda d: function(torch.cat([d[:-1], last * d[-1:]])))


def norm(d):
    """Return the length of a difference, whose gradient at 0 is NaN."""
    return d.square().sum(1).sqrt()


def spoiled(name):
    batch = pair()
    batch[name][BATCH - 1, 0, 2, 2] = torch.nan
    return batch


@pytest.mark.parametrize(
    ("batch", "loss", "plain"),
    [
        (spoiled("input"), l1(), l1()),
        (spoiled("image"), l1(), l1()),
        (pair(), times(norm, torch.nan), Own(norm)),
        (pair(), times(norm, 0.0), Own(norm)),
    ],
    ids=["input", "target", "loss", "gradient"],
)
def test_patch_that_is_not_finite_is_left_out_and_counted(batch, loss, plain):
    model, other = made(losses={"pixel": loss}), made(losses={"pixel": plain})
    values = trained(model, batch)
    expected = trained(other, without(pair(), BATCH - 1))
    assert values.pop("train/num_skipped") == 1
    assert expected.pop("train/num_skipped") == 0
    assert values == pytest.approx(expected)
    torch.testing.assert_close(weights(model), weights(other))


def test_update_without_a_finite_patch_reports_a_loss_that_is_not_finite():
    """Then a run stops as diverged."""
    values = trained(made(losses={"pixel": Own(lambda d: d.sum(1) * torch.nan)}), pair())
    assert values["train/loss"] != values["train/loss"]
    assert values["train/num_skipped"] == BATCH


def test_accumulation_equals_the_whole_batch_and_counts_all_patches():
    models = [made(accumulate=number) for number in (1, 2)]
    values = [trained(model, pair(), pair(seed=1)) for model in models]
    assert values[0] == pytest.approx(values[1])
    torch.testing.assert_close(weights(models[0]), weights(models[1]))
    assert trained(made(accumulate=2), spoiled("input"))["train/num_skipped"] == 1


def test_losses_of_two_processes_count_the_patches_of_both(tmp_path):
    batch, model = spoiled("input"), made()
    parts = [{name: rows[part] for name, rows in batch.items()} for part in
             (slice(None, 2), slice(2, None))]  # fmt: skip

    def sums(rank):
        _, found, _ = model._sums(parts[rank]["input"], parts[rank]["image"])
        return {name: float(value) for name, value in module._over_processes(found).items()}

    expected = {
        name: float(v) for name, v in model._sums(batch["input"], batch["image"])[1].items()
    }
    for found in on_two(sums, tmp_path):
        assert found == pytest.approx(expected)
    assert expected["kept"] == BATCH - 1


def test_mask_is_a_channel_of_the_input_with_1_for_known_pixels():
    network = Linear(1, inputs=4)
    model = made(network, scale=1)
    batch = pair(scale=1, mask=True)
    seen = []
    network.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    trained(model, batch)
    model.transform(batch["input"], batch["mask"])
    for read in seen:
        torch.testing.assert_close(read[:, :3], batch["input"])
        assert torch.equal(read[:, 3:] == 1, batch["mask"] == 1)
        assert set(read[:, 3:].unique().tolist()) == {-1.0, 1.0}
    assert len(seen) == 2


def test_transform_uses_the_average_in_evaluation_mode_and_gives_the_same_result_twice():
    network = Linear()
    network.layers.append(nn.Dropout(0.5))
    model = made(network, ema=1.0)
    trained(model, pair(), pair(seed=1))
    model.train()
    for weight in model.network.parameters():
        weight.data.zero_()
    inputs = 5 * pair(size=(7, 5))["input"]
    first, second = model.transform(inputs), model.transform(inputs)
    assert torch.equal(first, second)
    assert first.shape == (BATCH, 3, 14, 10)
    assert first.abs().max() == 1
    assert not first.requires_grad
    assert first.std() > 0.1, "the weights that are 0 are not used"
    assert model.network.training


def test_validation_reports_the_losses_of_whole_pictures_and_returns_the_outputs():
    pictures = [pair(1, size=(12, 9)), pair(1, size=(5, 7), seed=1)]
    model = made(losses={"pixel": l1(0.5)}, ema=100.0)
    outputs = []

    class Watch(L.Callback):
        def on_validation_batch_end(self, trainer, model, out, batch, batch_idx):
            outputs.append(out["output"])

    watch = trainer(callbacks=[Watch()])
    (values,) = watch.validate(model, Pairs([pair()], pictures), verbose=False)
    found = [model.transform(picture["input"]) for picture in pictures]
    for output, expected in zip(outputs, found, strict=True):
        assert torch.equal(output, expected)
    mean = sum((o - p["image"]).abs().mean() for o, p in zip(found, pictures, strict=True)) / 2
    assert values == pytest.approx({"val/loss": float(mean) / 2, "val/loss_pixel": float(mean)})
    (tested,) = watch.test(model, Pairs([pair()], pictures), verbose=False)
    assert tested.keys() == {"test/loss", "test/loss_pixel"}


@pytest.mark.parametrize(
    ("losses", "scale", "message"),
    [
        ({}, 2, r"model\.losses has no loss: choose model/losses=pixel"),
        ({"pixel": l1(-1.0)}, 2, r"model\.losses\.pixel\.weight=-1\.0: must be 0 or more"),
        ({"pixel": l1(float("nan"))}, 2, "weight=nan: must be 0 or more"),
        ({"pixel": l1()}, 4, r"model\.scale=4: the attribute `scale` of the network is 2"),
    ],
)
def test_invalid_values_are_refused(losses, scale, message):
    with pytest.raises(ValueError, match=message):
        made(Linear(2), losses, scale=scale)


def test_network_that_does_not_state_its_scale_is_refused():
    with pytest.raises(ValueError, match="the attribute `scale` of the network is None"):
        made(nn.Identity())


def test_losses_are_summed_in_float32_if_the_model_computes_in_bfloat16():
    batch = {name: values.bfloat16() for name, values in pair().items()}
    _, sums, _ = made().bfloat16()._sums(batch["input"], batch["image"])
    assert {value.dtype for value in sums.values()} == {torch.float32}


def test_loss_that_cannot_read_the_targets_is_refused_before_training():
    data = Pairs([pair(size=(4, 4))])
    data.image_shape = (3, 8, 8)
    with pytest.raises(UserError, match=r"windows of 11x11 pixels, and the targets have 8x8"):
        trainer(max_steps=1).fit(made(losses={"ssim": SSIM(weight=1.0)}), data)


def test_model_states_the_pretrained_weights_of_a_perceptual_loss_and_does_not_save_them():
    network = EfficientNetLite0()
    distance = PerceptualDistance(network=network, stage_weights=[1, 0, 0, 0], min_size=32)
    model = made(losses={"pixel": l1(), "features": Perceptual(weight=0.1, distance=distance)})
    assert model.weights_sha256 == network.weights_sha256
    assert made().weights_sha256 is None
    assert all(name.startswith("network.") for name in model.state_dict())
    values = trained(model, pair())
    assert 0 < values["train/loss_features"] < 4
    assert values["train/loss"] == pytest.approx(
        values["train/loss_pixel"] + 0.1 * values["train/loss_features"]
    )
