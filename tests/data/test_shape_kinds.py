import pytest
import torch

from limner.data.shape_kinds import KINDS, distances

LINE = torch.linspace(-1.6, 1.6, 161)
Y, X = torch.meshgrid(LINE, LINE, indexing="ij")


@pytest.mark.parametrize("name", KINDS)
def test_kind_lies_in_the_unit_circle_and_reaches_its_border(name):
    inside = torch.hypot(X, Y)[KINDS[name](X, Y) < 0]
    assert 0.9 < inside.max() < 1.001


@pytest.mark.parametrize("name", KINDS)
def test_distance_grows_by_at_most_the_way(name):
    """So an edge is never wider than a pixel, and inside and outside meet at 0."""
    found = KINDS[name](X, Y)
    step = LINE[1] - LINE[0]
    for dim in (0, 1):
        assert found.diff(dim=dim).abs().max() <= step * 1.001


@pytest.mark.parametrize("name", ["circle", "ring", "crescent"])
def test_distance_has_slope_1_at_the_border_of_round_shapes(name):
    found = KINDS[name](X, Y)
    slope = torch.stack(torch.gradient(found, spacing=(LINE[1] - LINE[0]).item()))
    border = (found.abs() < 0.02)[1:-1, 1:-1]
    assert (torch.linalg.norm(slope, dim=0)[1:-1, 1:-1][border] - 1).abs().median() < 0.01


def test_distances_are_those_of_each_images_kind_on_every_device():
    """Devices other than the CPU compute all kinds; meta shows that no values are read."""
    names, kinds = list(KINDS), torch.tensor([3, 0, 8, 3])
    x, y = X.expand(4, -1, -1), Y.expand(4, -1, -1)
    found = distances(names, kinds, x, y)
    for number, kind in enumerate(kinds.tolist()):
        assert torch.allclose(found[number], KINDS[names[kind]](X, Y), atol=1e-5)
    far = distances(names, *(each.to("meta") for each in (kinds, x, y)))
    assert far.shape == found.shape
