"""Scores of whole runs that change pictures: after a resume, in two processes, by evaluate."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from limner.commands.evaluate.command import measured

ROOT = Path(__file__).parents[1]
QUIET = ["accelerator=cpu", "logger=none", "~callbacks.progress", "callbacks.strips.num_images=1"]
SHAPES = {"num_train": 12, "num_validation": 3, "num_test": 0}
WORDS = {
    "pairs": [
        "model=restoration", "data=shapes_edges", "data.input_channels=3", "metrics=translation",
        "network.restorer.width=4", "network.restorer.num_blocks=1", "data.crop_size=32",
        *(f"data.source.shapes.{name}={number}" for name, number in SHAPES.items()),
    ],
    "domains": [
        "model=cyclegan", "data=shapes_styles", "network.restorer.width=4", "data.crop_size=32",
        "network.restorer.num_blocks=1", "network.discriminator.width=4",
        "network.discriminator.receptive_field=16",
        *(f"data.source.shapes.{name}={number}" for name, number in SHAPES.items()),
    ],
}  # fmt: skip
EXPECTED = {
    "pairs": {"val/psnr", "val/perceptual", "val/fid_lite0", "val/kid_lite0"},
    "domains": {"val/kid_lite0", "val/fid_lite0_a", "val/cycle", "val/identity", "val/psnr_ab",
                "val/perceptual_ba"},
}  # fmt: skip


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LIMNER_CACHE", str(tmp_path / "cache"))


def scores(run):
    return json.loads((Path(run) / "scores.json").read_text())


def beside(found):
    """Return all that does not depend on the model."""
    return {n: (e.get("baselines"), e.get("floor")) for n, e in found.items()}


@pytest.mark.parametrize("kind", ["pairs", "domains"])
def test_resumed_run_writes_the_scores_of_the_uninterrupted_run(run, kind):
    words = [*WORDS[kind], "data.batch_size=2", *QUIET]
    whole = run(*words, "trainer.max_steps=4", "hydra.run.dir=whole")
    assert whole.code == 0, whole.err
    assert run(*words, "trainer.max_steps=2", "hydra.run.dir=parts").code == 0
    before = scores("parts")
    resumed = run("resume=parts", "trainer.max_steps=4")
    assert resumed.code == 0, resumed.err
    assert scores("parts") == scores("whole")
    assert EXPECTED[kind] <= scores("whole").keys()
    name = "val/kid_lite0"
    assert before[name]["value"] != scores("whole")[name]["value"], "the comparison can fail"
    assert beside(before) == beside(scores("whole"))
    assert max(map(len, whole.out.splitlines())) <= 80
    found, _ = measured(["run=whole", "to=again", "checkpoint=last"])
    for name, entry in found.items():
        saved = scores("whole")[f"val/{name}"]
        assert entry["value"] == pytest.approx(saved["value"], rel=5e-3), name
        assert entry.get("baselines") == saved.get("baselines"), name
        assert entry["protocol"] == saved["protocol"]
    assert {f"val/{name}" for name in found} >= EXPECTED[kind]
    assert Path("again", "evaluation_worst_and_best.png").is_file()


@pytest.mark.parametrize("kind", ["pairs", pytest.param("domains", marks=pytest.mark.slow)])
@pytest.mark.usefixtures("forking")
def test_scores_of_two_processes_are_those_of_one(run, tmp_path, kind):
    """Three pictures do not divide evenly. A learning rate of 0 keeps the models equal."""
    words = [*WORDS[kind], "trainer.max_steps=1", "optimizer.lr=0.0", *QUIET]
    ended = subprocess.run(
        [sys.executable, str(ROOT / "train.py"), *words, "accelerator=ddp_cpu",
         "data.batch_size=2", "hydra.run.dir=two"],
        cwd=tmp_path, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert run(*words, "data.batch_size=4", "hydra.run.dir=one").code == 0
    one, two = scores("one"), scores("two")
    assert one.keys() == two.keys() >= EXPECTED[kind]
    for name in one:
        assert one[name]["value"] == pytest.approx(two[name]["value"], rel=1e-5), name
        assert one[name]["protocol"] == two[name]["protocol"]
    assert beside(one) == beside(two)
