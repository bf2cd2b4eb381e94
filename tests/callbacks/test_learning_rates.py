"""Learning rates and second betas follow the update, whatever the model."""

import csv
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from limner.callbacks.learning_rates import SecondBetas
from limner.errors import UserError
from limner.schedules import Linear


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


def trainer(*optimizers, update=0):
    return SimpleNamespace(optimizers=optimizers, global_step=update)


def test_second_betas_follow_the_update_and_change_nothing_else():
    players = [nn.Linear(2, 2), nn.Linear(2, 2)]
    optimizers = [torch.optim.Adam(each.parameters(), betas=(0.1, 0.5)) for each in players]
    callback = SecondBetas(Linear(start=0.9, end=0.99, first=0, last=9))
    callback.on_train_start(trainer(*optimizers), None)
    for update, beta in ((0, 0.9), (3, 0.93), (9, 0.99), (100, 0.99)):
        callback.on_train_batch_start(trainer(*optimizers, update=update), None)
        for each in optimizers:
            (group,) = each.param_groups
            assert group["betas"] == pytest.approx((0.1, beta))
            assert group["lr"] == 1e-3


@pytest.mark.parametrize(
    ("kind", "end", "message"),
    [(torch.optim.SGD, 0.99, "SGD has no betas"), (torch.optim.Adam, 1.0, r"must be in \[0, 1\)")],
)
def test_second_betas_refuse_other_optimizers_and_values(kind, end, message):
    callback = SecondBetas(Linear(start=0.9, end=end, first=0, last=9))
    optimizer = kind(nn.Linear(2, 2).parameters(), lr=0.1)
    with pytest.raises(UserError, match=message):
        callback.on_train_start(trainer(optimizer), None)


def test_cosine_of_the_second_beta_is_saved_with_the_optimizers(run):
    result = run(
        "model=gan", "network=mlp", "beta2_schedule=cosine", "beta2_schedule.last=2",
        "trainer.max_steps=2", "metrics=none", "logger=none", "~callbacks.pictures",
    )  # fmt: skip
    assert result.code == 0, result.err
    (path,) = (result.only_run() / "checkpoints").glob("update_00000002.ckpt")
    for state in torch.load(path, weights_only=True)["optimizer_states"]:
        (group,) = state["param_groups"]
        assert group["betas"] == pytest.approx((0.5, 0.945)), "update 1 of 2"
