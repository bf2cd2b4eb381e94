"""Copies of the training images are recognised; held-out images are not."""

import numpy as np
import pytest
import torch

from limner.metrics.memorisation import memorisation, nearest, neighbours_picture


def images(num_images, seed):
    """Return smooth pictures, whose distances vary."""
    coarse = torch.rand(num_images, 1, 3, 3, generator=torch.manual_seed(seed))
    fine = torch.nn.functional.interpolate(coarse, scale_factor=3, mode="bilinear")
    return (255 * fine).to(torch.uint8)


def judged(samples, train, held_out):
    near = [nearest(x, train.split(70), k=1).distances for x in (samples, held_out)]
    return memorisation(*near, quantile=0.05)


def test_nearest_neighbours_equal_the_neighbours_of_the_full_integer_table():
    queries, references = images(40, 0), images(300, 1)
    found = nearest(queries, references.split(37), k=5)
    table = queries.flatten(1).long()[:, None] - references.flatten(1).long()
    squares = table.square().sum(2)
    expected, order = squares.sort(dim=1, stable=True)
    assert torch.equal(found.distances.square().round().long(), expected[:, :5])
    assert torch.equal(found.indices, order[:, :5])


def test_nearest_neighbours_do_not_depend_on_the_batches(monkeypatch):
    queries, references = torch.randn(50, 8), torch.randn(200, 8)
    one = nearest(queries, [references], k=3)
    monkeypatch.setattr("limner.metrics.memorisation.QUERIES", 7)
    many = nearest(queries, references.split(2), k=3)
    assert torch.equal(one.indices, many.indices)
    torch.testing.assert_close(one.distances, many.distances)


def test_too_few_references_are_refused():
    with pytest.raises(ValueError, match="k=3 neighbours among 2"):
        nearest(images(4, 0), [images(2, 1)], k=3)


def test_copy_has_itself_as_neighbour_at_distance_0():
    train = images(100, 0)
    found = nearest(train[[7, 3, 99]], train.split(30), k=2)
    assert found.indices[:, 0].tolist() == [7, 3, 99]
    assert found.distances[:, 0].tolist() == [0, 0, 0]
    assert (found.distances[:, 1] > 0).all()


def test_memorisation_recognises_copies_of_the_training_images():
    train, held_out = images(500, 0), images(300, 1)
    found = judged(train[:200], train, held_out)
    assert found.copied == 1
    assert found.z < -10
    assert found.nearer > 0.99


def test_share_of_copies_shows_a_few_copies():
    train, held_out = images(500, 0), images(300, 1)
    found = judged(torch.cat([train[:40], images(160, 2)]), train, held_out)
    assert found.copied == pytest.approx(0.2 + 0.8 * 0.05, abs=0.05)


def test_memorisation_does_not_flag_held_out_images():
    train, held_out = images(500, 0), images(300, 1)
    found = judged(images(300, 2), train, held_out)
    assert found.copied == pytest.approx(0.05, abs=0.05)
    assert abs(found.z) < 3
    assert found.nearer == pytest.approx(0.5, abs=0.08)


def test_memorisation_statistic_is_standard_normal_under_equal_distributions():
    """If both distributions are equal, z is standard normal."""
    random = torch.manual_seed(0)
    z = [
        memorisation(
            torch.rand(40, generator=random), torch.rand(60, generator=random), quantile=0.1
        ).z
        for _ in range(400)
    ]
    assert np.mean(z) == pytest.approx(0, abs=0.2)
    assert np.std(z) == pytest.approx(1, abs=0.15)


def test_quantiles_are_the_quantiles_of_the_distances():
    samples = torch.arange(101.0)
    found = memorisation(samples, samples + 1000, quantile=0.5)
    assert found.quantiles["samples"]["0.25"] == 25
    assert found.quantiles["held_out"]["0.95"] == 1095
    assert found.copied == 1


@pytest.mark.parametrize("channels", [1, 3])
def test_memorisation_picture_shows_each_sample_beside_its_neighbours(channels):
    train = torch.randint(0, 200, (30, channels, 32, 20), dtype=torch.uint8)
    found = nearest(train[:4], [train], k=3)
    picture = np.asarray(neighbours_picture(train[:4], train[found.indices]))
    assert picture.shape == (4 * 66 + 2, 4 * 42 + 2 + 10, 3)
    first = train[0].permute(1, 2, 0).expand(-1, -1, 3).repeat_interleave(2, 0)
    first = first.repeat_interleave(2, 1).numpy()
    assert (picture[2:66, 2:42] == first).all()
    assert (picture[2:66, 54:94] == first).all(), "the nearest image is the sample itself"
    assert (picture[:, 42:54] == 255).all()
