"""A frozen backbone never changes, and a trained backbone has a learning rate of its own."""

import functools

import pytest
import torch
from torch import nn

from limner.models.parameter_groups import grouped_optimizer
from limner.networks.efficientnet_lite import EfficientNetLite0
from limner.networks.transfer import TransferClassifier


class Backbone(nn.Module):
    """A small network with batch norm; `load` sets known weights, as a pretrained network does."""

    num_features, weights_sha256 = 4, "none"

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
        self.sizes = []

    def check_channels(self, num_channels, *, user, advice):
        if num_channels != 3:
            raise ValueError(f"{user}: 3 channels, not {num_channels}: {advice}")

    def load(self):
        for parameter in self.parameters():
            nn.init.constant_(parameter, 0.5)
        return self.eval()

    def features(self, images):
        self.sizes.append(tuple(images.shape[2:]))
        return self.net(images).mean((2, 3))


def made(*, backbone=None, frozen=True, normalise=True, factor=0.1, size=32, channels=3):
    return TransferClassifier(
        backbone=backbone or Backbone(), image_shape=[channels, 20, 24], num_classes=3,
        frozen=frozen, normalise_features=normalise, cache_features=True,
        backbone_lr_factor=factor, size=size,
    )  # fmt: skip


def update(network, optimizer):
    """Take an optimizer step in training mode."""
    network.train()
    optimizer.zero_grad()
    network(torch.randn(4, 3, 20, 24)).square().mean().backward()
    optimizer.step()


@pytest.mark.parametrize("frozen", [True, False])
def test_training_changes_weights_and_statistics_of_a_backbone_only_if_it_is_not_frozen(frozen):
    network = made(frozen=frozen)
    optimizer = grouped_optimizer(functools.partial(torch.optim.Adam, lr=0.1), network)
    before = {name: t.clone() for name, t in network.state_dict().items()}
    update(network, optimizer)
    kept = {name for name, t in network.state_dict().items() if torch.equal(t, before[name])}
    assert kept == ({name for name in before if name.startswith("backbone")} if frozen else set())


def test_frozen_backbone_stays_in_evaluation_mode_below_a_model_in_training_mode():
    network = made(frozen=True)
    model = nn.ModuleDict({"network": network}).train()
    assert network.training
    assert network.head.training
    assert not any(module.training for module in network.backbone.modules())
    assert model["network"].backbone.net[1].num_batches_tracked == 0
    assert all(m.training for m in made(frozen=False).backbone.modules())


def test_normalised_features_have_no_scale_and_train_statistics_only():
    network = made()
    features = torch.randn(64, 4)
    network.train()
    logits = network.logits(features)
    torch.testing.assert_close(network.logits(1000 * features - 50), logits, rtol=1e-3, atol=1e-3)
    assert set(network.norm.state_dict()) == {"running_mean", "running_var", "num_batches_tracked"}
    assert not list(network.norm.parameters())
    plain = made(normalise=False)
    assert torch.equal(plain.logits(features), plain.head(features))


def test_statistics_of_normalised_features_are_used_in_evaluation():
    """Evaluation of an image does not depend on the other images of its batch."""
    network = made()
    for _ in range(200):
        network.logits(3 + 2 * torch.randn(64, 4))
    network.eval()
    torch.testing.assert_close(network.norm.running_mean, torch.full((4,), 3.0), atol=0.3, rtol=0)
    torch.testing.assert_close(network.norm.running_var, torch.full((4,), 4.0), atol=1, rtol=0)
    features = torch.randn(5, 4)
    torch.testing.assert_close(network.logits(features)[:1], network.logits(features[:1]))


def test_facts_change_with_all_that_determines_the_features():
    class Other(Backbone):
        weights_sha256 = "other"

    networks = made(), made(size=40), made(backbone=Other())
    assert len({str(network.facts()) for network in networks}) == 3
    assert made().facts() == made(normalise=False, factor=0.5).facts()


def test_images_have_gradients_through_a_frozen_backbone():
    images = torch.randn(2, 3, 32, 32, requires_grad=True)
    made(frozen=True)(images).sum().backward()
    assert images.grad.abs().sum() > 0


def test_backbone_trains_at_its_share_of_the_learning_rate():
    sgd = functools.partial(torch.optim.SGD, lr=0.5)
    optimizer = grouped_optimizer(sgd, network := made(frozen=False, factor=0.1))
    assert [group["lr"] for group in optimizer.param_groups] == [0.5, 0.05]
    head, backbone = (set(group["params"]) for group in optimizer.param_groups)
    assert head == set(network.head.parameters())
    assert backbone == set(network.backbone.parameters())
    (only,) = grouped_optimizer(sgd, network := made(frozen=True)).param_groups
    assert only["lr"] == 0.5
    assert set(only["params"]) == set(network.head.parameters())
    (ordinary,) = grouped_optimizer(sgd, nn.Linear(2, 2)).param_groups
    assert ordinary["lr"] == 0.5


def test_images_of_any_size_are_resized():
    network = made(backbone=Backbone(), size=40)
    for shape in ((7, 5), (40, 40), (90, 64)):
        assert network(torch.randn(2, 3, *shape)).shape == (2, 3)
    assert network.backbone.sizes == [(40, 40)] * 3


def test_pretrained_weights_are_loaded_and_give_the_features():
    network = made(backbone=EfficientNetLite0(), size=64).eval()
    images = torch.rand(2, 1, 64, 64) * 2 - 1
    expected = EfficientNetLite0().load().features(images)
    torch.testing.assert_close(network.features(images), expected, rtol=1e-4, atol=1e-4)
    assert network(images).shape == (2, 3)


@pytest.mark.parametrize("frozen", [True, False])
def test_every_trained_weight_has_a_gradient(frozen):
    """Several processes refuse a trained weight that the loss does not use."""
    network = made(backbone=EfficientNetLite0(), frozen=frozen)
    network(torch.randn(4, 3, 32, 32)).square().mean().backward()
    trained = [weight for weight in network.parameters() if weight.requires_grad]
    assert all(weight.grad is not None for weight in trained)
    grouped = [weight for group in network.parameter_groups() for weight in group["params"]]
    assert set(grouped) == set(trained)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"size": 16}, r"network\.size=16"),
        ({"factor": 0}, r"network\.backbone_lr_factor=0"),
        ({"channels": 4}, r"network=lite0: 3 channels, not 4: choose network=cnn"),
    ],
)
def test_values_out_of_range_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        made(**values)
