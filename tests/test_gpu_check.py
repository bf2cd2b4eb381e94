"""gpu_check.py: each check ends in its time, stops no other, and leaves its record."""

import importlib.metadata
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from packaging.requirements import Requirement

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))

import gpu_check
from gpu_checks.checks import CHECKS, MACHINE
from gpu_checks.context import Check, Context, Finding
from gpu_checks.records import Record, markdown
from gpu_checks.runner import run_check

ROOT = Path(__file__).parents[1]
README = (ROOT / "scripts" / "README.md").read_text()
LONG = 600
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


# The forks of a separate process inherit nothing that earlier tests have left.
@pytest.mark.slow  # it trains about ten times
@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_smallest_form_passes_on_a_cpu(tmp_path):
    (tmp_path / "wandb.py").write_text("raise ImportError")  # a bare machine does not have it
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "gpu_check.py"), "--device", "cpu", "--smallest",
         "--out", str(tmp_path / "out")],
        env={**os.environ, "PYTHONPATH": str(tmp_path)}, capture_output=True, text=True,
        timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
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


def test_readme_lists_every_check_with_its_limits():
    rows = re.findall(r"^\| `(\w+)` \| (\d+) \| (\d*) ?\|", README, re.M)
    limits = [(check.seconds, check.cpu_seconds or "") for check in CHECKS]
    assert rows == [
        (check.name, str(seconds), str(cpu_seconds))
        for check, (seconds, cpu_seconds) in zip(CHECKS, limits, strict=True)
    ]


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


def brought_along() -> list[Requirement]:
    """Return the packages that README.md says to bring along."""
    (command,) = re.findall(r"pip wheel --no-deps -w wheels (.*)", README)
    return [Requirement(word) for word in shlex.split(command)]


def test_readme_brings_along_the_versions_that_limner_needs():
    needed = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    specifiers = {normal(r.name): r.specifier for r in map(Requirement, needed)}
    brought = {normal(r.name): r.specifier for r in brought_along()}
    assert {"hydra-core", "omegaconf"} <= brought.keys()
    for name in brought.keys() & specifiers.keys():
        assert brought[name] == specifiers[name], name


BARE = """
import importlib, sys, time
from pathlib import Path

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
print("IMPORTED", *{module.partition(".")[0] for module in sys.modules})
"""
"""Program that runs the smallest form of the checks in its own process."""


@pytest.mark.slow  # a process that imports everything
@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_readme_names_the_packages_that_a_bare_machine_lacks(tmp_path):
    """The checks run with the named packages, and they need each that is brought along."""
    (present,) = re.findall(
        r"^The machine has Python [\d.]+, (.*) and what they need", README, re.M
    )
    there = distributions(set(re.findall(r"`([\w.-]+)`", present)))
    brought = {normal(requirement.name) for requirement in brought_along()}
    site = tmp_path / "site"
    site.mkdir()
    for name in there | brought:
        for file in importlib.metadata.distribution(name).files or ():
            top = file.parts[0]
            if top not in ("..", "__pycache__") and not (site / top).exists():
                (site / top).symlink_to(Path(file.locate()).parents[len(file.parts) - 1] / top)
    environment = {
        **os.environ, "LIMNER_CACHE": str(tmp_path / "cache"),
        "PYTHONPATH": os.pathsep.join(map(str, (site, ROOT / "scripts", ROOT / "src"))),
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-S", "-c", BARE],  # without the packages that are installed here
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("IMPORTED")]
    of = importlib.metadata.packages_distributions()
    imported = {normal(owner) for name in line.split()[1:] for owner in of.get(name, ())}
    assert brought <= imported
    assert not brought & there, "these packages are there already"
