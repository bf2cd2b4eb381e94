"""The trace that `callbacks=profiler` writes."""

import gzip
import json
import re

import pytest

from limner.callbacks.profiler import Profiler

RUN = (
    "callbacks=profiler", "network=mlp", "metrics=none", "logger=none",
    "callbacks.profiler.num_skipped_updates=2",
)  # fmt: skip


def steps(folder):
    """Return the updates in the trace, counted from 0 by torch."""
    with gzip.open(folder / "profile" / "trace.json.gz", "rt") as file:
        names = {event.get("name", "") for event in json.load(file)["traceEvents"]}
    found = (re.fullmatch(r"ProfilerStep#(\d+)", name) for name in names)
    return sorted(int(match[1]) for match in found if match)


def calls(folder):
    """Return the number of calls per update for each operator."""
    text = (folder / "profile" / "operators.txt").read_text()
    return {line[:50].strip(): float(line[50:].split()[0]) for line in text.splitlines()[3:]}


@pytest.mark.slow
def test_profiler_traces_the_requested_updates(run):
    result = run(*RUN, "callbacks.profiler.num_updates=3", "trainer.max_steps=7")
    assert result.code == 0, result.err
    folder = result.only_run()
    assert steps(folder) == [2, 3, 4]
    counted = calls(folder)
    assert counted["(outside operators)"] == 1
    assert counted["Optimizer.step#Adam.step"] == 1
    assert counted["aten::addmm"] == 6  # the layers of the encoder and of the decoder
    assert len(counted) == 1 + 25
    assert (folder / "final.png").exists(), "the usual callbacks are there"
    assert "profile/operators.txt" in result.out


@pytest.mark.slow
def test_profiler_writes_what_it_recorded_when_training_ends_early(run):
    result = run(*RUN, "callbacks.profiler.num_updates=30", "trainer.max_steps=4")
    assert result.code == 0, result.err
    assert {2, 3} <= set(steps(result.only_run()))


def test_profiler_refuses_a_training_too_short_for_a_trace(run):
    result = run(*RUN, "callbacks.profiler.num_updates=3", "trainer.max_steps=1")
    assert result.code == 0, result.err
    assert "callbacks.profiler.num_skipped_updates=2" in result.out
    assert not (result.only_run() / "profile").exists()


@pytest.mark.parametrize("name", ["num_skipped_updates", "num_updates", "num_operators"])
def test_profiler_refuses_counts_below_one(name):
    counts = {"num_skipped_updates": 1, "num_updates": 1, "num_operators": 1, name: 0}
    with pytest.raises(ValueError, match=f"callbacks.profiler.{name}=0"):
        Profiler(**counts, with_stack=False)
