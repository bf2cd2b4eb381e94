"""Scores of a finished run whose model changes pictures."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from limner.commands.evaluate.command import measured
from limner.commands.evaluate.command import run as evaluate
from limner.errors import UserError
from support.photos import photos
from support.runs import trained

TINY = [
    "network.restorer.width=8", "network.restorer.num_blocks=1", "data.crop_size=24",
    "data.batch_size=4", "data.crops_per_picture=2", "metrics.scores=[psnr,ssim,mae]",
]  # fmt: skip
SIZES = [(48, 40), (41, 55), (40, 40)]


def write_photos(folder: Path, num: int, *, first: int = 0) -> Path:
    folder.mkdir()
    for i, photo in list(enumerate(photos(first + num, size=55)))[first:]:
        height, width = SIZES[i % len(SIZES)]
        pixels = np.ascontiguousarray(photo[:, :height, :width].permute(1, 2, 0).numpy())
        Image.fromarray(pixels).save(folder / f"{i:02d}.png")
    return folder


@pytest.fixture(scope="module")
def denoiser(tmp_path_factory) -> Path:
    """A run of two updates; it has two validation pictures."""
    folder = tmp_path_factory.mktemp("denoiser")
    path = write_photos(folder / "photos", 8)
    return trained(
        folder / "work", "model=restoration", "data=restoration", "data/degradation=noise",
        "metrics=pictures", f"data.path={path}", "data.validation_fraction=0.25", *TINY,
    )  # fmt: skip


def values(entries):
    return {name.removeprefix("val/"): entry["value"] for name, entry in entries.items()}


def test_evaluate_gives_the_scores_of_training_for_the_held_out_pictures(denoiser, tmp_path):
    found, path = measured([f"run={denoiser}", f"to={tmp_path}/new", "checkpoint=last"])
    with Image.open(tmp_path / "new" / "evaluation_worst_and_best.png") as picture:
        assert picture.width > 3 * 258
        assert picture.height > 2 * 258
    assert json.loads(path.read_text()) == found
    scores = json.loads((denoiser / "scores.json").read_text())
    scores = {name: scores[f"val/{name}"] for name in ("psnr", "ssim", "mae")}
    assert values(found) == pytest.approx(values(scores), abs=1e-5)
    assert {n: e["baselines"] for n, e in found.items()} == {
        n: e["baselines"] for n, e in scores.items()
    }
    assert found["psnr"]["protocol"] == scores["psnr"]["protocol"]
    assert found["psnr"]["protocol"]["num_pictures"] == 2
    assert found["psnr"]["protocol"]["degradation"]["noise"]["clipped"] is False
    assert set(found["psnr"]["baselines"]) == {"input", "blur", "median", "unsharp", "nl_means"}


def test_evaluate_without_held_out_pictures_scores_every_picture_of_the_run(denoiser, tmp_path):
    words = [f"run={denoiser}", f"to={tmp_path}", "metrics.scores=[mae]", "metrics.baselines=[]"]
    none = ["data.validation_fraction=0", "data.test_fraction=0"]
    numbers = [measured([*words, *more])[0]["mae"]["protocol"] for more in ([], none)]
    assert [(each["split"], each["num_pictures"]) for each in numbers] == [
        ("validation", 2), ("train", 8),
    ]  # fmt: skip


def test_evaluate_scores_every_picture_of_another_path(denoiser, tmp_path, capsys):
    other = write_photos(tmp_path / "others", 3, first=8)
    words = [f"run={denoiser}", f"to={tmp_path}", f"data.path={other}", "checkpoint=last"]
    assert evaluate(words) == 0
    found = json.loads((tmp_path / "evaluation.json").read_text())
    protocol = found["psnr"]["protocol"]
    assert (protocol["data"], protocol["split"], protocol["num_pictures"]) == ("others", "all", 3)
    out = capsys.readouterr().out
    assert "3 pictures, rgb" in out
    assert "blur (sigma" in out
    first, second = out.index("This model: psnr"), out.index("Scoring the baselines: ")
    assert first < second, "a user who interrupts the baselines has seen the model's scores"
    again, _ = measured([*words, "metrics.scores=[mae]", "metrics.border=4"])
    assert list(again) == ["mae"]
    assert again["mae"]["value"] != found["mae"]["value"]
    measured([*words, "metrics.baselines=[input,biharmonic]"])
    assert "metrics.baselines: biharmonic left out" in capsys.readouterr().out
    noisier, _ = measured([*words, "data.degradation.parts.noise.sigma=60"])
    assert noisier["psnr"]["baselines"]["input"] < found["psnr"]["baselines"]["input"] - 5


def test_evaluate_of_the_own_path_keeps_to_the_held_out_pictures(denoiser, tmp_path):
    own = denoiser.parents[3] / "photos"
    found, _ = measured([f"run={denoiser}", f"to={tmp_path}", f"data.path={own}"])
    assert found["psnr"]["protocol"]["num_pictures"] == 2


def test_evaluate_scores_a_run_that_has_measured_its_loss_only(denoiser, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(denoiser, folder)
    text = (folder / "config.yaml").read_text()
    start, end = text.index("\nmetrics:"), text.index("\nlogger:")
    loss = "\nmetrics:\n  objective: {name: val/loss, mode: min}"
    (folder / "config.yaml").write_text(text[:start] + loss + text[end:])
    found, _ = measured([f"run={folder}", "metrics.scores=[psnr]"])
    assert list(found) == ["psnr"]


def test_evaluate_adds_the_distances_of_all_outputs_if_asked(denoiser, tmp_path):
    words = [f"run={denoiser}", f"to={tmp_path}", "checkpoint=last", "metrics=translation"]
    found, _ = measured([*words, "metrics.scores=[psnr]", "metrics.baselines=[input]"])
    assert set(found) == {"psnr", "fid_lite0", "kid_lite0"}
    assert found["fid_lite0"]["protocol"]["images_compared"] == {"generated": 2, "reference": 2}
    assert found["fid_lite0"]["baselines"].keys() == {"input"}
    assert found["fid_lite0"]["value"] > 0
    assert "floor" in found["kid_lite0"], "there are training pictures"


def test_run_of_an_earlier_version_without_distances_is_evaluated(denoiser, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(denoiser, folder)
    text = (folder / "config.yaml").read_text()
    assert "\n  distances: null" in text
    (folder / "config.yaml").write_text(text.replace("\n  distances: null", ""))
    found, _ = measured([f"run={folder}", "metrics.scores=[psnr]", "metrics.baselines=[input]"])
    assert list(found) == ["psnr"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["measures=[efficiency]"], "they measure drawn images"),
        (["metrics=lite0"], "choose metrics=pictures"),
        (["metrics=domains"], "choose metrics=pictures or metrics=translation"),
        (["metrics.baselines=[bicubics]"], "bicubics: choose from input"),
    ],
)
def test_evaluate_refuses_what_does_not_fit_a_model_that_changes_pictures(
    denoiser, tmp_path, words, message
):
    with pytest.raises(UserError, match=message):
        measured([f"run={denoiser}", f"to={tmp_path}", *words])
