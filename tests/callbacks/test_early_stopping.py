"""Training ends when the objective no longer improves, and a resumed run ends there too."""

import math
from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch.strategies import SingleDeviceStrategy

from limner.callbacks.early_stopping import EarlyStopping
from limner.callbacks.measured import Measured
from support.runs import last_checkpoint

WORDS = [
    "model=vae", "network=mlp", "metrics=loss", "logger=csv", "accelerator=cpu",
    "network.encoder.hidden_dims=[8]", "network.decoder.hidden_dims=[8]", "data.batch_size=400",
    "trainer.max_epochs=9", "callbacks=early_stopping", "~callbacks.pictures",
    "~callbacks.codes", "callbacks.early_stopping.min_delta=1000.0",
]  # fmt: skip
"""A minimum improvement that is never reached: the first scoring stays the best."""


def scored(values, *, mode="min", patience=2, min_delta=0.0, start=None):
    """Return the number of scorings until training ends, or None, and the callback."""
    objective = {"name": "val/x", "mode": mode}
    callback = EarlyStopping(objective=objective, patience=patience, min_delta=min_delta)
    if start is not None:
        callback.load_state_dict(start)
    trainer = SimpleNamespace(strategy=SingleDeviceStrategy(), should_stop=False, global_step=0)
    for number, value in enumerate(values, 1):
        trainer.global_step = number
        callback.on_measured(trainer, {"val/other": 0.0})
        callback.on_measured(trainer, {"val/x": value})
        if trainer.should_stop:
            return number, callback
    return None, callback


@pytest.mark.parametrize(
    ("values", "options", "end"),
    [
        ([3, 2, 2, 2], {}, 4),
        ([3, 2, 4, 1, 5, 6], {}, 6),
        ([3, 2, 1, 0], {}, None),
        ([1, 2, 2, 2], {"mode": "max"}, 4),
        ([3, 2.9, 2.8], {"min_delta": 0.5}, 3),
        ([3, math.nan, math.nan], {}, 3),
        ([3, 3], {"patience": 1}, 2),
    ],
)
def test_early_stopping_counts_scorings_without_an_improvement(values, options, end):
    assert scored(values, **options)[0] == end


def test_early_stopping_continues_to_count_from_a_saved_state():
    values = [3, 2, 2.5, 2.2, 2.1]
    whole, _ = scored(values, patience=3)
    _, first = scored(values[:3], patience=3)
    rest, _ = scored(values[3:], patience=3, start=first.state_dict() | {"update": None})
    assert 3 + rest == whole


def test_early_stopping_counts_a_scoring_once_when_a_resume_repeats_it():
    _, first = scored([3, 4], patience=2)
    trainer = SimpleNamespace(global_step=2, should_stop=False)
    first.on_measured(trainer, {"val/x": 4})
    assert first.num_worse == 1


def test_early_stopping_ends_a_run_after_the_scorings_of_its_patience(run):
    result = run(*WORDS, "callbacks.early_stopping.patience=2")
    assert result.code == 0, result.err
    assert "has not improved in 2 scorings" in result.out
    last = torch.load(last_checkpoint(result.only_run()), weights_only=True)
    assert last["epoch"] == 2  # the third scoring
    again = run(f"resume={result.only_run()}")
    assert again.code == 0, again.err
    after = torch.load(last_checkpoint(result.only_run()), weights_only=True)
    assert after["global_step"] == last["global_step"]


@pytest.mark.slow
def test_early_stopping_ends_an_interrupted_run_at_the_same_update(run, monkeypatch):
    run(*WORDS, "callbacks.early_stopping.patience=3", "hydra.run.dir=whole")
    whole = torch.load(last_checkpoint_of("whole"), weights_only=True)
    original, left = Measured.on_validation_end, [1]

    def strike(self, trainer, model):
        original(self, trainer, model)
        if left and trainer.current_epoch == 2:  # after the value has been counted
            left.pop()
            trainer.fit_loop.end_validation()
            from limner.callbacks.checkpoints import Checkpoints

            next(c for c in trainer.callbacks if isinstance(c, Checkpoints)).save_last(trainer)
            raise RuntimeError("struck")

    monkeypatch.setattr(Measured, "on_validation_end", strike)
    with pytest.raises(RuntimeError, match="struck"):
        run(*WORDS, "callbacks.early_stopping.patience=3", "hydra.run.dir=parts")
    assert run("resume=parts").code == 0
    parts = torch.load(last_checkpoint_of("parts"), weights_only=True)
    assert parts["global_step"] == whole["global_step"]
    torch.testing.assert_close(parts["state_dict"], whole["state_dict"], rtol=0, atol=0)


def last_checkpoint_of(folder):
    from pathlib import Path

    return last_checkpoint(Path(folder))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["callbacks.early_stopping.patience=0"], "must be 1 or more scorings"),
        (["callbacks.early_stopping.min_delta=-1.0"], "must be 0 or more"),
        (["metrics=none"], "needs an objective"),
    ],
)
def test_early_stopping_refuses_invalid_values(run, words, message):
    result = run(*WORDS, *words)
    assert result.code == 1
    assert message in result.err
