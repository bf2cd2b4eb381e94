"""Path length: closed forms for linear generators, and its moving average."""

import math

import pytest
import torch

from limner.losses.path_length import PathLength

SHAPE = (2, 4, 8)


class Linear:
    """A generator whose Jacobian is a matrix."""

    def __init__(self, style_dim):
        self.matrix = torch.randn(math.prod(SHAPE), style_dim)

    def __call__(self, w):
        return (w @ self.matrix.T).unflatten(1, SHAPE)


def path_length(average=None, *, decay=0.01):
    made = PathLength(decay=decay, shrink=1)
    if average is not None:
        made.observe(torch.tensor([average]))
    return made


def test_path_length_of_a_linear_generator_is_the_norm_of_its_product():
    paint, w, normal = Linear(5), torch.randn(6, 5, requires_grad=True), torch.randn(6, *SHAPE)
    expected = (normal.flatten(1) @ paint.matrix).norm(dim=1) / math.sqrt(4 * 8)
    values, lengths = path_length(0.7)(paint, w, normal)
    torch.testing.assert_close(lengths, expected)
    torch.testing.assert_close(values, (expected - 0.7).square())


def test_mean_square_of_the_lengths_is_the_size_of_the_jacobian():
    """E |J^T y|^2 = |J|^2 / (H W), so one draw of y stands for all directions."""
    paint, w = Linear(5), torch.zeros(4000, 5, requires_grad=True)
    _, lengths = path_length()(paint, w, torch.randn(4000, *SHAPE))
    expected = paint.matrix.square().sum().item() / (4 * 8)
    assert lengths.square().mean().item() == pytest.approx(expected, rel=0.05)


def test_gradient_of_the_penalty_makes_lengths_equal_to_the_average():
    """Images w^2 / 2 have the Jacobian diag(w), so a step on the penalty changes the length."""
    paint = lambda w: (w.square() / 2).view(-1, 1, 1, 4)  # noqa: E731
    for average, grows in ((5.0, True), (0.1, False)):
        w = torch.rand(3, 4).add(1).requires_grad_()
        values, lengths = path_length(average)(paint, w, torch.ones(3, 1, 1, 4))
        (gradient,) = torch.autograd.grad(values.sum(), w)
        torch.testing.assert_close(lengths, w.detach().norm(dim=1) / 2)
        assert ((gradient < 0) == grows).all()


def test_first_step_has_no_penalty_whatever_the_other_images_are():
    paint, w = Linear(5), torch.randn(6, 5, requires_grad=True)
    values, lengths = path_length()(paint, w, torch.randn(6, *SHAPE))
    assert torch.equal(values, torch.zeros(6))
    assert (lengths > 0).all()


def test_average_starts_as_a_plain_mean_and_forgets_later():
    penalty, means = path_length(decay=0.1), torch.randn(40).tolist()
    for mean in means[:10]:
        penalty.observe(torch.tensor([mean - 1, mean + 1]))
    expected = sum(means[:10]) / 10
    assert penalty.mean.item() == pytest.approx(expected, abs=1e-5)
    for mean in means[10:]:
        penalty.observe(torch.tensor([mean]))
        expected = 0.9 * expected + 0.1 * mean
    assert penalty.mean.item() == pytest.approx(expected, abs=1e-5)
    assert set(penalty.state_dict()) == {"mean", "num_steps"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"decay": 0.0, "shrink": 2}, r"decay=0.0: must be in \(0, 1\]"),
        ({"decay": 0.1, "shrink": 0}, "shrink=0: must be 1 or more"),
    ],
)
def test_path_length_refuses_arguments_out_of_range(arguments, message):
    with pytest.raises(ValueError, match=message):
        PathLength(**arguments)
