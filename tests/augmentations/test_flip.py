import torch

from limner.augmentations import HorizontalFlip


def test_flip_returns_each_image_or_its_mirror_image():
    images = torch.arange(200 * 6, dtype=torch.int32).view(200, 1, 2, 3)
    flipped = HorizontalFlip(probability=0.3)(images, uniform=torch.rand(200, 1))
    kept = (flipped == images).flatten(1).all(1)
    mirrored = (flipped == images.flip(-1)).flatten(1).all(1)
    assert (kept ^ mirrored).all()
    assert 30 < mirrored.sum() < 90


def test_flip_with_probability_0_and_1():
    images, uniform = torch.randn(5, 3, 4, 4), torch.tensor([[0.0], [0.2], [0.5], [0.9], [0.999]])
    assert torch.equal(HorizontalFlip(probability=0.0)(images, uniform=uniform), images)
    assert torch.equal(HorizontalFlip(probability=1.0)(images, uniform=uniform), images.flip(-1))


def test_flip_of_an_image_depends_only_on_its_own_random_number():
    images = torch.randn(3, 1, 2, 4)
    uniform = torch.tensor([[0.7], [0.1], [0.4]])
    flipped = HorizontalFlip(probability=0.5)(images, uniform=uniform)
    assert torch.equal(flipped[0], images[0])
    assert torch.equal(flipped[1:], images[1:].flip(-1))


def test_pictures_of_one_sample_are_mirrored_by_the_same_draw():
    small, large = torch.rand(6, 1, 3, 4), torch.rand(6, 3, 6, 8)
    uniform = torch.tensor([[0.1], [0.9], [0.4], [0.6], [0.0], [0.99]])
    flip = HorizontalFlip(probability=0.5)
    found = flip.apply_all([small, large], uniform=uniform, colours=[False, True])
    for before, after in zip((small, large), found, strict=True):
        assert torch.equal(after[::2], before[::2].flip(-1))
        assert torch.equal(after[1::2], before[1::2])
