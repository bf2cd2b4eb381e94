"""Warnings of a failed GAN training, in runs that force the failure."""

import pytest

WON, COLLAPSED = "The discriminator is almost always right", "The samples have collapsed"
SHORT = [
    "model=gan", "metrics=none", "~callbacks.pictures", "logger=none", "accelerator=cpu",
    "data.batch_size=64", "trainer.max_epochs=6", "callbacks.game.first_update=100",
]  # fmt: skip


@pytest.mark.slow
def test_collapse_warning_recognises_a_discriminator_that_is_always_right(run):
    """The generator of this run does not learn."""
    result = run(*SHORT, "optimizer.lr=0.0", "model.discriminator_lr=2e-3")
    assert result.code == 0, result.err
    assert (result.out + result.err).count(WON) == 1


def test_collapse_warning_recognises_a_collapse(run):
    """Weights that decay to 0 in every step draw the same image for every code."""
    short = ["trainer.max_epochs=2", "callbacks.game.first_update=30"]
    decay = ["optimizer=adamw", "optimizer.lr=1e-4", "optimizer.weight_decay=1e4"]
    result = run(*SHORT, *short, *decay)
    assert result.code == 0, result.err
    assert (result.out + result.err).count(COLLAPSED) == 1


@pytest.mark.slow  # this trains twelve epochs without a failure
def test_collapse_warning_is_silent_when_training_is_healthy(run):
    result = run(*SHORT, "trainer.max_epochs=12", "callbacks.game.first_update=200")
    assert result.code == 0, result.err
    assert COLLAPSED not in result.out + result.err
    assert WON not in result.out + result.err


@pytest.mark.parametrize("value", ["max_accuracy=0.4", "min_distance=1.0"])
def test_collapse_warning_refuses_invalid_limits(run, value):
    result = run(*SHORT, f"callbacks.game.{value}")
    assert result.code == 1
    assert "callbacks.game: " in result.err
