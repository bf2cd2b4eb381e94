"""Spectral norm bounds every weight and supports second derivatives."""

import copy

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

from support.tiny_networks import discriminator

SHAPE = (3, 16, 16)
LABELS = torch.tensor([0, 1, 2, 1])
CASES = [
    (name, condition)
    for name in ("dcgan", "mlp", "resnet")
    for condition in ("none", "concat", "projection", "auxiliary")
]


def weights(network):
    """Return the weights under spectral norm, as matrices."""
    layers = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    return [layer.weight.flatten(1) for layer in layers]


@pytest.mark.parametrize(("name", "condition"), CASES)
def test_spectral_norm_makes_the_largest_singular_value_one(name, condition):
    bounded = discriminator(name, SHAPE, condition, spectral_norm=True)
    for _ in range(30):
        bounded(torch.randn(4, *SHAPE), LABELS)
    norms = [torch.linalg.matrix_norm(weight, 2).item() for weight in weights(bounded.eval())]
    assert norms == pytest.approx([1.0] * len(norms), abs=0.02)
    free = weights(discriminator(name, SHAPE, condition))
    assert len(free) == len(norms)
    assert any(abs(torch.linalg.matrix_norm(weight, 2) - 1) > 0.1 for weight in free)


def test_spectral_norm_makes_a_perceptron_lipschitz():
    network = discriminator("mlp", SHAPE, spectral_norm=True)
    for _ in range(30):
        network(torch.randn(2, *SHAPE))
    near, far = torch.randn(2, 200, *SHAPE)
    rise = (network(near) - network(far)).abs() / (near - far).flatten(1).norm(dim=1)
    assert rise.max() <= 1.01


@pytest.mark.parametrize("spectral_norm", [False, True])
@pytest.mark.parametrize(
    ("name", "condition", "norm"),
    [(*case, "none") for case in CASES]
    + [("dcgan", "none", "layer"), ("resnet", "none", "layer")],
)
def test_gradient_penalty_under_spectral_norm_has_the_right_gradient(
    name, condition, norm, spectral_norm
):
    """The derivative in a random direction of the parameters equals a difference quotient."""
    network = discriminator(name, (1, 8, 8), condition, norm=norm, spectral_norm=spectral_norm)
    network = network.double().eval()
    images = torch.randn(4, 1, 8, 8, dtype=torch.double)
    direction = [torch.randn_like(p) * p.std(correction=0) for p in network.parameters()]

    def penalty(step):
        moved = copy.deepcopy(network)
        for p, d in zip(moved.parameters(), direction, strict=True):
            p.data.add_(d, alpha=step)
        entry = images.clone().requires_grad_()
        logits = moved(entry, LABELS).sum()
        (gradient,) = torch.autograd.grad(logits, entry, create_graph=True)
        return gradient.square().sum(), list(moved.parameters())

    slopes = torch.autograd.grad(*penalty(0.0), materialize_grads=True)
    slope = sum((s * d).sum() for s, d in zip(slopes, direction, strict=True))
    quotient = (penalty(1e-6)[0] - penalty(-1e-6)[0]) / 2e-6
    assert slope.item() == pytest.approx(quotient.item(), rel=1e-4)
    assert slope.abs() > 0


def test_spectral_norm_does_one_power_iteration_per_training_pass_and_none_in_evaluation():
    network = discriminator("dcgan", SHAPE, spectral_norm=True)
    conv = network.layers[0]
    state, images = conv.parametrizations.weight[0], torch.randn(2, *SHAPE)
    # The power iteration has to move from this start.
    nn.init.normal_(conv.parametrizations.weight.original)
    u, v = state._u.clone(), state._v.clone()
    matrix = conv.parametrizations.weight.original.detach().flatten(1)
    network.eval()(images)
    assert torch.equal(state._u, u)
    network.train()(images)
    u = nn.functional.normalize(matrix @ v, dim=0)
    v = nn.functional.normalize(matrix.T @ u, dim=0)
    assert torch.allclose(state._u, u, atol=1e-5)
    assert torch.allclose(state._v, v, atol=1e-5)
    with parametrize.cached():
        network(images), network(images)
    assert torch.allclose(state._u, nn.functional.normalize(matrix @ v, dim=0), atol=1e-5)


def test_weights_are_initialised_before_spectral_norm_is_applied():
    """After spectral norm is applied, nn.init would only change a computed copy."""
    network = discriminator("dcgan", (3, 32, 32), spectral_norm=True, width=64, max_width=64)
    for layer in (*network.layers[3::3], network.classify):
        original = layer.parametrizations.weight.original
        assert original.std().item() == pytest.approx(0.02, rel=0.1)


def test_two_passes_with_spectral_norm_may_share_a_backward():
    network = discriminator("resnet", SHAPE, "projection", spectral_norm=True)
    real, fake = torch.randn(2, 4, *SHAPE)
    (network(real, LABELS) - network(fake, LABELS)).mean().backward()
    assert all(p.grad is not None for p in network.parameters())


def test_copy_and_state_dict_hold_the_power_iteration():
    network = discriminator("resnet", SHAPE, "projection", spectral_norm=True)
    images = torch.randn(4, *SHAPE)
    network(images, LABELS)
    twin, loaded = copy.deepcopy(network), discriminator(
        "resnet", SHAPE, "projection", spectral_norm=True
    )  # fmt: skip
    loaded.load_state_dict(network.state_dict())
    expected = network(images, LABELS)
    assert torch.equal(twin(images, LABELS), expected)
    assert torch.equal(loaded(images, LABELS), expected)


@pytest.mark.parametrize(("name", "condition"), CASES)
def test_spectral_norm_works_in_mixed_precision(name, condition):
    network = discriminator(name, SHAPE, condition, spectral_norm=True)
    images = torch.randn(4, *SHAPE)
    with torch.autocast("cpu", torch.bfloat16):
        rough = network(images, LABELS)
    rough.float().sum().backward()
    assert all(p.grad.dtype == torch.float32 for p in network.parameters())
    assert torch.allclose(rough.float(), network(images, LABELS), atol=0.05, rtol=0.05)
