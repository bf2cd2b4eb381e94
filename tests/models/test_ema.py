from types import SimpleNamespace

import pytest
import torch
from torch import nn

from limner.models.ema import EMA, best, evaluating, follow, make_ema
from limner.schedules import Linear


def test_ema_weights_count_half_after_the_half_life():
    network = nn.Linear(1, 1, bias=False)
    network.weight.data.fill_(0.0)
    ema = EMA(network, half_life=1000, ramp=None)
    network.weight.data.fill_(1.0)
    for update in range(1000, 1010):
        ema.update(network, num_images=100, update=update)
    assert ema.network.weight.item() == pytest.approx(0.5, abs=1e-5)


def test_ema_does_not_depend_on_the_batch_size():
    results = []
    for batch in (10, 50):
        network = nn.Linear(1, 1, bias=False)
        network.weight.data.fill_(0.0)
        ema = EMA(network, half_life=300, ramp=None)
        network.weight.data.fill_(1.0)
        for update in range(500 // batch):
            ema.update(network, num_images=batch, update=10**6 + update)
        results.append(ema.network.weight.item())
    assert results[0] == pytest.approx(results[1], abs=1e-5)


def test_young_ema_forgets_its_start():
    network = nn.Linear(1, 1, bias=False)
    network.weight.data.fill_(0.0)
    ema = EMA(network, half_life=1e9, ramp=None)
    network.weight.data.fill_(1.0)
    for update in range(100):
        ema.update(network, num_images=1, update=update)
    assert ema.network.weight.item() > 0.999


def test_ema_half_life_grows_with_the_images_seen():
    """At update 50 of 20 images, 1,000 images have been seen; 0.02 of them are 20."""
    network = nn.Linear(1, 1, bias=False)
    network.weight.data.fill_(0.0)
    ema = EMA(network, half_life=1e6, ramp=0.02)
    network.weight.data.fill_(1.0)
    ema.update(network, num_images=20, update=50)
    assert ema.network.weight.item() == pytest.approx(0.5)
    bounded = EMA(network, half_life=1e6, ramp=1e6)
    network.weight.data.fill_(2.0)
    bounded.update(network, num_images=1000, update=10**7)
    assert bounded.network.weight.item() - 1 == pytest.approx(1 - 0.5**1e-3, rel=1e-3)


def test_ema_half_life_follows_its_schedule_from_0():
    """With a half-life of 0 the average equals the weights."""
    network = nn.Linear(1, 1, bias=False)
    half_life = Linear(start=0, end=200, first=1000, last=1002)
    ema = EMA(network, half_life=half_life, ramp=None)
    for update, kept in ((1000, 0.0), (1001, 0.5), (1002, 0.5**0.5), (5000, 0.5**0.5)):
        ema.network.weight.data.fill_(0.0)
        network.weight.data.fill_(1.0)
        ema.update(network, num_images=100, update=update)
        assert ema.network.weight.item() == pytest.approx(1 - kept)


def test_ema_copies_buffers_and_trains_nothing():
    network = nn.BatchNorm1d(3)
    ema = EMA(network, half_life=10, ramp=None)
    network(torch.randn(8, 3) + 5)
    ema.update(network, num_images=8, update=0)
    assert torch.equal(ema.network.running_mean, network.running_mean)
    assert ema.network.num_batches_tracked == 1
    assert not any(p.requires_grad for p in ema.parameters())
    assert not ema.train().network.training


def test_ema_counts_all_images_of_an_update():
    """Images of every process and every step count, however the batch is divided."""
    network = nn.Linear(1, 1, bias=False)
    network.weight.data.fill_(0.0)
    trainer = SimpleNamespace(datamodule=SimpleNamespace(batch_size=25), world_size=4)
    model = SimpleNamespace(
        ema=make_ema(network, 1000, ramp=None), trainer=trainer, batches_per_update=10,
        network=network, global_step=10**6,
    )  # fmt: skip
    network.weight.data.fill_(1.0)
    follow(model, network)
    assert best(model) is model.ema.network
    assert best(model).weight.item() == pytest.approx(0.5, abs=1e-5)
    model.ema = None
    follow(model, network)
    assert best(model) is network


def test_ema_is_none_when_off_and_refuses_invalid_values():
    assert make_ema(nn.Linear(1, 1), None, ramp=None) is None
    with pytest.raises(ValueError, match="ema_half_life=0"):
        make_ema(nn.Linear(1, 1), 0, ramp=None)


def test_evaluating_restores_the_training_mode():
    network = nn.Dropout().train()
    with evaluating(network) as same:
        assert same is network
        assert not network.training
        assert not torch.is_grad_enabled()
    assert network.training
