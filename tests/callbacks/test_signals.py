"""The random numbers of an update, and the effect of a signal."""

import signal
from types import SimpleNamespace

import pytest
import torch

from limner.callbacks import signals
from limner.callbacks.signals import SeedPerUpdate, StopOnSignal, stopping_at_once
from limner.processes import STOP_SIGNALS
from limner.randomness import Noise

IMAGES = torch.empty(4, 1)


def numbers(update: int, *, seed=0, rank=0, world_size=1):
    """Return the numbers that the model and torch itself draw in an update."""
    trainer = SimpleNamespace(global_step=update, global_rank=rank, world_size=world_size)
    model = SimpleNamespace(noise=Noise(), device=torch.device("cpu"))
    SeedPerUpdate(seed=seed).on_train_batch_start(trainer, model)
    return model.noise.normal(IMAGES, 3), torch.rand(4, 3)


def test_random_numbers_of_an_update_do_not_depend_on_earlier_draws():
    first = numbers(5)
    torch.rand(100)
    for a, b, c, d in zip(first, numbers(5), numbers(6), numbers(5, seed=1), strict=True):
        assert torch.equal(a, b)
        assert not torch.equal(a, c)
        assert not torch.equal(a, d)


def test_images_and_processes_have_separate_random_numbers():
    ranks = [numbers(5, rank=rank, world_size=2) for rank in range(2)]
    noise = Noise()
    trainer = SimpleNamespace(global_step=5, global_rank=0, world_size=1)
    model = SimpleNamespace(noise=noise, device=torch.device("cpu"))
    SeedPerUpdate(seed=0).on_train_batch_start(trainer, model)
    assert torch.equal(torch.cat([ranks[0][0], ranks[1][0]]), noise.normal(IMAGES.repeat(2, 1), 3))
    assert not torch.equal(ranks[0][1], ranks[1][1])


def test_model_without_noise_is_seeded_too():
    trainer = SimpleNamespace(global_step=0, global_rank=0, world_size=1)
    draws = []
    for _ in range(2):
        model = SimpleNamespace(device=torch.device("cpu"))
        SeedPerUpdate(seed=0).on_train_batch_start(trainer, model)
        draws.append(torch.rand(3))
    assert torch.equal(*draws)


def test_validation_has_separate_random_numbers():
    trainer = SimpleNamespace(global_step=3, global_rank=0, world_size=1)
    model = SimpleNamespace(device=torch.device("cpu"))
    SeedPerUpdate(seed=0).on_validation_start(trainer, model)
    first = torch.rand(3)
    SeedPerUpdate(seed=0).on_train_batch_start(trainer, model)
    assert not torch.equal(torch.rand(3), first)
    SeedPerUpdate(seed=0).on_validation_start(trainer, model)
    assert torch.equal(torch.rand(3), first)


@pytest.fixture
def stop(monkeypatch):
    """Return a callback that answers signals, and the clock that the callback reads."""
    made, clock = StopOnSignal(), SimpleNamespace(now=0.0)
    monkeypatch.setattr(signals.time, "monotonic", lambda: clock.now)
    monkeypatch.setattr(signals, "SECONDS_UNTIL_TOLD", 60.0)
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    made.install()
    yield made, clock
    made.restore()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stop_on_signal_stops_at_once_at_a_second_signal_but_not_at_a_doubled_one(stop, number):
    _, clock = stop
    for clock.now in (0.0, 0.01, 0.4):
        signal.raise_signal(number)
    clock.now = 0.6
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(number)


def test_stop_on_signal_never_adds_up_signals_of_different_kinds(stop):
    _, clock = stop
    for clock.now, number in enumerate([signal.SIGUSR1, signal.SIGUSR1, signal.SIGTERM]):
        signal.raise_signal(number)
    clock.now = 9.0
    signal.raise_signal(signal.SIGINT)


def test_stop_on_signal_waits_for_the_checkpoint_when_slurm_repeats_sigterm(stop, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "1")
    _, clock = stop
    for clock.now in (0.0, 30.0):
        signal.raise_signal(signal.SIGTERM)


def test_stop_on_signal_reports_what_it_waits_for_unless_the_update_ends_soon(
    stop, monkeypatch, caplog
):
    made, _ = stop
    monkeypatch.setattr(signals, "SECONDS_UNTIL_TOLD", 0.0)
    for number in (signal.SIGINT, signal.SIGUSR1):
        signal.raise_signal(number)
        made._reminders[number].join()
    assert [record.getMessage() for record in caplog.records] == [
        "Stopping after this update; press Ctrl-C again to stop at once, without saving.",
        "Stopping after this update.",
    ]
    monkeypatch.setattr(signals, "SECONDS_UNTIL_TOLD", 60.0)
    signal.raise_signal(signal.SIGTERM)
    made.restore()
    made._reminders[signal.SIGTERM].join()
    assert len(caplog.records) == 2


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_stopping_at_once_raises_at_any_signal_and_restores_the_handlers(number):
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt), stopping_at_once():
        signal.raise_signal(number)
    assert signal.getsignal(number) is before
