import torch

from limner.augmentations import HorizontalFlip


def test_each_image_is_itself_or_its_mirror():
    images = torch.arange(200 * 6, dtype=torch.int32).view(200, 1, 2, 3)
    flipped = HorizontalFlip(probability=0.3)(images, torch.Generator().manual_seed(0))
    kept = (flipped == images).flatten(1).all(1)
    mirrored = (flipped == images.flip(-1)).flatten(1).all(1)
    assert (kept ^ mirrored).all()
    assert 30 < mirrored.sum() < 90


def test_never_and_always():
    images = torch.randn(5, 3, 4, 4)
    generator = torch.Generator()
    assert torch.equal(HorizontalFlip(probability=0.0)(images, generator), images)
    assert torch.equal(HorizontalFlip(probability=1.0)(images, generator), images.flip(-1))
