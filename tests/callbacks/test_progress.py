"""The progress bar of training, driven by a trainer that only counts."""

import io
from types import SimpleNamespace

import pytest
from rich.console import Console

from limner import console as limner_console
from limner.callbacks.log import Log
from limner.callbacks.progress import Progress
from limner.launch.job import NAME
from support.bar_clock import set_clock


@pytest.fixture
def clock(monkeypatch):
    return set_clock(monkeypatch)


@pytest.fixture
def said(monkeypatch):
    file = io.StringIO()
    console = Console(file=file, width=80, _environ={})
    monkeypatch.setattr(limner_console, "get_console", lambda: console)
    return file


def trainer_of(values: dict[str, float]) -> SimpleNamespace:
    log = Log(every_num_updates=1)
    log.latest |= values
    return SimpleNamespace(
        callbacks=[log], is_global_zero=True, global_step=0, max_steps=9, max_epochs=None,
        num_val_batches=[3, 5],
    )  # fmt: skip


def lines(said: io.StringIO) -> list[str]:
    return said.getvalue().splitlines()


def test_progress_shows_losses_and_scores_but_no_other_values(clock, said):
    trainer = trainer_of({
        "train/loss_discriminator": 1.5, "train/loss_generator": 0.5, "train/learning_rate": 1e-3,
        "val/fid": 30.0, "time/seconds": 1.0,
    })  # fmt: skip
    progress = Progress()
    progress.on_train_start(trainer, None)
    clock.seconds, trainer.global_step = 4.0, 8
    progress.on_train_batch_end(trainer, None)
    assert lines(said) == [
        "Training: 8/9 updates, 2.00/s, 0:00:00 left, loss_D 1.500, loss_G 0.5000, fid 30.00"
    ]
    progress.on_train_end(trainer, None)


def test_progress_shows_the_name_of_the_job(clock, said, monkeypatch):
    monkeypatch.setenv(NAME, "Job 2 of 4")
    trainer, progress = trainer_of({}), Progress()
    progress.on_train_start(trainer, None)
    clock.seconds, trainer.global_step = 4.0, 8
    progress.on_train_batch_end(trainer, None)
    progress.on_train_end(trainer, None)
    assert lines(said)[0].startswith("Job 2 of 4: 8/9 updates")


def test_progress_counts_the_batches_of_all_validation_sets(clock, said):
    trainer, progress = trainer_of({}), Progress()
    progress.on_train_start(trainer, None)
    progress.on_validation_start(trainer, None)
    clock.seconds = 2.0
    progress.on_validation_batch_end(trainer, None, None, None, 2, 0)
    clock.seconds = 4.0
    progress.on_validation_batch_end(trainer, None, None, None, 1, 1)
    assert lines(said)[0].startswith("Validating: 5/8 batches")
    progress.on_validation_end(trainer, None)
    progress.on_train_end(trainer, None)


def test_progress_ends_all_bars_when_an_exception_is_raised(clock, said):
    trainer, progress = trainer_of({}), Progress()
    progress.on_train_start(trainer, None)
    progress.on_validation_start(trainer, None)
    progress.on_exception(trainer, None, KeyboardInterrupt())
    assert limner_console.Bar._open == []
