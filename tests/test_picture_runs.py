"""Whole runs on pictures of any size: exact resume, two processes, scores of drawing models."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image, ImageFilter

import limner
from limner.runs.checkpoints import update_path
from support.photos import write_photos
from support.runs import last_checkpoint

ROOT = Path(__file__).parents[1]
SIZES = [(48, 40), (41, 55), (40, 40), (50, 43), (44, 47)]
OTHERS = ("restoration", "pairs", "multi_view")
"""Other kinds of data, which several processes share in the same way."""
QUIET = ["accelerator=cpu", "logger=none", "~callbacks.progress"]
PAIRS = ["network.restorer.width=8", "network.restorer.num_blocks=1", "model.ema_half_life=100"]
JUDGED = ["network.restorer.width=4", "network.restorer.max_width=8", "model.ema_half_life=100",
          "network.discriminator.receptive_field=16", "network.discriminator.width=4"]  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    """Write a folder of 15 photos of five sizes."""
    return write_photos(tmp_path / "photos", 15, sizes=SIZES)


def stored_pairs(folder: Path) -> Path:
    """Write blurred photos as inputs, and the photos as their targets; return their folder."""
    pairs = folder.with_name("pairs")
    if not pairs.exists():
        for side in ("in", "out"):
            (pairs / side).mkdir(parents=True)
        for path in folder.iterdir():
            with Image.open(path) as photo:
                photo.filter(ImageFilter.GaussianBlur(2)).save(pairs / "in" / path.name)
                photo.save(pairs / "out" / path.name)
    return pairs


def words_of(kind: str, folder: Path, *, batch_size: int = 8) -> list[str]:
    own = {
        "restoration": ["model=restoration", "data=restoration", "data.crop_size=24",
                        "data/degradation=[noise,holes]",
                        "data.degradation.parts.noise.sigma=[0,50]", *PAIRS],
        "super_resolution": ["model=super_resolution", "data=super_resolution",
                             "data.crop_size=36", "data.scale=3", *PAIRS],
        "multi_view": ["model=super_resolution", "network=multi_frame", "data=multi_view",
                       "data.crop_size=24", "data.scale=2", "data/degradation=[resize,noise]",
                       "data/augmentation=turns", *PAIRS],
        "pix2pix": ["model=pix2pix", "data=restoration", "data.crop_size=24",
                    "data/degradation=[noise,holes]", "model/augmentation=diffaugment",
                    "model/penalty=[r1,lecam]", *JUDGED],
        "srgan": ["model=srgan", "data=super_resolution", "data.crop_size=36", "data.scale=3",
                  "model/losses=pixel", *PAIRS, "network.discriminator.width=4"],
        "pairs": ["model=restoration", "data=paired_folder", "data.crop_size=24",
                  "data.input_folder=in", "data.target_folder=out", "data/augmentation=standard",
                  "data.recolour=both", *PAIRS],
        "vae": ["model=vae", "network=mlp", "data=super_resolution", "data.crop_size=16",
                "~callbacks.pictures", "~callbacks.codes"],
    }[kind]  # fmt: skip
    path = stored_pairs(folder) if kind == "pairs" else folder
    return [
        *own, f"data.path={path}", f"data.batch_size={batch_size}", "data.crops_per_picture=2",
        "data.validation_fraction=0.2", "metrics=loss",
    ]  # fmt: skip


def weights(run: str, update: int | None = None) -> dict[str, torch.Tensor]:
    path = last_checkpoint(Path(run)) if update is None else update_path(Path(run), update)
    return torch.load(path, weights_only=True)["state_dict"]


def difference(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> float:
    assert a.keys() == b.keys()
    return max((a[key].double() - b[key].double()).abs().max().item() for key in a)


def losses(run: str) -> dict[str, float]:
    scores = json.loads((Path(run) / "scores.json").read_text())
    return {name: entry["value"] for name, entry in scores.items()}


@pytest.mark.parametrize(
    "kind",
    [
        "restoration",
        "pairs",
        "multi_view",
        "vae",
        "pix2pix",
        pytest.param("srgan", marks=pytest.mark.slow),
    ],
)
def test_stopped_run_equals_the_uninterrupted_run_from_the_middle_of_an_epoch(run, folder, kind):
    common = [*words_of(kind, folder), *QUIET]
    assert run(*common, "trainer.max_steps=5", "hydra.run.dir=whole").code == 0
    assert run(*common, "trainer.max_steps=2", "hydra.run.dir=parts").code == 0
    resumed = run("resume=parts", "trainer.max_steps=5")
    assert resumed.code == 0, resumed.err
    assert difference(weights("whole"), weights("parts")) == 0
    assert losses("whole") == losses("parts")
    assert run(*common, "seed=1", "trainer.max_steps=5", "hydra.run.dir=other").code == 0
    assert difference(weights("whole"), weights("other")) > 1e-5, "the comparison can fail"


@pytest.mark.parametrize(
    "kind",
    ["super_resolution", "pix2pix", *(pytest.param(k, marks=pytest.mark.slow) for k in OTHERS)],
)
@pytest.mark.usefixtures("forking")
def test_two_processes_equal_one(run, tmp_path, folder, kind):
    """The three validation pictures do not divide evenly, and each counts once."""
    words = [
        *words_of(kind, folder, batch_size=4), "trainer.max_steps=3", "metrics=pictures",
        "metrics.scores=[psnr,mae]", *QUIET,
    ]  # fmt: skip
    ended = subprocess.run(
        [sys.executable, str(ROOT / "train.py"), *words, "accelerator=ddp_cpu",
         "hydra.run.dir=two"],
        cwd=tmp_path, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert run(*words, "data.batch_size=8", "hydra.run.dir=one").code == 0
    assert difference(weights("one"), weights("two")) < 1e-5
    one, two = losses("one"), losses("two")
    assert one.keys() == two.keys()
    rounded = ("val/psnr", "val/mae")  # a pixel may be rounded to another level
    assert all(abs(one[name] - two[name]) < (1e-2 if name in rounded else 1e-5) for name in one)
    scores = [json.loads(Path(name, "scores.json").read_text()) for name in ("one", "two")]
    baselines = [entries["val/psnr"]["baselines"] for entries in scores]
    assert baselines[0] == baselines[1]
    assert "input" in baselines[0]
    assert scores[0]["val/psnr"]["protocol"]["num_pictures"] == 3
    assert scores[1]["val/psnr"]["protocol"]["num_pictures"] == 3
    for name in ("final.png", "worst_and_best.png"):
        assert Path("one", name).is_file()
        assert Path("two", name).is_file()


def test_vae_trains_on_the_targets_and_is_scored_on_their_centres(run, folder):
    words = [
        *words_of("vae", folder), *QUIET, "metrics=lite0", "metrics.num_samples=12",
        "trainer.max_steps=2", "hydra.run.dir=vae",
    ]  # fmt: skip
    result = run(*words)
    assert result.code == 0, result.err
    assert "super_resolution: 12 train, 3 validation pictures" in result.out
    assert "24 crops of 3x16x16 an epoch" in result.out
    assert any(name.startswith("val/fid") for name in losses("vae"))
    assert limner.load("vae").sample(2).shape[:3] == (2, 16, 16)


def test_pictures_opened_in_python_give_their_batches(folder):
    data = limner.open_data("restoration", path=str(folder), crop_size=16, num_channels=1)
    assert data.input_shape == [1, 16, 16]
    (batch, *rest) = data.whole_pictures("validation", device=torch.device("cpu"))
    assert batch["image"].shape == batch["input"].shape
    assert len(rest) == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["model=restoration", "data=digits"],
            "choose one of data=paired_folder, ",
        ),
        (["model=vae", "data=restoration", "data.crop_size=41"], "has only"),
        (["model=classifier", "data=restoration", "data.crop_size=24"], "needs labels"),
        (["model=super_resolution", "data=super_resolution", "data.crop_size=30"], "such as 32"),
        (
            ["model=restoration", "data=restoration", "data/degradation=none"],
            "(model=restoration, super_resolution) reads an input beside each image, and",
        ),
        (["model=vae", "data=restoration", "data.image_shape=[3,9,9]"], "it is [3, 128, 128]"),
    ],
)
def test_data_that_do_not_fit_are_refused_before_training(run, folder, words, message):
    path = [] if "data=digits" in words else [f"data.path={folder}"]
    result = run(*words, *path, *QUIET)
    assert result.code == 1
    assert message in result.err
    assert len(result.err.strip().splitlines()) <= 3
    assert not Path("outputs").exists()
