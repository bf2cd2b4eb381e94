"""Style transfer: losses relative to the first batch, styles drawn per image, pictures kept."""

import copy

import lightning as L
import pytest
import torch
from torch import nn

from limner.models import StyleTransfer
from support.pairs import BATCH, Linear, Pairs, pair
from support.styles import Painter, pixel, style_model
from support.two_processes import on_two

TWO = ("brick.png", "coffee.png")


def batch(seed=0, num=BATCH):
    found = pair(num, size=(16, 16), scale=1, seed=seed)
    return found | {"input": found["image"]}


def whole(seed, size=(20, 12)):
    found = pair(1, size=size, scale=1, seed=seed)
    return found | {"input": found["image"], "index": torch.tensor([seed]),
                    "weight": torch.ones(1)}  # fmt: skip


def trained(model, *batches, pictures=(), **more):
    fit = L.Trainer(
        accelerator="cpu", logger=False, enable_progress_bar=False, enable_checkpointing=False,
        enable_model_summary=False, num_sanity_val_steps=0, max_steps=len(batches), **more,
    )  # fmt: skip
    fit.fit(model, Pairs(batches, pictures))
    return {name: float(value) for name, value in fit.callback_metrics.items()}


def losses_of(model, output, images, styles):
    return {name: v.detach() for name, v in model._losses(output, images, styles).items()}


@pytest.mark.parametrize("styles", [("brick.png",), TWO])
def test_losses_are_1_on_the_first_batch_for_a_copy_and_for_other_pictures(styles):
    model, first = style_model(styles=styles, lr=0.0), batch()
    trained(model, first, batch(1))
    images = first["image"]
    for style in range(len(styles)):
        numbers = torch.full((BATCH,), style)
        copied = losses_of(model, images, images, numbers)
        assert copied["loss_content"].abs().max() == 0
        assert copied["loss_gram"].mean() == pytest.approx(1.0, abs=1e-4)
        other = losses_of(model, images.roll(1, 0), images, numbers)
        assert other["loss_content"].mean() == pytest.approx(1.0, abs=1e-4)
        painted = model.style_pixels[style].float()[None].expand(BATCH, -1, -1, -1) / 127.5 - 1
        assert losses_of(model, painted, images, numbers)["loss_gram"].max() < 1e-6


def test_images_of_numbers_that_are_not_finite_do_not_count_in_the_divisors():
    model, other, spoiled = style_model(lr=0.0), style_model(lr=0.0), batch()
    without = {name: values[1:] for name, values in batch().items()}
    spoiled["image"] = spoiled["image"].clone()
    spoiled["image"][0, 0, 0, 0] = torch.nan
    assert trained(model, spoiled)["train/num_skipped"] == 1
    trained(other, without)
    torch.testing.assert_close(model.gram_divisor, other.gram_divisor)
    torch.testing.assert_close(model.content_divisor, other.content_divisor)


def test_divisors_wait_for_a_batch_with_a_finite_image():
    model, spoiled = style_model(lr=0.0), batch()
    spoiled["image"] = torch.full_like(spoiled["image"], torch.nan)
    trained(model, spoiled)
    assert (model.gram_divisor == 0).all()
    trained(model, spoiled, batch())
    assert (model.gram_divisor > 0).all()


def test_divisors_of_two_processes_are_those_of_both_batches(tmp_path):
    images = batch()["image"]
    model = style_model(styles=TWO)
    model._divide_by(images)

    def divisors(rank):
        own = style_model(styles=TWO)
        assert own._divide_by(images[2 * rank :][:2])
        return own.gram_divisor

    for found in on_two(divisors, tmp_path):
        torch.testing.assert_close(found, model.gram_divisor)


def test_single_image_is_compared_with_its_mirror_image():
    model, images = style_model(), batch()["image"][:1]
    assert model._divide_by(images)
    expected = model.losses["content"].terms(images, images.flip(3))[0]
    torch.testing.assert_close(model.content_divisor, expected)


def test_update_descends_content_plus_gram_plus_other_losses():
    model, images = style_model(gram_weight=3.0, losses={"pixel": pixel(0.5)}), batch()
    network = copy.deepcopy(model.network)
    values = trained(model, images)
    output = network(images["input"])
    parts = model._losses(output, images["image"], torch.zeros(BATCH, dtype=torch.int64))
    parts = {name: value.mean() for name, value in parts.items()}
    loss = parts["loss_content"] + 3 * parts["loss_gram"] + 0.5 * parts["loss_pixel"]
    loss.backward()
    expected = [weight - 0.1 * weight.grad for weight in network.parameters()]
    torch.testing.assert_close(list(model.network.parameters()), expected)
    assert values["train/loss"] == pytest.approx(float(loss))
    assert values["train/loss_gram"] == pytest.approx(float(parts["loss_gram"]))


def test_gram_loss_falls_in_training():
    before = trained(style_model(gram_weight=10.0, lr=0.002), batch())["train/loss_gram"]
    after = trained(style_model(gram_weight=10.0, lr=0.002), *[batch()] * 30)["train/loss_gram"]
    assert after < 0.5 * before


def test_styles_are_drawn_for_each_image_and_do_not_depend_on_accumulation():
    seen = []
    for accumulate in (1, 2):
        model = style_model(styles=TWO, accumulate=accumulate)
        model._output, read = _spy(model._output), []
        model.noise.start(3, rank=0, world_size=1)
        model._output.seen = read
        trained(model, batch(num=16))
        assert len(read) == accumulate
        seen.append(torch.cat(read))
    assert torch.equal(*seen)
    assert set(seen[0].tolist()) == {0, 1}


def _spy(function):
    def called(inputs, styles):
        called.seen.append(styles)
        return function(inputs, styles)

    return called


def test_transform_paints_in_the_style_of_a_name():
    model, images = style_model(styles=("a/brick.png", "b/coffee.jpg")), batch()["image"]
    assert model.choices == {"style": ("brick", "coffee")}
    with torch.no_grad():
        model.network.norm.beta[1] = 1.0
    brick, coffee = (model.transform(images, style=name) for name in ("brick", "coffee"))
    assert torch.equal(brick, model.transform(images))
    assert (coffee > brick).float().mean() > 0.9
    assert coffee.abs().max() <= 1


@pytest.mark.parametrize("styles", [("brick.png",), TWO])
def test_validation_reports_content_and_gram_relative_to_the_pictures(styles):
    model = style_model(styles=styles, gram_weight=2.0, lr=0.0, losses={"pixel": pixel(0.5)})
    with torch.no_grad():  # the network copies its input, if there is one style
        nn.init.dirac_(model.network.layer.weight)
        model.network.layer.bias.zero_()
    pictures = [whole(0), whole(1, (12, 20)), whole(2, (16, 16))]
    values = trained(model, batch(), pictures=pictures)
    loss = (
        values["val/loss_content"] + 2 * values["val/loss_gram"] + 0.5 * values["val/loss_pixel"]
    )
    assert values["val/loss"] == pytest.approx(loss)
    if len(styles) == 1:
        assert values["val/loss_content"] == pytest.approx(0, abs=1e-6)
        assert values["val/loss_gram"] == pytest.approx(1, abs=1e-5)
    else:
        assert 0 < values["val/loss_content"] < 2


def test_state_dict_brings_the_style_pictures_and_the_divisors():
    model, other = style_model(styles=TWO), style_model(styles=("brick.png", "coffee.png"))
    trained(model, batch())
    other.style_pixels.zero_()
    other.load_state_dict(model.state_dict())
    assert torch.equal(other.style_pixels, model.style_pixels)
    before = other.gram_divisor.clone()
    trained(other, batch(5))
    assert torch.equal(other.gram_divisor, before), "the first batch of the run decides"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"styles": []}, r"model\.styles=\[\]: must name one or several pictures"),
        ({"styles": ["a/x.png", "b/x.jpg"]}, "two pictures have the name x"),
        ({"style_size": 0}, r"model\.style_size=0: must be 1 or more"),
        ({"network": Painter(2)}, "1 picture, and the network paints 2 styles: choose network="),
        ({"styles": list(TWO), "network": Linear(1)}, "2 pictures, and the network paints 1 sty"),
        ({"losses": {"content": pixel(), "gram": pixel()}}, r"model\.losses\.content is missing"),
        ({"losses": {}}, "choose model/losses=style"),
    ],
)  # fmt: skip
def test_model_refuses_what_does_not_fit(change, message):
    model = style_model()
    arguments = {
        "network": Painter(), "losses": model.losses, "styles": ["brick.png"], "style_size": 16,
        "image_shape": (3, 8, 8), "scale": 1, "optimizer": model.optimizer,
        "gradients": model.gradients, "ema_half_life": None,
    }  # fmt: skip
    assert StyleTransfer(**arguments | {"styles": "brick.png"}).num_styles == 1
    with pytest.raises(ValueError, match=message):
        StyleTransfer(**arguments | change)
