"""gpu_check.py: each check ends in its time, stops no other, and leaves its record."""

import contextlib
import importlib.metadata
import json
import math
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from omegaconf import OmegaConf
from packaging.requirements import Requirement

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))

import gpu_check
from gpu_checks import each as each_module
from gpu_checks import families, scoring, speed, stopwatch, waiting
from gpu_checks.checks import CHECKS, MACHINE
from gpu_checks.context import SCALES, Check, Context, Finding
from gpu_checks.each import each
from gpu_checks.records import Record, markdown
from gpu_checks.runner import run_check
from gpu_checks.stopwatch import Times
from gpu_checks.trainings import compose, narrow
from limner.config.schema import CONFIG_DIR
from limner.randomness import Noise

ROOT = Path(__file__).parents[1]
README = (ROOT / "scripts" / "README.md").read_text()
LONG = 100
"""Seconds that no check of a test reaches, because it is killed before."""


def good(context):
    yield Finding("first", "1 ms", values={"seconds": 0.001})
    yield Finding("second", "a | b", passed=None)


def raising(context):
    yield Finding("before the error", "1")
    raise ValueError("some words")


def unmet(context):
    yield Finding("a law", "it does not hold", passed=False)


def crashing(context):
    yield Finding("before the crash", "1")
    print("last words", flush=True)
    os.kill(os.getpid(), signal.SIGKILL)


def hanging(context):
    children = [
        subprocess.Popen(["sleep", str(LONG)]),
        subprocess.Popen(["sleep", str(LONG)], start_new_session=True),
    ]
    yield Finding("children", " ".join(str(child.pid) for child in children))
    print("waits for ever", flush=True)
    time.sleep(LONG)


def cpu(context):
    yield Finding("device", "a CPU", values={"device": "cpu"})


def check(run, *, cpu_seconds: float | None = LONG, least: float = 5.0) -> Check:
    return Check(run.__name__, f"about {run.__name__}", run, LONG, cpu_seconds, least)


@pytest.fixture
def call(tmp_path, monkeypatch):
    """Return a function that runs gpu_check.py with other checks, and returns code and results."""

    def called(*checks: Check, words: tuple[str, ...] = ()):
        monkeypatch.setattr(gpu_check, "CHECKS", list(checks))
        monkeypatch.setattr(gpu_check, "MACHINE", check(cpu))
        monkeypatch.setattr(gpu_check, "MODULES", ())
        code = gpu_check.main(["--out", str(tmp_path / "out"), "--device", "cpu", *words])
        content = json.loads((tmp_path / "out" / "gpu_check.json").read_text())
        return code, content["checks"]

    return called


def is_alive(pid: int) -> bool:
    """Return whether a process runs; a dead process whose parent has not asked does not."""
    status = Path(f"/proc/{pid}/status")
    return status.exists() and "State:\tZ" not in status.read_text()


def test_gpu_check_runs_every_check_whatever_another_does(call, capsys):
    code, records = call(
        check(raising), check(crashing), check(hanging, cpu_seconds=0.5), check(unmet),
        check(good, cpu_seconds=None), replace(check(good), name="last"),
    )  # fmt: skip
    assert code == 1
    assert {record["name"]: record["result"] for record in records} == {
        "raising": "failed", "crashing": "failed", "hanging": "timed out", "unmet": "failed",
        "good": "needs a GPU", "last": "passed",
    }  # fmt: skip
    raised, crashed, hung, _, _, last = records
    assert "ValueError: some words" in raised["error"]
    assert crashed["error"][-2:] == ["last words", "(exit code -9)"]
    assert hung["error"][-2:] == ["waits for ever", "(killed after 0 s)"]
    assert [record["findings"][0]["what"] for record in records[:3]] == [
        "before the error", "before the crash", "children",
    ]  # fmt: skip
    pids = [int(pid) for pid in hung["findings"][0]["found"].split()]
    assert len(pids) == 2
    assert not any(is_alive(pid) for pid in pids)
    assert last["findings"][0]["values"] == {"seconds": 0.001}
    out = capsys.readouterr().out
    assert "| last | passed (1 not measured) |" in out
    assert "| hanging | timed out |" in out


def test_gpu_check_writes_the_results_after_each_check(call, tmp_path):
    out = tmp_path / "out"

    def reading(context):
        names = [
            each["name"] for each in json.loads((out / "gpu_check.json").read_text())["checks"]
        ]
        yield Finding("names", " ".join(names))
        yield Finding("table", (out / "gpu_check.md").read_text())

    code, records = call(check(raising), check(good), check(reading))
    assert code == 1
    names, table = records[-1]["findings"]
    assert names["found"] == "raising good"
    assert "| good | passed (1 not measured) |" in table["found"]
    assert {path.name for path in out.iterdir()} == {
        "gpu_check.json", "gpu_check.md", "gpu_check.log",
    }  # fmt: skip


def test_gpu_check_succeeds_when_no_check_failed(call):
    assert call(check(good), check(good, cpu_seconds=None))[0] == 0


def test_checks_after_the_whole_time_are_recorded_without_blame(call):
    code, records = call(check(good), check(raising), words=("--minutes", "0.001"))
    assert code == 0
    assert [record["result"] for record in records] == ["no time left", "no time left"]


def test_check_that_the_whole_time_cuts_off_is_not_blamed(tmp_path):
    context = Context("cpu", smallest=True, folder=tmp_path, deadline=time.monotonic() + 0.3)
    record = run_check(
        check(hanging), context, limit=0.3, is_cut=True, log=tmp_path / "log"
    )  # fmt: skip
    assert record.result == "no time left"
    assert not record.is_failure
    assert len(record.findings) == 1


def test_checks_are_started_anew_where_a_fork_cannot_use_the_gpu(call, monkeypatch):
    methods = []

    def run(check, context, **options):
        methods.append((check.name, context.method))
        failed = context.method == "fork"
        findings = [] if failed else list(cpu(context))
        return Record(check.name, "", "failed" if failed else "passed", findings=findings)

    monkeypatch.setattr(gpu_check, "run_check", run)
    assert call(check(good))[0] == 0
    assert methods == [("cpu", "fork"), ("cpu", "spawn"), ("good", "spawn")]


@pytest.mark.slow  # a process that imports torch
def test_check_runs_in_a_process_that_is_started_anew(tmp_path):
    context = Context("cpu", True, tmp_path, time.monotonic() + LONG, method="spawn")
    record = run_check(MACHINE, context, limit=LONG, is_cut=False, log=tmp_path / "log")
    assert record.result == "passed", record.error
    assert record.findings[0].values == {"device": "cpu"}


def test_limits_of_checks_fit_the_time_on_a_gpu():
    """The checks before the last two have their whole limits within the default time."""
    assert [each.name for each in CHECKS[-2:]] == ["compiled", "time_to_score"]
    assert sum(each.seconds for each in CHECKS[:-2]) <= 8 * 60
    assert all(each.least <= each.seconds for each in CHECKS)


def test_only_with_an_unknown_name_is_refused_with_the_names(tmp_path, capsys):
    with pytest.raises(SystemExit) as end:
        gpu_check.main(["--out", str(tmp_path), "--only", "famlies"])
    assert end.value.code == 2
    message = capsys.readouterr().err
    assert "famlies" in message
    assert all(each.name in message for each in CHECKS)


def test_only_runs_the_named_checks(call):
    _, records = call(check(good), check(raising), words=("--only", "good"))
    assert [record["name"] for record in records] == ["good"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--minutes", "0"], "--minutes 0: must be above 0"),
        (["--cifar", "nowhere.zip"], "nowhere.zip: there is no such file or folder"),
    ],
)
def test_gpu_check_refuses_values_that_cannot_be_meant(tmp_path, capsys, words, message):
    with pytest.raises(SystemExit):
        gpu_check.main(["--out", str(tmp_path), *words])
    assert message in capsys.readouterr().err


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_gpu_check_refuses_cuda_without_a_gpu(tmp_path, capsys):
    assert gpu_check.main(["--out", str(tmp_path), "--device", "cuda"]) == 2
    assert "--device cuda: torch finds no GPU here" in capsys.readouterr().err


def test_markdown_shows_each_check_and_each_finding():
    records = [
        Record("speed", "time", "passed", 3.2, 60, [
            Finding("a|b", "1.00 ms"), Finding("c", "2", passed=False),
            Finding("d", "", passed=None),
        ]),
        Record("idle", "share", "needs a GPU"),
        Record("scoring", "seconds", "failed", 1.0, 60, [], ["ValueError: x"]),
    ]  # fmt: skip
    lines = markdown(records, {"device": "some GPU"}).splitlines()
    assert "- device: some GPU" in lines
    for line in (
        "| a\\|b | 1.00 ms |", "| c | **failed:** 2 |", "| d | not measured:  |", "ValueError: x",
    ):  # fmt: skip
        assert line in lines
    assert lines[-3:] == [
        "| speed | passed (1 failed, 1 not measured) | 3 | time |",
        "| idle | needs a GPU | 0 | share |",
        "| scoring | failed | 1 | seconds |",
    ]


def doubled(context, case):
    if case == "b":
        raise RuntimeError("broken\nsecond line")
    if case == "crash":
        os._exit(3)
    return [Finding(case, case * 2)]


def test_each_goes_on_after_a_case_that_fails(tmp_path):
    context = Context("cpu", smallest=True, folder=tmp_path, deadline=time.monotonic() + LONG)
    findings = list(each(doubled, ["a", "b", "c"], context))
    assert [(f.what, f.passed) for f in findings] == [("a", True), ("b", False), ("c", True)]
    assert re.fullmatch(r"RuntimeError: broken \(test_gpu_check.py:\d+\)", findings[1].found)


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
    assert set(families.FAMILIES) == {path.stem for path in (CONFIG_DIR / "model").glob("*.yaml")}
    needing = {
        family
        for family in families.FAMILIES
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
    assert flags == [("channels_last",), ("channels_last",), ("contiguous",), ("channels_last",)]


@pytest.mark.slow  # it trains about ten times
@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_smallest_form_passes_on_a_cpu(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "wandb", None)  # a bare machine does not have it
    code = gpu_check.main(["--device", "cpu", "--smallest", "--out", str(tmp_path / "out")])
    out = capsys.readouterr().out
    assert code == 0, out
    results = {
        record["name"]: record["result"]
        for record in json.loads((tmp_path / "out" / "gpu_check.json").read_text())["checks"]
    }
    assert results == {
        each.name: "needs a GPU" if each.name in ("tests", "waiting") else "passed"
        for each in CHECKS
    }


def test_every_test_that_needs_a_gpu_is_marked():
    without = re.compile(r"(?<!@pytest\.mark\.gpu\n)@pytest\.mark\.skipif\(not torch\.cuda")
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        assert not without.search(path.read_text()), f"{path.name}: mark the test gpu"


def test_readme_lists_every_script():
    listed = set(re.findall(r"^\| `(\w+\.\w+)` \|", README, re.M))
    scripts = ROOT / "scripts"
    assert listed == {path.name for path in scripts.iterdir() if path.suffix in (".py", ".sh")}


def test_readme_lists_every_check():
    assert re.findall(r"^\| `(\w+)` \|", README, re.M) == [each.name for each in CHECKS]


def distributions(names: set[str]) -> set[str]:
    """Return the names of installed distributions and of everything that they need."""
    found: set[str] = set()
    todo = [Requirement(name) for name in names]
    while todo:
        requirement = todo.pop()
        name = normal(requirement.name)
        if name in found:
            continue
        try:
            needed = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        found.add(name)
        parsed = [Requirement(text) for text in needed]
        todo += [r for r in parsed if r.marker is None or r.marker.evaluate({"extra": ""})]
    return found


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.slow  # a process that imports everything
@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_readme_names_the_packages_that_a_bare_machine_lacks(tmp_path):
    """What the checks import beyond the named packages, and what these need, travels along."""
    (present,) = re.findall(r"^There are Python 3\.12, (.*) and what they need", README, re.M)
    there = distributions(set(re.findall(r"`([\w.-]+)`", present)))
    (command,) = re.findall(r"pip wheel --no-deps -w wheels (.*)", README)
    brought = set(command.split())
    code = """
import importlib, importlib.metadata, sys, time
from pathlib import Path

distribution = importlib.metadata.distribution

def of_installed(name):
    if name == "limner":  # it is used from the checkout
        raise importlib.metadata.PackageNotFoundError(name)
    return distribution(name)

importlib.metadata.distribution = of_installed

import gpu_check
from gpu_checks.context import Context

for name in gpu_check.MODULES:
    importlib.import_module(f"gpu_checks.{name}")
for check in gpu_check.CHECKS:
    if check.cpu_seconds is not None:
        folder = Path(check.name).resolve()
        folder.mkdir()
        context = Context("cpu", smallest=True, folder=folder, deadline=time.monotonic() + 999)
        failed = [finding for finding in check.run(context) if finding.passed is False]
        assert not failed, failed
of = importlib.metadata.packages_distributions()
names = {module.partition(".")[0] for module in sys.modules}
print("IMPORTED", *{package for name in names for package in of.get(name, [])})
"""
    environment = {
        **os.environ, "PYTHONPATH": f"{ROOT / 'scripts'}{os.pathsep}{ROOT / 'src'}",
        "LIMNER_CACHE": str(tmp_path / "cache"),
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("IMPORTED")]
    imported = {normal(name) for name in line.split()[1:]} - {"limner"}
    assert imported - there == {normal(name) for name in brought}
