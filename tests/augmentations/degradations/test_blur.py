import pytest
import torch
from scipy.ndimage import gaussian_filter

from limner.augmentations.degradations import GaussianBlur
from limner.augmentations.degradations.blur import blur
from support.draws import OwnDraws, pictures


def blurred(images, sigma):
    return GaussianBlur(sigma=sigma)(images, draws=OwnDraws()).input


def test_blur_of_sigma_0_changes_nothing():
    images = pictures()
    assert torch.equal(blurred(images, 0), images)
    assert torch.equal(blur(images, sigma=torch.zeros(4, 1, 1, 1), largest=3), images)


def test_blur_keeps_constants():
    assert torch.allclose(blurred(torch.full((2, 3, 9, 30), -0.3), 2.5), torch.tensor(-0.3))


@pytest.mark.parametrize("sigma", [0.7, 2.0, 5.0])
def test_blur_equals_the_filter_of_scipy(sigma):
    images = pictures(1)
    expected = gaussian_filter(images[0].double().numpy(), (0, sigma, sigma), mode="reflect")
    assert torch.allclose(blurred(images, sigma)[0].double(), torch.tensor(expected), atol=1e-3)


def test_blur_of_a_point_has_the_variance_of_its_sigma():
    point = torch.zeros(1, 1, 41, 41)
    point[0, 0, 20, 20] = 1
    found = blurred(point, 3.0)[0, 0]
    place = torch.arange(41.0) - 20
    assert found.sum().item() == pytest.approx(1, abs=1e-5)
    assert (found.sum(0) * place**2).sum().item() == pytest.approx(9, rel=0.01)
    assert (found.sum(1) * place**2).sum().item() == pytest.approx(9, rel=0.01)


def test_blur_of_an_interval_blurs_each_image_by_its_own_sigma():
    images = pictures(1).expand(3, -1, -1, -1)
    sigma = torch.tensor([0.0, 1.0, 3.0]).view(3, 1, 1, 1)
    found = blur(images, sigma=sigma, largest=3.0)
    for i, each in enumerate(sigma.flatten().tolist()):
        assert torch.allclose(found[i], blurred(images[:1], each)[0], atol=1e-3)
    drawn = blurred(images, [0, 3])
    assert not torch.allclose(drawn[0], drawn[1], atol=1e-3)
