"""Times in the log of a run."""

import csv

import pytest


def seconds(folder):
    with open(folder / "metrics.csv", newline="") as file:
        return {int(r["update"]): float(r["time/seconds"]) for r in csv.DictReader(file)}


@pytest.mark.slow
def test_logged_seconds_continue_in_a_resumed_run(run, tmp_path):
    common = [
        "metrics=none",
        "logger=csv",
        "data.batch_size=64",
        "callbacks.log.every_num_updates=1",
        "network=mlp",
        "~callbacks.pictures",
        "~callbacks.codes",
    ]
    folder = tmp_path / "run"
    first = run(*common, "trainer.max_steps=4", f"hydra.run.dir={folder}")
    assert first.code == 0, first.err
    before = seconds(folder)
    second = run(f"resume={folder}", "trainer.max_steps=8")
    assert second.code == 0, second.err
    after = seconds(folder)
    assert list(after) == list(range(1, 9))
    assert list(after.values()) == sorted(after.values())
    assert after[4] == before[4] < after[5] < before[4] + 10
