"""Pixel losses: closed forms and gradients."""

import pytest
import torch

from limner.losses.pixel import Pixel

OUTPUT = torch.tensor([[[[0.5, -0.25]]], [[[0.0, 0.0]]]])
FORMS = {
    "l1": (0.375, 0.0),
    "l2": (0.15625, 0.0),
    "charbonnier": ((0.26**0.5 + 0.0725**0.5) / 2, 0.1),
}


@pytest.mark.parametrize("kind", FORMS)
def test_pixel_losses_have_their_closed_forms_for_each_image(kind):
    found = Pixel(weight=1.0, kind=kind, epsilon=0.1)(OUTPUT, torch.zeros_like(OUTPUT))
    torch.testing.assert_close(found, torch.tensor(FORMS[kind]))


@pytest.mark.parametrize("kind", FORMS)
def test_pixel_losses_have_a_finite_gradient_where_output_and_target_are_equal(kind):
    output = torch.zeros(1, 3, 4, 4, requires_grad=True)
    Pixel(weight=1.0, kind=kind, epsilon=1e-3)(output, output.detach()).sum().backward()
    assert torch.equal(output.grad, torch.zeros_like(output))


def test_epsilon_of_0_is_refused():
    with pytest.raises(ValueError, match=r"epsilon=0: must be above 0"):
        Pixel(weight=1.0, kind="charbonnier", epsilon=0)
