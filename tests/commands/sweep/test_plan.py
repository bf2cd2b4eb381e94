"""The planned and the missing jobs of a sweep."""

import pytest

from limner.commands.sweep.plan import missing, planned, write_plan
from limner.commands.sweep.records import Job


def test_planned_lists_jobs_in_the_order_of_hydra():
    words = ["-m", "model=vae,gan", "seed=range(1,3)", "logger=none", "sweep=a", "hydra.verbose=1"]
    assert planned(words) == [
        ["model=vae", "seed=1", "logger=none"],
        ["model=vae", "seed=2", "logger=none"],
        ["model=gan", "seed=1", "logger=none"],
        ["model=gan", "seed=2", "logger=none"],
    ]


@pytest.mark.parametrize("word", ["model=glob(*)", "optimizer.lr=interval(0,1)", "a b"])
def test_planned_is_empty_when_only_hydra_can_list_the_jobs(word):
    assert planned(["-m", word]) == []


def test_missing_returns_the_planned_jobs_that_were_not_started(tmp_path):
    plan = [["seed=1", "model=gan"], ["seed=2", "model=gan"]]
    write_plan(tmp_path, plan)
    begun = [Job(tmp_path / "x", ["model=gan", "seed=1"], "finished", None, None)]
    (left,) = missing(tmp_path, begun)
    assert (left.overrides, left.state) == (["seed=2", "model=gan"], "not begun")


@pytest.mark.parametrize("text", ["", "[", "5", "[1]", "[[1]]"])
def test_missing_is_empty_when_the_plan_is_damaged(tmp_path, text):
    write_plan(tmp_path, [["seed=1"]])
    (tmp_path / ".jobs" / "planned").write_text(text)
    assert missing(tmp_path, []) == []
