"""`limner sample mode=steps` of a trained DRAW, and what else is done with its run."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import limner
from limner.commands import export
from limner.commands import sample as sample_command
from limner.errors import UserError
from support.grids import grid_of
from support.runs import trained


@pytest.fixture(scope="module")
def painter(tmp_path_factory):
    """Train a conditional DRAW of three steps."""
    return trained(
        tmp_path_factory.mktemp("runs"), "model=draw", "model/condition=concat",
        "network.num_steps=3", "network.encoder.hidden_size=8", "network.decoder.hidden_size=8",
        "callbacks.pictures.num_images=4", "metrics=none",
    )  # fmt: skip


def test_steps_are_a_row_of_a_strip_and_the_frames_of_a_film(
    painter, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    words = [f"run={painter}", "device=cpu", "mode=steps", "num_images=2", "to=s.png"]
    with pytest.raises(UserError, match="needs one class"):
        sample_command.run(words)
    assert sample_command.run([*words, "labels=[3]"]) == 0
    strip, film = map(Path, capsys.readouterr().out.split())
    tiles = grid_of(strip)
    assert tiles.shape[:2] == (2 * 66 + 2, 3 * 66 + 2)
    assert Image.open(film).size == (2 * 66 + 2, 66 + 2)
    assert sample_command.run([f"run={painter}", "device=cpu", "mode=folder", "num_images=2",
                               "labels=[3]", "to=drawn"]) == 0  # fmt: skip
    last = np.asarray(Image.open("drawn/000001.png")).astype(int)
    shown = tiles[2 + 66 : 2 + 66 + 64, 2 + 2 * 66 : 2 + 2 * 66 + 64]
    assert np.abs(shown[4::8, 4::8].reshape(8, 8, -1)[..., 0] - last).max() <= 1


def test_steps_of_a_model_that_does_not_paint_are_refused(tmp_path):
    vae = trained(tmp_path, "network=mlp", "metrics=none", "callbacks.pictures.num_images=4")
    with pytest.raises(UserError, match="does not paint in steps"):
        sample_command.run([f"run={vae}", "mode=steps", "device=cpu"])


@pytest.mark.slow
def test_exported_draw_paints_what_the_run_paints(painter, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pytest.importorskip("onnxruntime")
    assert export.run([f"run={painter}", "to=shared", "onnx=true"]) == 0
    assert Path("shared/model.onnx").exists(), "its images were compared for another batch size"
    ours, theirs = (limner.load(folder, device="cpu") for folder in (painter, "shared"))
    assert np.array_equal(ours.sample(3, seed=1), theirs.sample(3, seed=1))
