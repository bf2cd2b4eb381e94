"""Tiles give the result of the whole picture, and never read more than they need."""

import numpy as np
import pytest
import torch

from limner.networks.edsr import EDSR
from limner.networks.span import SPAN
from limner.networks.srresnet import SRResNet
from limner.pretrained.tiling import tiles, transform_tiled
from support.picture_models import Enlarger, UNet, model_of


def picture(height, width, channels=3):
    return np.random.default_rng(0).integers(0, 256, (height, width, channels), dtype=np.uint8)


def tiled(network, image, tile, **changed):
    model = model_of(network).picture_transform()
    facts = {"overlap": model.overlap, "multiple": model.multiple, "scale": model.scale}
    model.module.eval()
    return transform_tiled(model.module.transform, image, tile=tile, **facts | changed)


def difference(a, b):
    return int(np.abs(a.astype(int) - b).max())


SHAPES = {"input_shape": [3, 8, 8], "image_shape": [3, 8, 8], "width": 8, "num_blocks": 2}
NETWORKS = {
    "x2": lambda: Enlarger(scale=2),
    "x3": lambda: Enlarger(scale=3),
    "restorer": lambda: Enlarger(scale=1),
    "u-net, zeros": lambda: UNet(mode="constant"),
    "u-net, reflection": lambda: UNet(),
    "srresnet x4": lambda: SRResNet(scale=4, **SHAPES),
    "srresnet x1": lambda: SRResNet(scale=1, **SHAPES),
    "edsr x3": lambda: EDSR(scale=3, **SHAPES, residual_scaling=1.0, enlargement="steps"),
    "edsr x2, direct": lambda: EDSR(scale=2, **SHAPES, residual_scaling=0.1, enlargement="direct"),
    "span x2": lambda: SPAN(scale=2, **SHAPES),
}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize(
    ("height", "width", "tile"), [(64, 96, 16), (61, 83, 20), (33, 130, 32), (7, 9, 4)]
)
def test_tiled_transform_equals_the_whole_transform(name, height, width, tile):
    image, network = picture(height, width), NETWORKS[name]()
    whole = tiled(network, image, None)
    assert whole.shape[0] == height * network.scale
    assert len(np.unique(whole)) > 30, "the network saturates"
    assert difference(tiled(network, image, tile), whole) <= 1


@pytest.mark.parametrize(
    ("name", "facts"), [("x2", {"overlap": 1}), ("u-net, zeros", {"multiple": 1})]
)
def test_comparison_of_tiles_fails_for_wrong_facts_about_the_network(name, facts):
    image, network = picture(61, 83), NETWORKS[name]()
    whole = tiled(network, image, None)
    assert difference(tiled(network, image, 18, **facts), whole) > 1


@pytest.mark.parametrize("tile", [1, 7, 16, 100])
@pytest.mark.parametrize(("overlap", "multiple"), [(0, 1), (5, 1), (5, 4), (8, 4)])
def test_tiles_cover_each_pixel_once_and_read_the_overlap_around_it(tile, overlap, multiple):
    height, width = 41, 70
    count = np.zeros((height, width), int)
    for each in tiles(height, width, tile=tile, overlap=overlap, multiple=multiple):
        count[each.rows, each.columns] += 1
        for part, read, size in (
            (each.rows, each.read_rows, height), (each.columns, each.read_columns, width),
        ):  # fmt: skip
            assert part.start % multiple == read.start % multiple == 0
            assert read.stop % multiple == 0 or read.stop == size
            assert read.start <= max(0, part.start - overlap)
            assert read.stop >= min(size, part.stop + overlap)
            assert part.stop - part.start <= max(tile, multiple)
            assert read.stop - read.start <= max(tile, multiple) + 2 * (overlap + multiple - 1)
    assert (count == 1).all()


def test_tiles_are_one_whole_picture_without_a_finite_overlap():
    (only,) = tiles(50, 60, tile=8, overlap=None, multiple=1)
    assert only.read_rows == only.rows == slice(0, 50)
    assert only.read_columns == only.columns == slice(0, 60)


def test_network_never_reads_more_than_a_tile_with_its_overlap():
    sizes = []

    def network(inputs, mask):
        sizes.append(tuple(inputs.shape[2:]))
        return inputs

    image = picture(100, 90)
    made = transform_tiled(network, image, overlap=3, multiple=1, scale=1, tile=10)
    assert np.array_equal(made, image)
    assert max(max(size) for size in sizes) == 16
    assert len(sizes) == 90


def test_network_reads_zero_and_the_mask_in_holes():
    image, known = picture(12, 9), np.random.default_rng(1).random((12, 9)) < 0.5

    def network(inputs, mask):
        assert set(mask.unique().tolist()) <= {0.0, 1.0}
        assert torch.all(inputs[(mask == 0).expand_as(inputs)] == 0)
        return torch.where(mask == 1, inputs, -1.0)

    made = transform_tiled(network, image, overlap=1, multiple=1, scale=1, tile=4, mask=known)
    assert np.array_equal(made, np.where(known[..., None], image, 0))
