"""One update is one step of Lightning's counter, for any number of optimizers."""

import csv

import pytest
import torch

from support.runs import last_checkpoint


@pytest.mark.parametrize("steps", [1, 3])
def test_max_steps_counts_generator_updates(run, steps):
    result = run(
        "model=gan", f"model.num_discriminator_steps={steps}", "data.batch_size=32",
        "trainer.max_steps=10", "metrics=none", "callbacks.log.every_num_updates=5",
        "callbacks.pictures.every_num_updates=5", "logger=csv",
    )  # fmt: skip
    assert result.code == 0, result.err
    folder = result.only_run()
    saved = torch.load(last_checkpoint(folder), weights_only=True)
    assert saved["global_step"] == 10
    generator, discriminator = saved["optimizer_states"]
    assert {state["step"].item() for state in generator["state"].values()} == {10}
    assert {state["step"].item() for state in discriminator["state"].values()} == {10 * steps}
    with open(folder / "metrics.csv") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["update"]) for row in rows] == [5, 10]
    assert int(float(rows[-1]["train/images_seen"])) == 10 * steps * 32
    assert sorted(path.stem for path in (folder / "samples").iterdir()) == [
        "update_00000005",
        "update_00000010",
    ]
