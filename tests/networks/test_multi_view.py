import pytest
import torch

from limner.networks.multi_view import MultiView
from limner.networks.view_attention import RowAttention, WindowAttention
from support.tiny_networks import gradient_reaches_all, shaken

ATTENTIONS = {
    "window": lambda scale: WindowAttention(scale=scale, radius=1, smoothing=1),
    "rows": lambda scale: RowAttention(scale=scale, smoothing=1),
}


def network(kind, *, scale=2, width=8):
    torch.manual_seed(0)
    return shaken(
        MultiView(
            input_shape=[3, 8, 8], image_shape=[3, 8 * scale, 8 * scale], scale=scale, width=width,
            num_encoder_blocks=1, value_width=2, num_blocks=1, attention=ATTENTIONS[kind](scale),
        )
    )  # fmt: skip


@pytest.mark.parametrize("kind", ATTENTIONS)
@pytest.mark.parametrize("num_views", [1, 2, 3, 5])
def test_equal_views_give_the_result_of_a_single_picture(kind, num_views):
    made, picture = network(kind), torch.randn(2, 3, 9, 13)
    views = picture[:, None].expand(-1, num_views, -1, -1, -1)
    torch.testing.assert_close(made(views), made(picture), rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", ATTENTIONS)
def test_other_views_change_the_result_but_their_order_does_not(kind):
    made, views = network(kind), torch.randn(2, 3, 3, 9, 13)
    result = made(views)
    assert (result - made(views[:, 1])).abs().max() > 1e-3
    torch.testing.assert_close(result, made(views[:, [2, 1, 0]]))
    assert (result - made(views[:, [1, 0, 2]])).abs().max() > 1e-3, "another reference"


@pytest.mark.parametrize("kind", ATTENTIONS)
@pytest.mark.parametrize("num_views", [1, 2, 4])
def test_gradients_reach_all_weights_from_any_number_of_views(kind, num_views):
    made = network(kind, scale=3)
    outputs = made(torch.randn(2, num_views, 3, 9, 6))
    assert outputs.shape == (2, 3, 27, 18)
    gradient_reaches_all(made, outputs)


@pytest.mark.parametrize(
    ("radius", "smoothing", "num_encoder_blocks"), [(1, 3, 0), (1, 1, 2), (2, 0, 1), (0, 2, 1)]
)
def test_output_pixel_depends_on_no_pixel_beyond_the_stated_number(
    radius, smoothing, num_encoder_blocks
):
    attention = WindowAttention(scale=2, radius=radius, smoothing=smoothing)
    made = shaken(
        MultiView(
            input_shape=[3, 8, 8], image_shape=[3, 16, 16], scale=2, width=8, value_width=2,
            num_encoder_blocks=num_encoder_blocks, num_blocks=1, attention=attention,
        )
    ).double()  # fmt: skip
    with torch.no_grad():
        attention.sharpness.zero_()  # so that every offset has some weight
    side, centre = 2 * made.overlap + 5, made.overlap + 2
    views = torch.rand(1, 2, 3, side, side, dtype=torch.float64)
    pixel = (..., slice(2 * centre, 2 * centre + 2), slice(2 * centre, 2 * centre + 2))
    before = made(views)[pixel]
    for distance in (made.overlap, made.overlap + 1):
        changed = views.clone()
        for edge in (centre - distance, centre + distance):
            changed[..., edge, :] += 1
            changed[..., :, edge] += 1
        is_same = torch.equal(made(changed)[pixel], before)
        assert is_same == (distance > made.overlap)


def test_output_pixel_of_rows_depends_on_whole_rows():
    made = network("rows").double()
    views = torch.randn(1, 2, 3, 31, 40, dtype=torch.float64, requires_grad=True)
    made(views)[..., 30:32, :2].square().sum().backward()
    assert views.grad.abs().amax((0, 1, 2))[15].all()
    assert made.overlap is None


def test_views_of_which_one_is_shifted_do_not_blur_the_enlarged_reference():
    """The bicubic base is that of the reference alone."""
    made = network("window")
    with torch.no_grad():
        for parameter in made.tail.parameters():
            parameter.zero_()
    views = torch.randn(1, 3, 3, 8, 8)
    assert torch.equal(made(views), made.enlarge(views[:, 1]))
