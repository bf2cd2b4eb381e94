"""StyleGAN2: codes, styles and noise of the generator, and the conditions of both networks."""

import itertools

import pytest
import torch

from limner.networks import stylegan2
from support.tiny_networks import DIM, discriminator, generator, gradient_reaches_all

SHAPE = (3, 16, 24)


def codes_for(network, num_images=4, *, seed=0):
    numbers = torch.Generator().manual_seed(seed)
    return torch.randn(num_images, DIM + network.num_draws, generator=numbers)


def made(**more):
    return generator("stylegan2", SHAPE, **more)


def with_noise(network):
    """Let the noise inputs have an effect, and return the network."""
    for layer in network.layers:
        torch.nn.init.ones_(layer.noise_strength)
    return network


def test_generator_for_1024_pixels_has_the_layers_and_parameters_of_the_paper():
    """18 styles (section 5), and about 30 M parameters for each network (table 1)."""
    shape = {"image_shape": (3, 1024, 1024), "width": 32, "max_width": 512}
    mapped = {"num_mapping_layers": 8, "mapping_multiplier": 0.01, "num_classes": None}
    with torch.device("meta"):
        g = stylegan2.Generator(
            latent_dim=512, style_dim=512, mixing=0.9, noise=True, condition="none", **shape,
            **mapped,
        )  # fmt: skip
        d = stylegan2.Discriminator(
            residual=True, group_size=4, condition="none", **shape, **mapped
        )
    assert g.num_styles == 18
    assert g.num_noise == sum((4 << k) ** 2 * (1 if k == 0 else 2) for k in range(9))
    sizes = [sum(p.numel() for p in network.parameters()) for network in (g, d)]
    assert sizes == pytest.approx([30e6, 29e6], rel=0.02)


@pytest.mark.parametrize("width", [16, 64])
def test_layers_keep_the_mean_square_of_their_inputs_at_the_start(width):
    """The rule of the equalised learning rate, at any width.

    Demodulation assumes inputs of unit variance and no edge; the filter behind a doubling layer
    lowers the mean square to 4 * (20 / 64)^2 = 0.39 for maps of independent pixels.
    """
    network, seen = generator("stylegan2", (3, 32, 32), width=width, max_width=2 * width), []
    for layer in network.layers:
        layer.register_forward_hook(
            lambda layer, args, out: seen.append(out.square().mean().item())
        )
    network.paint(network.styles(torch.randn(32, DIM)))
    assert 0.5 < seen[0] / network.constant.square().mean() < 1.1
    for k, (before, after) in enumerate(itertools.pairwise(seen)):
        least = 0.2 if k % 2 == 0 else 0.5
        assert least < after / before < 2
    judge = discriminator("stylegan2", (3, 32, 32), width=width, max_width=2 * width)
    maps = torch.randn(8, width, 32, 32)
    for block in judge.blocks:
        after = block(maps)
        assert 0.2 < after.square().mean() / maps.square().mean() < 1.5
        maps = after


def test_gradient_reaches_all_weights_through_codes_with_noise():
    network = made()
    gradient_reaches_all(network, network(codes_for(network)))


def test_code_without_noise_paints_the_styles_with_noise_of_zeros():
    network = with_noise(made()).eval()
    z = torch.randn(4, DIM)
    zeros = torch.zeros(4, network.num_draws)
    expected = network.paint(network.styles(z))
    torch.testing.assert_close(network(z), expected)
    torch.testing.assert_close(network(torch.cat([z, zeros], dim=1)), expected)
    noise = torch.randn(4, network.num_noise)
    assert not torch.allclose(network.paint(network.styles(z), noise), expected)


def test_generator_without_noise_inputs_reads_styles_and_mixing_only():
    network = made(noise=False)
    assert network.num_noise == 0
    assert not [n for n, _ in network.named_parameters() if "noise" in n]
    assert made(noise=False, mixing=0.0).num_draws == 0
    codes = codes_for(network)
    assert codes.shape[1] == 2 * DIM + 2
    z = codes[:, :DIM]
    torch.testing.assert_close(network.eval()(codes), network.paint(network.styles(z)))
    assert not torch.allclose(network.train()(codes), network(z))


def test_style_for_all_layers_equals_one_style_for_each_layer():
    network = made()
    w = network.styles(torch.randn(2, DIM))
    each = w[:, None].expand(-1, network.num_styles, -1)
    torch.testing.assert_close(network.paint(each), network.paint(w))
    other = each.clone()
    for k in range(network.num_styles):  # every style has an effect
        other[:, k] += 1
        assert not torch.allclose(network.paint(other), network.paint(each))
        other[:, k] -= 1


def test_image_does_not_depend_on_the_other_images_of_a_batch():
    network = with_noise(made())
    codes = codes_for(network)
    torch.testing.assert_close(network(codes)[1:3], network(codes[1:3]))


def test_modulations_are_the_directions_that_change_the_image():
    """Layer k does not see a step of w_k that its linear layer maps to 0."""
    network = made(style_dim=40)
    weights = network.modulations()
    assert len(weights) == network.num_styles
    each = network.styles(torch.randn(2, DIM))[:, None].repeat(1, network.num_styles, 1)
    before = network.paint(each)
    for k, weight in enumerate(weights):
        *_, rows = torch.linalg.svd(weight)
        for row, is_seen in ((rows[-1], False), (rows[0], True)):
            moved = each.clone()
            moved[:, k] += 3 * row
            assert torch.allclose(network.paint(moved), before, atol=1e-4) != is_seen


def test_evaluation_never_mixes_styles():
    network = with_noise(made(mixing=1.0)).eval()
    codes = codes_for(network)
    changed = codes.clone()
    changed[:, DIM + network.num_noise :] = torch.randn(4, DIM + 2)
    torch.testing.assert_close(network(codes), network(changed))
    assert not torch.allclose(network.train()(codes), network(changed))


def test_training_mixes_styles_from_a_random_layer_on():
    network = made(mixing=0.5)
    z, second = torch.randn(2, 400, DIM)
    numbers = torch.cat([second, torch.randn(400, 2)], dim=1)
    first, other = network.styles(z), network.styles(second)
    mixed = network._mixed(first, numbers, None)
    from_second = (mixed == other[:, None]).all(2)
    assert ((mixed == first[:, None]).all(2) != from_second).all()
    assert not from_second[:, 0].any()
    assert (from_second.int().diff(dim=1) >= 0).all(), "the styles change once"
    is_mixed = from_second[:, -1]
    assert is_mixed.float().mean() == pytest.approx(0.5, abs=0.1)
    starts = network.num_styles - from_second.sum(1)[is_mixed]
    assert set(starts.tolist()) == set(range(1, network.num_styles))


def test_generator_without_mixing_draws_only_noise():
    assert made(mixing=0.0).num_draws == made().num_noise == made().num_draws - DIM - 2


@pytest.mark.parametrize("condition", ["none", "concat", "projection", "auxiliary"])
@pytest.mark.parametrize("residual", [True, False])
def test_discriminator_reads_classes_as_its_condition_says(condition, residual):
    network = discriminator("stylegan2", SHAPE, condition, residual=residual)
    images, labels = torch.randn(4, *SHAPE), torch.tensor([0, 1, 2, 1])
    logits = network(images, labels)
    assert logits.shape == ((4, 4) if condition == "auxiliary" else (4,))
    reads = condition in ("concat", "projection")
    assert torch.allclose(network(images, labels.flip(0)), logits) != reads
    if condition != "none":
        codes = torch.eye(3)[labels]
        torch.testing.assert_close(network(images, codes), logits)
    gradient_reaches_all(network, logits)


def test_discriminator_without_groups_judges_each_image_by_itself():
    images = torch.randn(4, *SHAPE)
    for group_size, is_alone in ((1, True), (4, False)):
        network = discriminator("stylegan2", SHAPE, group_size=group_size)
        assert torch.allclose(network(images)[:1], network(images[:1]), atol=1e-5) == is_alone


@pytest.mark.parametrize(
    ("network", "more", "message"),
    [
        (generator, {"condition": "batch_norm"}, "has no batch norm; choose one of none, concat"),
        (generator, {"mixing": 1.5}, r"generator\.mixing=1.5: must be in \[0, 1\]"),
        (generator, {"num_mapping_layers": 0}, r"generator\.num_mapping_layers=0: must be 1"),
        (discriminator, {"mapping_multiplier": 0}, r"mapping_multiplier=0: must be above 0"),
        (discriminator, {"group_size": 0}, "group_size=0: must be 1 or more"),
    ],
)
def test_stylegan2_refuses_arguments_that_do_not_fit(network, more, message):
    with pytest.raises(ValueError, match=message):
        network("stylegan2", SHAPE, **more)


@pytest.mark.parametrize("training", [True, False])
def test_networks_compile_as_one_graph(training):
    network, judge = made().train(training), discriminator("stylegan2", SHAPE)
    codes = codes_for(network)
    torch._dynamo.reset()
    images = torch.compile(network, backend="eager", fullgraph=True)(codes)
    torch.testing.assert_close(images, network(codes))
    logits = torch.compile(judge, backend="eager", fullgraph=True)(images)
    torch.testing.assert_close(logits, judge(images))
