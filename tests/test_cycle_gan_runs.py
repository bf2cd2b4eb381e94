"""Whole runs of a CycleGAN: exact resume with pools, two processes, and use of the run."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import limner
from limner.commands import export as export_command
from limner.commands import transform as transform_command
from limner.runs.checkpoints import update_path
from support import runs
from support.runs import last_checkpoint

ROOT = Path(__file__).parents[1]
SMALL = [
    "model=cyclegan", "data=shapes_styles", "data.source.shapes.num_train=30",
    "data.source.shapes.num_validation=3", "data.source.shapes.num_test=2", "data.crop_size=24",
    "network.restorer.width=8", "network.restorer.num_blocks=1",
    "network.discriminator.width=8", "network.discriminator.receptive_field=16",
    "model.pool_size=6", "model.ema_half_life=100", "accelerator=cpu", "logger=none",
    "~callbacks.progress", "metrics=none",
]  # fmt: skip


def content(run, update=None):
    path = last_checkpoint(Path(run)) if update is None else update_path(Path(run), update)
    return torch.load(path, weights_only=True)


def difference(a, b):
    """Return the largest difference of the weights and of the pools of two checkpoints."""
    pairs = [(a["state_dict"][name], b["state_dict"][name]) for name in a["state_dict"]]
    pairs += [(x["images"], y["images"]) for x, y in zip(a["pools"], b["pools"], strict=True)]
    assert a["state_dict"].keys() == b["state_dict"].keys()
    return max((x.double() - y.double()).abs().max().item() for x, y in pairs)


def values(run):
    scores = json.loads((Path(run) / "scores.json").read_text())
    return {name: entry["value"] for name, entry in scores.items()}


def last_row(run):
    """Return the last logged values of training, without times."""
    with open(Path(run) / "metrics.csv", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["train/images_seen"]]
    return {name: value for name, value in rows[-1].items() if not name.startswith("time/")}


def test_stopped_run_equals_the_uninterrupted_run_with_its_pools(run):
    words = [
        *SMALL, "data.batch_size=4", "model/augmentation=diffaugment", "model/penalty=lecam",
        "logger=csv", "callbacks.log.every_num_updates=1",
    ]  # fmt: skip
    assert run(*words, "trainer.max_steps=5", "hydra.run.dir=whole").code == 0
    assert run(*words, "trainer.max_steps=2", "hydra.run.dir=parts").code == 0
    assert len(content("parts")["pools"][0]["images"]) == 6
    resumed = run("resume=parts", "trainer.max_steps=5")
    assert resumed.code == 0, resumed.err
    whole, parts = content("whole"), content("parts")
    assert difference(whole, parts) == 0
    for one, other in zip(whole["optimizer_states"], parts["optimizer_states"], strict=True):
        assert all(torch.equal(one["state"][i]["exp_avg"], other["state"][i]["exp_avg"])
                   for i in one["state"])  # fmt: skip
    assert whole["global_step"] == 5
    assert last_row("whole") == last_row("parts")
    assert float(last_row("whole")["train/images_seen"]) == 20, "images of a domain"
    assert values("whole") == values("parts")
    for name in ("final.png", "worst_and_best.png"):
        assert Path("whole", name).read_bytes() == Path("parts", name).read_bytes()
    assert run(*words, "seed=1", "trainer.max_steps=5", "hydra.run.dir=other").code == 0
    assert difference(whole, content("other")) > 1e-5, "the comparison can fail"


@pytest.mark.usefixtures("forking")
def test_two_processes_train_like_one_and_one_process_resumes_their_run(run, tmp_path):
    """They have one pool of each domain together, and each validation picture counts once.

    Double precision tells rounding from a mistake: in float32, momentum and the norms amplify
    rounding to 1e-4 within 5 updates. Pools with other images would differ by about 1.
    """
    every = "callbacks.checkpoints.every_num_updates=3"
    words = [
        *SMALL, every, "model/loss=relativistic", "optimizer=sgd", "trainer.precision=64-true",
        "hydra.run.dir=two",
    ]  # fmt: skip
    ended = subprocess.run(
        [sys.executable, str(ROOT / "train.py"), *words, "accelerator=ddp_cpu",
         "data.batch_size=2", "trainer.max_steps=3"],
        cwd=tmp_path, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    one = [*words[:-1], "data.batch_size=4", "trainer.max_steps=5", "hydra.run.dir=one"]
    assert run(*one).code == 0
    assert difference(content("two", 3), content("one", 3)) < 1e-9
    resumed = run("resume=two", "accelerator=cpu", "trainer.max_steps=5")
    assert resumed.code == 0, resumed.err
    assert difference(content("two", 5), content("one", 5)) < 1e-9
    first, second = values("one"), values("two")
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert second[name] == pytest.approx(value, rel=1e-6), name


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Return the folder of a run of two updates."""
    words = [word for word in SMALL if word not in runs.TINY]
    return runs.trained(tmp_path_factory.mktemp("run"), *words, "data.batch_size=4")


def test_run_is_loaded_exported_and_transforms_pictures_in_both_directions(
    trained, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    picture = np.random.default_rng(0).integers(0, 256, (21, 30, 3), dtype=np.uint8)
    Path("in").mkdir()
    Image.fromarray(picture).save("in/a.png")
    assert export_command.run([f"run={trained}", "to=export"]) == 0
    made = {}
    for name in (trained, "export"):
        model = limner.load(name, device="cpu")
        assert repr(model).startswith("<CycleGAN of images of any size with 3 channels")
        for direction in ("ab", "ba"):
            words = [f"run={name}", f"direction={direction}", "input=in", "device=cpu"]
            output = f"output={direction}_{Path(name).name}"
            assert transform_command.run([*words, output]) == 0
            written = np.asarray(Image.open(f"{direction}_{Path(name).name}/a.png"))
            assert written.shape == picture.shape
            assert np.array_equal(model.transform(picture, direction=direction), written)
            assert np.array_equal(made.setdefault(direction, written), written)
    assert not np.array_equal(made["ab"], made["ba"])
    weights = Path("export/model.safetensors").stat().st_size
    assert weights < sum(4 * p.numel() for p in model.module.state_dict().values()) + 2**16


def test_training_mode_gives_the_same_pictures_as_evaluation_mode(trained):
    """Instance norm has no statistics of training, so a picture is not black or blurred."""
    module = limner.load(trained, device="cpu").module
    images = torch.rand(1, 3, 24, 24) * 2 - 1
    for direction, network in module.ema.network.items():
        for one in (images, images.expand(2, -1, -1, -1)):
            with torch.no_grad():
                training = network.train()(one)
            evaluation = module.transform(one, direction)
            torch.testing.assert_close(training.clamp(-1, 1), evaluation)


@pytest.mark.slow
def test_onnx_of_each_direction_equals_the_run(trained, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    assert export_command.run([f"run={trained}", f"to={tmp_path}/export", "onnx=true"]) == 0
    module = limner.load(trained, device="cpu").module
    images = torch.rand(2, 3, 20, 36) * 2 - 1
    for direction in ("ab", "ba"):
        session = onnxruntime.InferenceSession(tmp_path / "export" / f"model_{direction}.onnx")
        (found,) = session.run(None, {"input": images.numpy()})
        expected = module.transform(images, direction).numpy()
        assert np.abs(found - expected).max() < 1e-4
