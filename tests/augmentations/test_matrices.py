import math

import torch

from limner.augmentations.matrices import matrix, rotation, scaling, translation

ONE = torch.ones(1)


def test_matrices_map_points_as_they_say():
    point = torch.tensor([2.0, 3.0, 1.0])
    turned = rotation(ONE * math.pi / 2)[0] @ point
    assert torch.allclose(turned, torch.tensor([-3.0, 2.0, 1.0]), atol=1e-6)
    assert (scaling(2 * ONE, 5 * ONE)[0] @ point).tolist() == [4.0, 15.0, 1.0]
    assert (translation(2 * ONE, 5 * ONE)[0] @ point).tolist() == [4.0, 8.0, 1.0]


def test_matrix_has_the_last_row_of_an_affine_map_unless_it_is_given():
    rows = (ONE, 2 * ONE, 3 * ONE), (4 * ONE, 5 * ONE, 6 * ONE)
    assert matrix(*rows).tolist() == [[[1, 2, 3], [4, 5, 6], [0, 0, 1]]]
    assert matrix(*rows, rows[0])[0, 2].tolist() == [1, 2, 3]
