"""GAN-train and GAN-test of sets whose quality is known."""

import pytest
import torch

from limner.data.store import MemoryStore
from limner.errors import UserError
from limner.metrics.gan_train import gan_train, judge
from limner.metrics.training import fit_classifier


def quadrants(num_images, seed, labels=None):
    """Return noise images with one bright quadrant, whose number is the label."""
    generator = torch.Generator().manual_seed(seed)
    truth = torch.randint(4, (num_images,), generator=generator)
    images = torch.randint(0, 120, (num_images, 1, 8, 8), generator=generator)
    for image, label in zip(images, truth.tolist(), strict=True):
        row, column = 4 * (label // 2), 4 * (label % 2)
        image[:, row : row + 4, column : column + 4] += 100
    store = MemoryStore(
        images.to(torch.uint8), truth if labels is None else labels(truth), fingerprint=str(seed)
    )
    return store, torch.arange(num_images)


def judged(samples):
    scores = gan_train(
        samples=samples, train=quadrants(600, 1), test=quadrants(200, 2), image_shape=(1, 8, 8),
        num_classes=4, device=torch.device("cpu"),
    )  # fmt: skip
    return {name: accuracy.mean for name, accuracy in scores._asdict().items()}


@pytest.mark.slow
def test_gan_train_and_gan_test_are_high_for_samples_of_the_data_distribution():
    assert min(judged(quadrants(600, 3)).values()) > 0.97


@pytest.mark.slow
def test_gan_train_falls_and_gan_test_does_not_when_each_class_has_one_image():
    """Mode collapse shows only in GAN-train."""
    store, _ = quadrants(300, 3)
    store.images[:, :, 3:5] = 0  # The noise makes the four images differ a little from the data.
    collapsed = torch.stack([(store.labels == label).nonzero()[0, 0] for label in range(3)])
    scores = judged((store, collapsed.repeat(200)))
    assert scores["gan_test"] == 1
    assert scores["gan_train"] < 0.8
    assert scores["gan_base"] > 0.97


@pytest.mark.slow
def test_wrong_labels_lower_gan_train_and_gan_test():
    scores = judged(quadrants(600, 3, labels=lambda truth: (truth + 1) % 4))
    assert scores["gan_train"] < 0.05
    assert scores["gan_test"] < 0.05


def test_gan_train_depends_only_on_its_seed():
    first, second = (judge((1, 8, 8), 4) for _ in "ab")
    for network in (first, second):
        torch.randn(7)
        fit_classifier(
            network, quadrants(50, 0), num_updates=5, batch_size=32, learning_rate=5e-3, seed=0
        )
    states = first.state_dict(), second.state_dict()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert not first.training


def test_gan_train_needs_labels():
    store, indices = quadrants(10, 0)
    bare = MemoryStore(store.images, None, fingerprint="")
    with pytest.raises(UserError, match="samples have none"):
        judged((bare, indices))
