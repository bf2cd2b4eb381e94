"""PixelCNN's networks: the order of the values, no blind spot, and cached sampling."""

import itertools

import pytest
import torch

from limner.networks.pixelcnn import CodePixelCNN, PixelCNN

SIZE = 6
SMALL = {
    "width": 8, "num_layers": 4, "first_kernel_size": 5, "kernel_size": 3, "dropout": 0.0,
    "num_classes": None,
}  # fmt: skip


def scattered(network):
    """Give every weight a value far from 0, so that no path vanishes."""
    torch.manual_seed(0)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    return network.eval()


def of_images(*, channels=1, size=(SIZE, SIZE), params_per_value=1, **changed):
    return scattered(
        PixelCNN(
            image_shape=(channels, *size), params_per_value=params_per_value, **SMALL | changed
        )
    )


def of_codes(*, num_codes=5, map_size=(2, 3), **changed):
    return scattered(CodePixelCNN(num_codes=num_codes, map_size=map_size, **SMALL | changed))


def reads(network, images, place):
    """Return which values (C, H, W) the parameters of the value at a place depend on."""
    images = images.clone().requires_grad_()
    channel, row, column = place
    params = network(images).unflatten(1, (len(images[0]), -1))[:, channel, :, row, column]
    (gradient,) = torch.autograd.grad(params.sum(), images)
    return (gradient != 0).any(0)


def rank(channels, size):
    """Return the place of each value (C, H, W) in the order: rows, columns, channels."""
    height, width = size
    return torch.arange(height * width * channels).view(height, width, channels).permute(2, 0, 1)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("first", "kernel"), [(3, 3), (5, 3), (3, 5)])
def test_pixelcnn_reads_all_earlier_values_and_no_later_ones(channels, first, kernel):
    """With enough layers there is no blind spot: every earlier value of the image is read."""
    size = (SIZE, SIZE)
    network = of_images(
        channels=channels, num_layers=6, first_kernel_size=first, kernel_size=kernel,
        params_per_value=2,
    ).double()  # fmt: skip
    images = torch.randn(8, channels, *size, dtype=torch.float64)  # ReLUs hide some paths
    order = rank(channels, size)
    for place in itertools.product(range(channels), range(SIZE), range(SIZE)):
        assert torch.equal(reads(network, images, place), order < order[place]), place


def test_pixelcnn_reads_all_earlier_values_of_the_window_of_its_layers():
    """The window of one layer is the upper half of a square, without a gap."""
    network = of_images(num_layers=1, first_kernel_size=3, kernel_size=3, size=(7, 7)).double()
    seen = reads(network, torch.randn(8, 1, 7, 7, dtype=torch.float64), (0, 4, 3))[0]
    due = torch.zeros(7, 7, dtype=torch.bool)
    due[2:4, 1:6] = True  # two rows above, two columns to each side
    due[4, 1:3] = True
    assert torch.equal(seen, due)


def draw_level(params, uniform):
    """Draw -1 or 1 by one logit."""
    return torch.where(uniform < params.sigmoid(), 1.0, -1.0)


@pytest.mark.parametrize(
    ("channels", "size", "kernel", "num_classes"),
    [(1, (6, 6), 3, None), (3, (4, 7), 3, None), (2, (7, 4), 5, 3), (1, (1, 1), 3, None)],
)
def test_pixelcnn_draws_each_value_by_the_parameters_of_the_whole_image(
    channels, size, kernel, num_classes
):
    """The cached parameters of each value equal the parameters that `forward` computes."""
    network = of_images(channels=channels, size=size, kernel_size=kernel, num_classes=num_classes)
    seen = []

    def draw(params, uniform):
        seen.append(params.flatten())
        return draw_level(params, uniform)

    labels = None if num_classes is None else torch.arange(5) % num_classes
    uniform = torch.rand(5, channels, *size)
    images = network.sample(draw=draw, uniform=uniform, labels=labels)
    params = network(images, labels)
    cached = torch.stack(seen).view(*size, channels, 5).permute(3, 2, 0, 1)
    torch.testing.assert_close(cached, params, rtol=1e-4, atol=1e-5)
    assert torch.equal(images, draw_level(params, uniform))


def test_pixelcnn_draws_the_rest_of_an_image_whose_first_rows_are_given():
    network = of_images(channels=2)
    uniform = torch.rand(3, 2, SIZE, SIZE)
    start = network.sample(draw=draw_level, uniform=torch.rand(3, 2, SIZE, SIZE))[:, :, :4]
    images = network.sample(draw=draw_level, uniform=uniform, start=start)
    assert torch.equal(images[:, :, :4], start)
    due = draw_level(network(images), uniform)
    assert torch.equal(images[:, :, 4:], due[:, :, 4:])
    assert not torch.equal(images, network.sample(draw=draw_level, uniform=uniform))


@pytest.mark.parametrize("num_classes", [None, 4])
def test_gradient_reaches_every_parameter_of_the_pixelcnn(num_classes):
    network = of_images(channels=3, num_classes=num_classes, params_per_value=2)
    labels = None if num_classes is None else torch.arange(4)
    network(torch.randn(4, 3, SIZE, SIZE), labels).square().sum().backward()
    assert all(p.grad.any() for p in network.parameters())


def test_pixelcnn_depends_on_the_class_and_requires_it():
    network, images = of_images(num_classes=4), torch.randn(2, 1, SIZE, SIZE)
    first, second = (network(images, torch.tensor(y)) for y in ([0, 0], [1, 2]))
    assert not torch.allclose(first, second)
    with pytest.raises(ValueError, match="needs labels, but got none"):
        network(images)


def test_pixelcnn_uses_dropout_only_in_training():
    network, images = of_images(dropout=0.5).train(), torch.randn(2, 1, SIZE, SIZE)
    assert not torch.equal(network(images), network(images))
    network.eval()
    assert torch.equal(network(images), network(images))


@pytest.mark.parametrize(
    ("changed", "key"),
    [
        ({"kernel_size": 4}, "kernel_size=4"),
        ({"first_kernel_size": 1}, "first_kernel_size=1"),
        ({"num_classes": 0}, "num_classes=0"),
    ],
)
def test_pixelcnn_refuses_invalid_values(changed, key):
    with pytest.raises(ValueError, match=f"network.{key}"):
        of_images(**changed)


def every_sequence(num_codes, length):
    return torch.tensor(list(itertools.product(range(num_codes), repeat=length)))


def test_code_pixelcnn_logits_do_not_depend_on_the_same_or_later_codes():
    network, codes = of_codes(), torch.randint(5, (3, 6))
    logits = network(codes)
    assert logits.shape == (3, 6, 5)
    for position in range(6):
        changed = codes.clone()
        changed[:, position] = (changed[:, position] + 1) % 5
        difference = (network(changed) - logits).abs().amax((0, 2))
        assert (difference[: position + 1] == 0).all()
        assert (difference[position + 1 :] > 1e-5).all(), "a later logit is the same"


def test_code_pixelcnn_probabilities_of_all_maps_sum_to_one():
    network = of_codes(num_codes=3, map_size=(2, 2))
    total = network.log_prob(every_sequence(3, 4)).exp().sum()
    assert total.item() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_code_pixelcnn_samples_follow_the_probabilities(temperature):
    network = of_codes(num_codes=3, map_size=(1, 3))
    generator = torch.Generator().manual_seed(0)
    drawn = network.sample(20_000, temperature=temperature, top_k=None, generator=generator)
    every = every_sequence(3, 3)
    logits = network(every) / temperature
    p = logits.log_softmax(2).gather(2, every[:, :, None]).sum((1, 2)).exp()
    found = torch.bincount((drawn * torch.tensor([9, 3, 1])).sum(1), minlength=27) / 20_000
    assert ((found - p).abs() < 5 * (p * (1 - p) / 20_000).sqrt() + 1e-4).all()
    assert p.max() > 0.1


@pytest.mark.parametrize("num_classes", [None, 4])
def test_code_pixelcnn_draws_the_likeliest_codes_of_its_own_logits(num_classes):
    """With one code to draw from, a sample is the argmax of the logits of the whole map."""
    network = of_codes(map_size=(4, 5), num_classes=num_classes)
    labels = None if num_classes is None else torch.arange(4)
    codes = network.sample(4, temperature=1.0, top_k=1, labels=labels)
    assert torch.equal(codes, network(codes, labels).argmax(2))
