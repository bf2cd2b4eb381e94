"""Every network for image-to-image models: sizes, reach, initial output and gradients."""

import pytest
import torch
from torch.nn.functional import interpolate

from limner.networks.edsr import EDSR
from limner.networks.multi_view import MultiView
from limner.networks.nafnet import NAFNet
from limner.networks.span import SPAN
from limner.networks.srresnet import SRResNet
from limner.networks.view_attention import WindowAttention
from support.tiny_networks import gradient_reaches_all, shaken

KINDS = {
    "srresnet": (SRResNet, {"width": 4, "num_blocks": 2}),
    "edsr": (EDSR, {"width": 4, "num_blocks": 2, "residual_scaling": 1.0, "enlargement": "steps"}),
    "direct": (EDSR, {"width": 4, "num_blocks": 2, "residual_scaling": 0.5,
                      "enlargement": "direct"}),
    "span": (SPAN, {"width": 4, "num_blocks": 2}),
    "multi_frame": (MultiView, {"width": 4, "num_encoder_blocks": 1, "value_width": 2,
                                "num_blocks": 1}),
    "nafnet": (NAFNet, {"width": 4, "encoder_blocks": [1, 1], "middle_blocks": 1,
                        "decoder_blocks": [1, 1]}),
}  # fmt: skip
LOCAL = [
    (name, scale)
    for name in KINDS
    if name not in ("nafnet", "multi_frame")
    for scale in (1, 2, 3, 4)
]
ALL = [*LOCAL, ("nafnet", 1), ("multi_frame", 2), ("multi_frame", 3)]


def network(name, scale, *, inputs=3, outputs=3, **other):
    torch.manual_seed(0)
    kind, options = KINDS[name]
    if kind is MultiView:
        other["attention"] = WindowAttention(scale=scale, radius=1, smoothing=1)
    shapes = {"input_shape": [inputs, 8, 8], "image_shape": [outputs, 8 * scale, 8 * scale]}
    return kind(**shapes, scale=scale, **(options | other))


@pytest.mark.parametrize(("name", "scale"), ALL)
@pytest.mark.parametrize("size", [(8, 8), (5, 7), (1, 13)])
def test_networks_enlarge_images_of_any_size_and_gradients_reach_all_weights(name, scale, size):
    made = shaken(network(name, scale, inputs=4))
    outputs = made(torch.randn(2, 4, *size))
    assert outputs.shape == (2, 3, scale * size[0], scale * size[1])
    assert made.scale == scale
    gradient_reaches_all(made, outputs)


@pytest.mark.parametrize(("name", "scale"), LOCAL)
def test_output_pixel_depends_on_the_stated_number_of_pixels_and_no_more(name, scale):
    """A gradient that is 0 beyond `overlap` lets tiles equal the whole image."""
    made = shaken(network(name, scale)).double()
    side, centre = 2 * made.overlap + 5, made.overlap + 2
    inputs = torch.randn(1, 3, side, side, dtype=torch.float64, requires_grad=True)
    outputs = made(inputs)
    pixel = slice(scale * centre, scale * (centre + 1))
    outputs[:, :, pixel, pixel].square().sum().backward()
    rows = inputs.grad.abs().amax((0, 1, 3)).nonzero().flatten() - centre
    columns = inputs.grad.abs().amax((0, 1, 2)).nonzero().flatten() - centre
    for reached in (rows, columns):
        assert reached.min() == -made.overlap
        assert reached.max() == made.overlap
    assert made.multiple == 1


def test_nafnet_depends_on_the_whole_image():
    made = shaken(network("nafnet", 1)).double()
    inputs = torch.randn(1, 3, 64, 64, dtype=torch.float64, requires_grad=True)
    made(inputs)[..., 0, 0].sum().backward()
    assert inputs.grad[..., 60:, 60:].any()
    assert (made.overlap, made.multiple) == (None, 4)


@pytest.mark.parametrize(("name", "scale"), ALL)
def test_untrained_networks_are_near_bicubic_enlargement(name, scale):
    images = torch.rand(1, 4, 12, 10) * 2 - 1
    expected = images[:, :3]
    if scale > 1:  # with antialias, torch's kernel has a = -0.5
        expected = interpolate(expected, scale_factor=scale, mode="bicubic", antialias=True)
    inside = (..., slice(2 * scale, -2 * scale), slice(2 * scale, -2 * scale))
    outputs = network(name, scale, inputs=4, width=32)(images)
    assert (outputs - expected)[inside].square().mean().sqrt() < 0.03
    assert not torch.equal(outputs, expected)


@pytest.mark.parametrize(("name", "scale"), ALL)
def test_networks_treat_each_image_of_a_batch_by_itself(name, scale):
    made, images = shaken(network(name, scale)).double(), torch.randn(3, 3, 9, 6).double()
    torch.testing.assert_close(made(images)[1:2], made(images[1:2]))


def test_nafnet_pads_without_a_change_of_sizes_that_divide():
    made, images = shaken(network("nafnet", 1)), torch.randn(1, 3, 8, 12)
    assert made(images[..., :7, :9]).shape == (1, 3, 7, 9)
    assert made(images).shape == images.shape


@pytest.mark.parametrize(
    ("name", "words", "message"),
    [
        ("nafnet", {"scale": 2}, r"data\.scale is 2: choose network=srresnet"),
        ("nafnet", {"scale": 1, "decoder_blocks": [1]}, "one number for each of the 2 levels"),
        ("nafnet", {"scale": 1, "middle_blocks": -1}, "numbers of 0 or more"),
        ("span", {"scale": 2, "num_blocks": 1}, "num_blocks=1: must be 2 or more"),
        ("edsr", {"scale": 0}, r"scale=0: must be 1 or more \(data\.scale\)"),
        ("srresnet", {"scale": 2, "inputs": 1}, "needs the 3 channels of the target"),
    ],
)
def test_networks_refuse_values_with_the_key_to_change(name, words, message):
    with pytest.raises(ValueError, match=message):
        network(name, **words)
