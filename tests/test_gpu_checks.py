"""The parts of gpu_check.py: what each check measures and compares."""

import contextlib
import json
import math
import os
import re
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from omegaconf import OmegaConf

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))

from gpu_checks import each as each_module
from gpu_checks import families, scoring, speed, stopwatch, waiting
from gpu_checks.context import SCALES, Context, Finding
from gpu_checks.each import each
from gpu_checks.stopwatch import Times
from gpu_checks.trainings import compose, narrow
from limner.config.schema import CONFIG_DIR
from limner.randomness import Noise

LONG = 600
"""Seconds that no check of a test reaches."""


def doubled(context, case):
    if case == "b":
        raise RuntimeError("broken\nsecond line")
    if case == "crash":
        os._exit(3)
    return [Finding(case, case * 2)]


def test_each_continues_after_a_case_that_fails(tmp_path):
    context = Context("cpu", smallest=True, folder=tmp_path, deadline=time.monotonic() + LONG)
    findings = list(each(doubled, ["a", "b", "c"], context))
    assert [(f.what, f.passed) for f in findings] == [("a", True), ("b", False), ("c", True)]
    assert re.fullmatch(r"RuntimeError: broken \(test_gpu_checks.py:\d+\)", findings[1].found)


def test_each_starts_no_case_for_which_the_time_is_too_short(tmp_path):
    context = Context("cpu", smallest=True, folder=tmp_path, deadline=time.monotonic() + 5)
    assert list(each(doubled, ["a"], context, seconds=10)) == [
        Finding("a", "no time left", passed=None)
    ]


def test_each_tries_cases_at_once_and_reports_a_process_that_crashes(tmp_path, monkeypatch):
    monkeypatch.setattr(each_module.os, "cpu_count", lambda: 8)
    context = Context("cpu", smallest=True, folder=tmp_path, deadline=time.monotonic() + LONG)
    found = {f.what: f for f in each(doubled, ["a", "b", "c"], context, at_once=True)}
    assert {what: f.passed for what, f in found.items()} == {"a": True, "b": False, "c": True}
    findings = list(each(doubled, ["crash", "crash"], context, at_once=True))
    assert [f.passed for f in findings] == [False, False]
    assert "BrokenProcessPool" in findings[0].found


def test_busy_seconds_counts_simultaneous_kernels_once(tmp_path):
    spans = [("kernel", 0, 10), ("kernel", 5, 10), ("gpu_memcpy", 7, 2), ("kernel", 30, 5)]
    events = [{"cat": cat, "ts": ts, "dur": dur} for cat, ts, dur in spans]
    others = [{"cat": "cpu_op", "ts": 0, "dur": 100}, {"ph": "M", "name": "process_name"}]
    (tmp_path / "trace.json").write_text(json.dumps({"traceEvents": others + events}))
    busy = stopwatch.busy_seconds(tmp_path / "trace.json")
    assert busy == pytest.approx(20e-6)
    assert Times([40e-6, 1.0, 10e-6], busy).idle == pytest.approx(0.5)
    assert Times([1.0]).idle is None


def test_time_loop_does_the_updates_that_it_times(monkeypatch):
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(stopwatch.time, "perf_counter", lambda: clock.now)

    def updates():
        while True:
            clock.now += 0.5
            yield

    times = stopwatch.time_loop(updates(), device="cpu", seconds=2)
    assert times.turns == [0.5] * stopwatch.NUM_TURNS
    done = stopwatch.NUM_WARM_UP + stopwatch.NUM_PACE + 4 * stopwatch.NUM_TURNS
    assert clock.now == 0.5 * done


def test_largest_difference_is_relative_to_the_largest_value():
    expected = [{"loss": 4.0, "loss_kl": 0.0}, {"loss": -2.0, "loss_kl": 0.0}]
    assert families.largest_difference(expected, expected) == 0
    other = [{"loss": 4.0, "loss_kl": 0.0}, {"loss": -1.0, "loss_kl": 0.0}]
    assert families.largest_difference(other, expected) == 0.25
    assert (
        families.largest_difference([{"loss": math.nan, "loss_kl": 0.0}] * 2, expected) == math.inf
    )


def test_families_contain_every_model_and_name_the_first_stages():
    assert set(families.MODELS) == {path.stem for path in (CONFIG_DIR / "model").glob("*.yaml")}
    assert [*families.MODELS, *families.VARIANTS] == families.FAMILIES
    needing = {
        family
        for family in families.MODELS
        if OmegaConf.is_missing(compose([f"model={family}"]).model, "first_stage")
    }
    assert needing == set(families.FIRST_STAGES)
    assert set(families.FIRST_STAGES.values()) <= set(families.FAMILIES)


@pytest.fixture
def tiny(tmp_path, monkeypatch) -> Context:
    """Make a context of a small check in this process."""
    monkeypatch.setitem(SCALES, "smallest", replace(SCALES["smallest"], num_updates=3))
    return Context("cpu", smallest=True, folder=tmp_path, deadline=time.monotonic() + LONG)


@pytest.mark.slow  # it trains every family
@pytest.mark.parametrize("family", families.FAMILIES)
def test_every_family_trains_with_the_losses_of_float32(tiny, family):
    findings = list(each(families._eager, [family], tiny))
    assert [f.passed for f in findings] == [True, True], findings
    assert findings[0].values["difference"] == 0
    assert findings[1].values["difference"] > 0, "bfloat16 is not used"


def test_families_notice_other_random_numbers(tiny, monkeypatch):
    """The tolerance of float32 is below the difference that another seed makes."""
    expected = families._losses("vae", tiny, "cpu", "32-true")
    with monkeypatch.context() as patch:
        patch.setattr(
            Noise, "normal", lambda self, images, *shape: torch.randn(len(images), *shape)
        )
        finding = families._compared("vae", tiny, "32-true", expected)
    assert finding.passed is False
    assert families._compared("vae", tiny, "32-true", expected).passed


def test_noise_of_cpu_gives_the_usual_numbers_and_restores_the_methods():
    usual = Noise.normal
    images = torch.empty(3, 1, 2, 2)
    drawn = []
    for context in (families._noise_of_cpu(), families._exact_float32()):
        noise = Noise()
        noise.start(5, rank=0, world_size=1)
        with context:
            drawn.append((noise.normal(images, 4), noise.uniform(images, 2)))
    assert all(torch.equal(*pair) for pair in zip(*drawn, strict=True))
    assert Noise.normal is usual


def test_narrow_limits_widths_and_switches_off_dropout():
    words = narrow(["model=vae", "network=mlp"], 8)
    assert "network.encoder.hidden_dims=[8, 8]" in words
    assert "network.generator.width=8" in narrow(["model=gan"], 8)
    assert narrow(["model=gan"], None) == []
    code_prior = ["model=code_prior", "model.first_stage=somewhere"]
    assert narrow(code_prior, None) == ["network.prior.dropout=0.0"]


def test_waiting_is_watched_from_one_update_to_another(monkeypatch):
    modes = []
    monkeypatch.setattr(torch.cuda, "set_sync_debug_mode", modes.append)
    watch = waiting.NoWaiting(first=2, num_updates=3)
    seen = []
    for update in range(1, 8):
        watch.on_train_batch_end(SimpleNamespace(global_step=update))
        seen.append(modes[-1] if modes else "default")
    assert seen == ["default", "error", "error", "error", "default", "default", "default"]
    assert watch.num_watched == 3


class Clock:
    """Training of one second an update, in which a scoring takes ten seconds."""

    def __init__(self, monkeypatch, left: float) -> None:
        self.now, self.end = 0.0, left
        monkeypatch.setattr(scoring.time, "monotonic", lambda: self.now)
        monkeypatch.setattr(scoring, "_scores_of", lambda trainer: self)
        self.latest = {scoring.SCORE: {"value": 1.0}}

    def score_update(self, trainer, model) -> None:
        self.now += 10

    def train(self, callback, *, at_most: int) -> int:
        """Return the number of updates until the callback ends the training."""
        trainer = SimpleNamespace(global_step=0, should_stop=False)
        callback.on_train_start()
        while not trainer.should_stop and trainer.global_step < at_most:
            trainer.global_step += 1
            self.now += 1
            callback.on_train_batch_end(trainer, None)
        return trainer.global_step


def test_score_at_counts_training_without_scoring(monkeypatch):
    clock = Clock(monkeypatch, left=1000)
    callback = scoring.ScoreAt((5, 8, 20), lambda: clock.end - clock.now)
    assert clock.train(callback, at_most=100) == 20
    assert [(seconds, update) for seconds, update, _ in callback.found] == [
        (5, 5),
        (8, 8),
        (20, 20),
    ]


def test_score_at_leaves_out_scores_for_which_the_time_is_too_short(monkeypatch):
    clock = Clock(monkeypatch, left=60)
    callback = scoring.ScoreAt((5, 8, 60), lambda: clock.end - clock.now)
    assert clock.train(callback, at_most=100) == 8
    assert [update for _, update, _ in callback.found] == [5, 8]


def test_captured_loop_replays_one_update_after_a_warm_up(monkeypatch):
    done = []
    fake = SimpleNamespace(
        wait_stream=lambda stream: None, replay=lambda: done.append("replay"), param_groups=[{}]
    )
    for name in ("Stream", "current_stream", "CUDAGraph"):
        monkeypatch.setattr(torch.cuda, name, lambda: fake)
    for name in ("stream", "graph"):
        monkeypatch.setattr(torch.cuda, name, lambda given, name=name: noted(done, name))

    def updates():
        assert fake.param_groups == [{"capturable": True}], "set before the first update"
        while True:
            done.append("update")
            yield

    replays = speed.captured(SimpleNamespace(optimizer=fake, updates=updates))
    next(replays)
    next(replays)
    warm_up = ["update"] * speed.NUM_CAPTURE_WARM_UP
    assert done == ["stream", *warm_up, "graph", "update", "replay", "replay"]


@contextlib.contextmanager
def noted(done: list[str], name: str):
    done.append(name)
    yield


def test_loop_has_the_memory_layout_that_limner_chooses(tmp_path, monkeypatch):
    flags = []
    monkeypatch.setattr(
        speed, "compose_setup", lambda case, **options: flags.append(options["flags"])
    )
    monkeypatch.setattr(speed, "_images", lambda case, context: tmp_path)
    for device in ("cpu", "cuda"):
        context = Context(device, smallest=False, folder=tmp_path, deadline=0)
        for precision in ("32-true", "bf16-mixed"):
            with pytest.raises(AttributeError):
                speed._loop(replace(speed.CASES[0], precision=precision), context)
    layouts = ["channels_last", "channels_last", "contiguous", "channels_last"]
    assert flags == [(layout, "bare") for layout in layouts]
