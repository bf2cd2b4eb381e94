"""Scores of image pairs compared with closed forms and a computation by hand."""

import math

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity

from limner.errors import UserError
from limner.metrics import image_similarity
from limner.metrics.image_similarity import LPIPS, ms_ssim, pair_scores, psnr, random_pairs, ssim
from limner.pixels import to_float


def noise(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)


def test_psnr_of_a_constant_error_equals_the_closed_form():
    images = torch.full((2, 3, 8, 8), 100, dtype=torch.uint8)
    others = images + torch.tensor([1, 50], dtype=torch.uint8).view(2, 1, 1, 1)
    expected = [20 * math.log10(255), 20 * math.log10(255 / 50)]
    assert psnr(images, others).tolist() == pytest.approx(expected, rel=1e-5)
    assert psnr(images, images).tolist() == [math.inf, math.inf]


def test_similarity_scores_are_equal_for_floats_and_bytes():
    images, others = noise(3, 3, 12, 12), noise(3, 3, 12, 12, seed=1)
    for score in (psnr, ssim):
        found = score(to_float(images), to_float(others))
        torch.testing.assert_close(found, score(images, others), rtol=1e-4, atol=1e-6)


def test_ssim_of_constant_images_is_the_term_of_the_means():
    images = torch.full((1, 1, 16, 16), 51, dtype=torch.uint8)  # 0.2
    others = torch.full((1, 1, 16, 16), 204, dtype=torch.uint8)  # 0.8
    expected = (2 * 0.2 * 0.8 + 1e-4) / (0.2**2 + 0.8**2 + 1e-4)
    assert ssim(images, others).item() == pytest.approx(expected, rel=1e-3)


def test_ssim_at_one_position_equals_the_formula():
    """The images repeat every 2 pixels, also when reflected: two kinds of positions exist."""
    even = (torch.arange(22) % 2).view(1, 1, 1, -1).expand(1, 1, 22, -1)
    images, others = even.mul(200).to(torch.uint8), even.mul(100).add(50).to(torch.uint8)
    x, y = (np.pad(i[0, 0].numpy() / 255.0, 5, mode="reflect") for i in (images, others))
    window = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    window = np.outer(window, window) / window.sum() ** 2
    values = []
    for row, column in np.ndindex(22, 22):
        a, b = (i[row : row + 11, column : column + 11] for i in (x, y))
        m, n = (window * a).sum(), (window * b).sum()
        s, t = (window * (a - m) ** 2).sum(), (window * (b - n) ** 2).sum()
        both = (window * (a - m) * (b - n)).sum()
        values.append(
            (2 * m * n + 1e-4) * (2 * both + 9e-4) / ((m * m + n * n + 1e-4) * (s + t + 9e-4))
        )
    assert ssim(images, others).item() == pytest.approx(np.mean(values), rel=1e-4)


def test_ssim_agrees_with_scikit_image():
    images = noise(1, 3, 64, 64)
    others = (0.6 * images + 0.4 * noise(1, 3, 64, 64, seed=1)).to(torch.uint8)
    _, places = structural_similarity(
        images[0].numpy(), others[0].numpy(), channel_axis=0, data_range=255, full=True,
        gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
    )  # fmt: skip
    assert ssim(images, others).item() == pytest.approx(places.mean(), rel=2e-3)


def test_every_similarity_score_falls_as_noise_grows():
    images = to_float(torch.arange(176).repeat(2, 1, 176, 1).to(torch.uint8))
    found = []
    for level in (0.05, 0.1, 0.3):
        others = images + level * torch.randn(images.shape, generator=torch.manual_seed(0))
        found.append([score(images, others).mean().item() for score in (psnr, ssim, ms_ssim)])
    assert (np.diff(found, axis=0) < 0).all()
    assert ms_ssim(images, images).tolist() == pytest.approx([1, 1])


def test_similarity_means_do_not_depend_on_the_batches():
    images, others = noise(10, 1, 16, 16), noise(10, 1, 16, 16, seed=1)
    one = pair_scores([(images, others)])
    many = pair_scores(zip(images.split(3), others.split(3), strict=True))
    assert one.mean == pytest.approx(many.mean)
    assert one.std == pytest.approx(many.std)
    assert one.num_pairs == many.num_pairs == 10


def test_omitted_scores_state_the_reason():
    found = pair_scores([(noise(2, 1, 28, 28), noise(2, 1, 28, 28, seed=1))])
    assert set(found.mean) == {"psnr", "ssim"}
    assert "176x176" in found.left_out["ms_ssim"]
    assert "28x28" in found.left_out["ms_ssim"]


@pytest.mark.parametrize("size", [5, 6, 175, 176])
def test_smallest_image_sizes_are_the_sizes_of_torchmetrics(size):
    found = pair_scores([(noise(1, 1, size, size), noise(1, 1, size, size, seed=1))])
    assert ("ssim" in found.mean) == (size >= 6)
    assert ("ms_ssim" in found.mean) == (size >= 176)


def test_equal_pairs_are_counted_and_keep_the_mean_finite():
    images, others = noise(4, 1, 8, 8), noise(4, 1, 8, 8, seed=1)
    others[:2] = images[:2]
    found = pair_scores([(images, others)])
    assert found.num_identical == 2
    assert found.mean["psnr"] == pytest.approx(psnr(images[2:], others[2:]).mean().item())
    same = pair_scores([(images, images)])
    assert "psnr" not in same.mean
    assert "equal" in same.left_out["psnr"]
    assert same.mean["ssim"] == pytest.approx(1)


def test_random_pairs_are_distinct_and_seeded():
    found = random_pairs(50, num_pairs=200, seed=3)
    assert found.shape == (200, 2)
    assert (found[:, 0] < found[:, 1]).all()
    assert 0 <= found.min() <= found.max() < 50
    assert len(set(map(tuple, found.tolist()))) == 200
    assert torch.equal(found, random_pairs(50, num_pairs=200, seed=3))
    assert not torch.equal(found, random_pairs(50, num_pairs=200, seed=4))
    everything = random_pairs(5, num_pairs=100, seed=0)
    assert len(set(map(tuple, everything.tolist()))) == 10


def test_lpips_states_what_to_do_without_weights_or_network(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))

    def fail(*arguments, **options):
        raise image_similarity.URLError("no network")

    monkeypatch.setattr("torch.hub.download_url_to_file", fail)
    with pytest.raises(UserError, match=r"could not be downloaded \(.*no network"):
        LPIPS(network="alex")


def test_lpips_is_0_for_equal_images_and_accepts_grey_images(monkeypatch):
    monkeypatch.setattr(
        "torchmetrics.functional.image.lpips._get_tv_model_features", _untrained_features
    )
    distance = LPIPS(network="alex")
    images, others = noise(3, 1, 31, 31), noise(3, 1, 31, 31, seed=1)
    assert distance(images, images).tolist() == [0, 0, 0]
    assert (distance(images, others) > 0).all()
    found = pair_scores([(images, others)], lpips=distance)
    assert found.mean["lpips"] == pytest.approx(distance(images, others).mean().item())
    small = pair_scores([(images[..., :30, :30], others[..., :30, :30])], lpips=distance)
    assert "lpips" in small.left_out


def _untrained_features(name, pretrained):
    import torchvision

    torch.manual_seed(0)
    return getattr(torchvision.models, name)(weights=None).features
