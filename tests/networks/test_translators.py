"""The networks of pix2pix and CycleGAN: U-Net, residual network and discriminator of patches."""

import pytest
import torch
from torch import nn
from torch.nn.functional import interpolate

from limner.networks.doubling import Doubling, mirrored
from limner.networks.johnson import Johnson
from limner.networks.patch import HALVINGS, Discriminator
from limner.networks.unet import UNet
from support.tiny_networks import gradient_reaches_all, shaken

KINDS = {
    "unet": (UNet, {"width": 4, "max_width": 8, "depth": None, "norm": "instance",
                    "dropout": 0.0}),
    "johnson": (Johnson, {"width": 4, "num_blocks": 2, "num_styles": 1}),
}  # fmt: skip
SIZES = [(16, 16), (13, 21), (1, 9), (64, 40)]


def network(name, *, inputs=3, outputs=3, crop=16, scale=1, **other):
    torch.manual_seed(0)
    kind, options = KINDS[name]
    shapes = {"input_shape": [inputs, crop, crop], "image_shape": [outputs, crop, crop]}
    return kind(**shapes, scale=scale, **(options | other))


def patches(*, inputs=None, crop=64, **other):
    torch.manual_seed(0)
    options = {"sees_input": inputs is not None, "receptive_field": 34, "width": 4, "norm": "none"}
    shape = None if inputs is None else [inputs, crop, crop]
    return Discriminator(image_shape=[3, crop, crop], input_shape=shape, **(options | other))


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("size", SIZES)
def test_networks_change_images_of_any_size_and_gradients_reach_all_weights(name, size):
    made = shaken(network(name, inputs=1))
    outputs = made(torch.randn(2, 1, *size))
    assert outputs.shape == (2, 3, *size)
    assert outputs.abs().max() <= 1
    gradient_reaches_all(made, outputs)
    assert (made.scale, made.overlap) == (1, None)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("size", SIZES)
def test_evaluation_equals_training_for_a_single_image_too(name, size):
    """Batch norm with a batch of 1 is what makes results of other frameworks blurred or black."""
    made, images = shaken(network(name)), torch.randn(3, 3, *size)
    trained = made.train()(images)
    torch.testing.assert_close(made.eval()(images), trained)
    torch.testing.assert_close(made(images[1:2]), trained[1:2])
    assert not list(made.buffers())


def test_unet_drops_values_in_training_only_if_the_option_says_so():
    images = torch.randn(1, 3, 16, 16)
    for dropout in (0.0, 0.5):
        made = network("unet", dropout=dropout)
        assert torch.equal(made(images), made(images)) == (dropout == 0)
        made.eval()
        assert torch.equal(made(images), made(images))


@pytest.mark.parametrize(("crop", "depth"), [(16, 4), (24, 4), (64, 6), (2, 2)])
def test_unet_is_as_deep_as_the_crop_allows(crop, depth):
    made = network("unet", crop=crop)
    assert made.multiple == 2**depth
    assert network("unet", crop=crop, depth=3).multiple == 8


def test_unet_reads_the_whole_crop_for_each_pixel():
    made = shaken(network("unet", norm="none")).double()
    images = torch.randn(1, 3, 16, 16, dtype=torch.float64, requires_grad=True)
    made(images)[..., 0, 0].sum().backward()
    assert (images.grad != 0).all()


@pytest.mark.parametrize("name", KINDS)
def test_networks_treat_each_image_of_a_batch_by_itself(name):
    made, images = shaken(network(name)).double(), torch.randn(3, 3, 12, 9).double()
    torch.testing.assert_close(made(images)[1:2], made(images[1:2]))


@pytest.mark.parametrize("name", KINDS)
def test_networks_train_in_bfloat16(name):
    made = shaken(network(name))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        outputs = made(torch.randn(2, 3, 16, 16))
    assert outputs.isfinite().all()
    gradient_reaches_all(made, outputs.float())


@pytest.mark.parametrize("size", [(1, 1), (4, 7), (8, 8)])
@pytest.mark.parametrize("channels", [(3, 2), (256, 256)])
def test_doubling_equals_nearest_enlargement_and_a_convolution(size, channels):
    """The transposed form and the plain form have the same outputs and gradients."""
    made, maps = Doubling(*channels).double(), torch.randn(2, channels[0], *size).double()
    nn.init.normal_(made.conv.bias)
    expected = made.conv(interpolate(maps, scale_factor=2.0))
    torch.testing.assert_close(made(maps), expected)
    (gradient,) = torch.autograd.grad(made(maps).square().sum(), made.conv.weight)
    (wanted,) = torch.autograd.grad(expected.square().sum(), made.conv.weight)
    torch.testing.assert_close(gradient, wanted)
    assert made.is_transposed == (channels == (3, 2))


def test_networks_have_no_bias_that_a_norm_removes():
    """Such a bias has a gradient of rounding errors alone, which Adam turns into large steps."""
    for made in (network("unet"), network("johnson"), patches(norm="instance")):
        shaken(made).double()(torch.randn(2, 3, 64, 64).double()).square().sum().backward()
        for name, weight in made.named_parameters():
            assert weight.grad.abs().max() > 1e-9, name


def test_mirrored_repeats_the_last_pixel_and_goes_back():
    row = torch.tensor([1.0, 2, 3]).view(1, 1, 1, 3)
    assert mirrored(row, multiple=8)[0, 0, 0].tolist() == [1, 2, 3, 3, 2, 1, 1, 2]
    assert mirrored(row, multiple=8).shape == (1, 1, 8, 8)
    assert torch.equal(mirrored(row, multiple=1), row)


@pytest.mark.parametrize("field", HALVINGS)
@pytest.mark.parametrize("norm", ["none", "spectral"])
def test_logit_depends_on_as_many_pixels_as_the_receptive_field_says(field, norm):
    made = patches(receptive_field=field, norm=norm, crop=256).double().eval()
    images = torch.randn(1, 3, 320, 320, dtype=torch.float64, requires_grad=True)
    logits = made(images)
    side = int(logits.shape[1] ** 0.5)
    logits.view(side, side)[side // 2, side // 2].backward()
    for axis in (2, 3):
        reached = images.grad.abs().amax([a for a in range(4) if a != axis]).nonzero()
        assert reached.max() - reached.min() + 1 == field


@pytest.mark.parametrize("norm", ["none", "spectral", "instance"])
def test_discriminator_has_logits_for_images_of_several_sizes_and_no_running_statistics(norm):
    made = shaken(patches(norm=norm)) if norm != "spectral" else patches(norm=norm)
    assert made(torch.randn(2, 3, 64, 64)).shape == (2, 14**2)
    images = torch.randn(2, 3, 12, 40)
    logits = made(images)
    assert logits.shape == (2, 1 * 8)
    gradient_reaches_all(made, logits)
    if norm == "instance":
        torch.testing.assert_close(made.eval()(images[:1]), logits[:1])
        assert not list(made.buffers())


def test_discriminator_that_sees_the_input_reacts_to_it():
    made = patches(inputs=1, norm="instance")
    images, inputs = torch.randn(2, 3, 64, 64), torch.randn(2, 1, 64, 64)
    logits = made(torch.cat([images, inputs], 1))
    assert not torch.allclose(logits, made(torch.cat([images, inputs.flip(0)], 1)))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: network("unet", scale=2), r"data\.scale is 2: choose network=srresnet"),
        (lambda: network("johnson", scale=2), r"data\.scale is 2: choose network=srresnet"),
        (lambda: network("unet", depth=1), r"network\.restorer\.depth=1: must be 2 or more"),
        (lambda: network("unet", norm="batch"), "norm=batch: choose one of instance, none"),
        (lambda: network("unet", dropout=1.0), r"dropout=1\.0: must be 0 or more, and below 1"),
        (lambda: patches(receptive_field=71), "receptive_field=71: choose one of 16, 34, 70, 142"),
        (lambda: patches(norm="batch"), r"discriminator\.norm=batch: choose one of instance"),
        (lambda: patches(crop=11), r"needs crops of 12 pixels or more, and .* is \[3, 11, 11\]"),
    ],
)
def test_networks_refuse_values_with_the_key_to_change(make, message):
    with pytest.raises(ValueError, match=message):
        make()
