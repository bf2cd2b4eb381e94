"""Learning rates follow the update, whatever the model."""

import csv

import pytest


@pytest.mark.parametrize("model", ["vae", "gan", "classifier"])
def test_learning_rates_fall_to_the_end_of_training(run, model):
    result = run(
        f"model={model}", "lr_schedule=linear", "trainer.max_steps=4", "metrics=none",
        "optimizer.lr=0.004", "~callbacks.pictures", "~callbacks.codes",
        "callbacks.log.every_num_updates=1", "logger=csv",
    )  # fmt: skip
    assert result.code == 0, result.err
    with open(result.only_run() / "metrics.csv", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["train/learning_rate"]]
    rates = [float(row["train/learning_rate"]) for row in rows]
    assert rates == pytest.approx([0.004, 0.003, 0.002, 0.001])
    if model == "gan":
        assert [float(row["train/learning_rate_discriminator"]) for row in rows] == rates


def test_separate_discriminator_rate_follows_the_schedule_too(run):
    result = run(
        "model=gan", "lr_schedule=cosine", "lr_schedule.last=2", "trainer.max_steps=3",
        "model.discriminator_lr=0.1", "metrics=none", "callbacks.log.every_num_updates=1",
        "logger=csv",
    )  # fmt: skip
    assert result.code == 0, result.err
    with open(result.only_run() / "metrics.csv", newline="") as file:
        rates = [float(row["train/learning_rate_discriminator"]) for row in csv.DictReader(file)]
    assert rates == pytest.approx([0.1, 0.05, 0.0])
