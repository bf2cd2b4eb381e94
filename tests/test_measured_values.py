"""Every `val/` value of a run belongs to the update beside which it is written."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import lightning as L
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from omegaconf import DictConfig

from limner.callbacks.reports import read_reports
from support.measuring import SMALL, Run

NUM_TRAIN = 1437
LOSS = ["metrics=none", "metrics.objective={name: val/loss, mode: min}", "model=vae"]
Make = Callable[..., Run]
Lengths = dict[str, int | float | None]


@pytest.fixture
def make(composed, tmp_path) -> Make:
    """Return a function that makes a run of a small VAE, with these overrides, for training."""
    return lambda *overrides: Run(composed(*LOSS, *SMALL, *overrides), tmp_path / "run")


def num_updates(batch_size: int, lengths: Lengths) -> int:
    """Return the number of updates of a run from its batch size and the trainer's arguments."""
    epochs = lengths["max_epochs"] * (NUM_TRAIN // batch_size)
    return min(epochs, lengths["max_steps"]) if lengths["max_steps"] > 0 else epochs


def validated_updates(batch_size: int, lengths: Lengths) -> list[int]:
    """Return the updates that must be validated: at the intervals, and the last update."""
    in_epoch, last = NUM_TRAIN // batch_size, num_updates(batch_size, lengths)
    every, interval = lengths["check_val_every_n_epoch"], lengths["val_check_interval"]
    if isinstance(interval, float):
        interval = max(1, int(interval * in_epoch))
    found = {last}
    for update in range(1, last + 1):
        epoch, place = divmod(update - 1, in_epoch)
        due = (update if every is None else place + 1) % interval == 0
        if due and (every is None or (epoch + 1) % every == 0):
            found.add(update)
    return sorted(found)


def assert_true(run: Run) -> None:
    """Check the values in metrics.csv and scores.json, the best checkpoint and the objective."""
    rows = run.rows()
    for update, values in rows.items():
        assert values == pytest.approx(run.validated(update), rel=1e-5), update
    assert set(run.scores) == set(rows.get(run.last, {}))
    for name, score in run.scores.items():
        assert score["value"] == rows[run.last][name]
        assert score["protocol"]["update"] == run.last
    if rows:
        assert run.objective == rows[run.last]["val/loss"]
        assert run.best_update() == min(rows, key=lambda update: rows[update]["val/loss"])


@st.composite
def runs(draw: st.DrawFn) -> tuple[int, int | None, Lengths]:
    """Draw a batch size, an update to stop and resume at (or None), and trainer arguments."""
    batch_size = draw(st.sampled_from([256, 512]))
    in_epoch = NUM_TRAIN // batch_size
    every = draw(st.sampled_from([None, 1, 2, 3]))
    interval = st.integers(1, 2 * in_epoch if every is None else in_epoch)
    lengths = {
        "max_epochs": draw(st.integers(1, 3)),
        "max_steps": draw(st.one_of(st.just(-1), st.integers(1, 3 * in_epoch))),
        "check_val_every_n_epoch": every,
        "val_check_interval": draw(
            interval if every is None else st.one_of(st.sampled_from([1.0, 0.5]), interval)
        ),
    }
    last = num_updates(batch_size, lengths)
    stop = draw(st.one_of(st.none(), st.integers(1, last - 1))) if last > 1 else None
    return batch_size, stop, lengths


def lengths(**given: int | float | None) -> Lengths:
    usual = {"check_val_every_n_epoch": 1, "val_check_interval": 1.0}
    return {"max_epochs": 100, "max_steps": -1, **usual, **given}


@pytest.mark.parametrize(
    "drawn",
    [
        pytest.param((64, None, lengths(max_steps=30)), marks=pytest.mark.slow),
        (256, None, lengths(max_epochs=3, check_val_every_n_epoch=2)),
        (256, 7, lengths(max_steps=9, val_check_interval=2)),
        pytest.param(
            (256, 4, lengths(max_epochs=2, check_val_every_n_epoch=None, val_check_interval=3)),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_values_belong_to_their_updates_for_an_interval(composed, drawn):
    check_values(composed, drawn)


@pytest.mark.slow
@settings(
    max_examples=6, deadline=None, derandomize=True, database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
@given(runs())
def test_values_belong_to_their_updates_for_all_intervals(composed, drawn):
    check_values(composed, drawn)


def check_values(composed, drawn) -> None:
    """Train a run, maybe in two parts; check its values, and its weights.

    The weights of an update must be the same for all intervals of validation.
    """
    batch_size, stop, given_lengths = drawn
    with tempfile.TemporaryDirectory() as folder:
        config = composed(*LOSS, *SMALL, f"data.batch_size={batch_size}")
        run = Run(config, Path(folder, "run"))
        if stop is not None:
            run.train(**given_lengths | {"max_steps": stop})
            assert max(run.rows()) == stop
        run.train(**given_lengths)
        assert run.last == num_updates(batch_size, given_lengths)
        expected = {*validated_updates(batch_size, given_lengths), *([stop] if stop else [])}
        assert set(run.rows()) == expected
        assert_true(run)
        for update, weights in run.weights.items():
            known = KNOWN.setdefault((batch_size, update), weights)
            assert all(torch.equal(known[name], value) for name, value in weights.items())


@pytest.mark.parametrize("stop", [None, 7])
def test_epochs_between_validations_grow_with_training(make, stop):
    """The validated epochs are the same in a resumed run."""
    run = make("data.batch_size=512", "interval_growth=0.5")
    if stop is not None:
        run.train(max_steps=stop)
    run.train(max_epochs=10)
    epochs = [1, 2, 3, 5, 8, 10]
    assert set(run.rows()) == {2 * epoch for epoch in epochs} | ({stop} if stop else set())
    assert_true(run)


def test_interval_in_updates_does_not_grow(make):
    run = make("data.batch_size=512", "interval_growth=2.0")
    run.train(max_steps=9, check_val_every_n_epoch=None, val_check_interval=3)
    assert list(run.rows()) == [3, 6, 9]


KNOWN: dict[tuple[int, int], dict[str, torch.Tensor]] = {}
"""Weights by batch size and update, from the first run that reached that update."""


def test_value_is_absent_when_nothing_is_validated(make):
    run = make("data.batch_size=256")
    run.train(max_steps=3, limit_val_batches=0)
    assert (run.rows(), run.scores, run.objective, run.best_update()) == ({}, {}, None, None)


def test_values_belong_to_their_updates_when_few_batches_are_validated(make):
    run = make("data.batch_size=64")
    run.train(max_steps=2, limit_val_batches=1)
    assert list(run.rows()) == [2]
    assert_true(run)
    assert run.rows()[2] != pytest.approx(run.validated(1), rel=1e-3), "no difference to see"


@pytest.mark.slow
def test_last_update_is_validated_when_time_ends_the_run(make):
    """A longer time resumes in the middle of the epoch, like the uninterrupted run."""
    run, whole = make("data.batch_size=256"), make("data.batch_size=256")
    whole.folder = run.folder.with_name("whole")
    whole.train(max_steps=7)
    run.config.callbacks.ends = {"_target_": "test_measured_values.Ends", "update": 2}
    run.train(check_val_every_n_epoch=2)
    assert list(run.rows()) == [run.last] == [2]
    assert_true(run)
    del run.config.callbacks.ends
    run.train(max_steps=7)
    assert list(run.rows()) == [2, 5, 7]
    assert_true(run)
    for name, value in whole.weights[7].items():
        assert torch.equal(value, run.weights[7][name]), name


class Ends(L.Callback):
    """A callback that ends training at an update: after its batch, its validation or its epoch."""

    def __init__(self, *, update: int, hook: str = "on_train_batch_end") -> None:
        self.update = update
        setattr(self, hook, self._end)

    def _end(self, trainer, model, *args) -> None:
        trainer.should_stop = trainer.should_stop or trainer.global_step == self.update


def scored(composed: Callable[..., DictConfig], folder: Path, *overrides: str) -> Run:
    """Return a run that scores with a small feature network after every second epoch."""
    metrics = [
        "metrics=classifier", "metrics.num_samples=40", "metrics.batch_size=20",
        "metrics.scores=[fid]", "metrics.every_num_epochs=2",
        "metrics.objective.name=val/fid_pixels", "data.batch_size=256",
    ]  # fmt: skip
    config = composed(*SMALL, *metrics, *overrides)
    config.metrics.features = {"_target_": "support.fakes.PixelFeatures", "image_size": 64}
    return Run(config, folder / "run")


@pytest.mark.parametrize("hook", ["on_train_batch_end", "on_validation_end", "on_train_epoch_end"])
def test_last_update_is_validated_and_scored_when_a_callback_ends_the_run(
    composed, tmp_path, hook
):
    run = scored(composed, tmp_path)
    update = 5 if hook == "on_train_epoch_end" else 3
    ends = {"_target_": "test_measured_values.Ends", "update": update, "hook": hook}
    run.config.callbacks.ends = ends
    if hook == "on_validation_end":
        run.train(val_check_interval=3)
    else:
        run.train(check_val_every_n_epoch=2)
    assert run.last == update
    (row,) = run.rows().values()
    assert row == pytest.approx(run.validated(update) | run.scored(update), rel=1e-5)
    assert run.objective == run.scores["val/fid_pixels"]["value"] == row["val/fid_pixels"]
    assert {score["protocol"]["update"] for score in run.scores.values()} == {update}
    assert run.best_update() == update


def test_scores_and_losses_belong_to_their_updates_when_max_steps_cuts_an_epoch(
    composed, tmp_path
):
    run = scored(composed, tmp_path, "callbacks.checkpoints.every_num_updates=13")
    run.train(max_steps=13, check_val_every_n_epoch=2, val_check_interval=2)
    rows = run.rows()
    assert list(rows) == [7, 9, 10, 13]
    for update, values in rows.items():
        expected = {} if update == 10 else run.validated(update)
        expected |= run.scored(update) if update in (10, 13) else {}
        assert values == pytest.approx(expected, rel=1e-5), update
    assert set(run.scores) == set(rows[13])
    assert {score["protocol"]["update"] for score in run.scores.values()} == {13}
    best = min((10, 13), key=lambda update: rows[update]["val/fid_pixels"])
    assert run.best_update() == best


def test_gan_is_scored_at_its_last_update_and_has_no_loss(composed, tmp_path):
    run = scored(composed, tmp_path, "model=gan")
    run.train(max_steps=3)
    assert run.rows() == {3: pytest.approx(run.scored(3))}
    assert run.scores["val/fid_pixels"]["protocol"]["update"] == 3


def test_reports_are_written_at_the_ends_of_epochs(make):
    run = make("data.batch_size=256")
    reports = {"_target_": "limner.callbacks.reports.Reports", "objective": "val/loss"}
    run.config.callbacks.reports = reports
    run.train(max_steps=12, check_val_every_n_epoch=2, val_check_interval=1)
    rows = run.rows()
    assert [(r.epoch, r.value) for r in read_reports(run.folder)] == [
        (2, rows[10]["val/loss"]),
        (3, rows[12]["val/loss"]),
    ]


def test_best_checkpoint_ignores_a_score_of_an_earlier_update(composed, tmp_path):
    """Lightning's callback_metrics still holds that score."""
    run = scored(composed, tmp_path)
    run.config.metrics.objective.mode = "max"
    run.config.callbacks.checkpoints.every_num_updates = 1
    run.train(max_epochs=3)
    values = {update: row.get("val/fid_pixels") for update, row in run.rows().items()}
    assert values[5] is None
    assert run.best_update() == (10 if values[10] > values[15] else 15)
