"""Whole runs of a VAE of sequences: exact resume, pictures, samples, export, evaluation."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import limner
from limner.callbacks.films import film
from limner.callbacks.sequence_pictures import sheet
from limner.commands import export
from limner.commands import sample as sample_command
from limner.commands.evaluate import command as evaluate
from limner.errors import UserError
from limner.runs.scores import scores_tables
from test_picture_runs import difference, losses, weights

ROOT = Path(__file__).parents[1]
QUIET = ["accelerator=cpu", "logger=none", "~callbacks.progress"]
SMALL = [
    "model=sequence_vae", "data=moving_shapes", "data.image_size=8", "data.num_inputs=2",
    "data.num_targets=2", "data.batch_size=4", "data.source.shapes.num_train=24",
    "data.source.shapes.num_validation=4", "data.source.shapes.num_test=6", "model.latent_dim=4",
    "network.encoder.width=8", "network.encoder.max_width=8", "network.encoder.hidden_dim=8",
    "network.decoder.width=8", "network.decoder.patch_size=2", "callbacks.codes.num_images=4",
    "callbacks.sequences.num_sequences=4", "model/prior=flow",
]  # fmt: skip


@pytest.fixture
def finished(run):
    """A run of five updates, without scores."""
    result = run(*SMALL, *QUIET, "metrics=none", "trainer.max_steps=5", "hydra.run.dir=whole")
    assert result.code == 0, result.err
    assert "2 + 2 frames" in result.out
    return Path("whole").absolute()


def test_resumed_run_equals_the_uninterrupted_run_and_draws_the_same_films(run, finished):
    words = [*SMALL, *QUIET, "metrics=none", "trainer.max_steps=3", "hydra.run.dir=parts"]
    assert run(*words).code == 0
    resumed = run("resume=parts", "trainer.max_steps=5")
    assert resumed.code == 0, resumed.err
    assert difference(weights("whole"), weights("parts")) == 0
    assert losses("whole") == losses("parts")
    names = {
        "final.png", "final.gif", "final_reconstructions.png", "final_reconstructions.gif",
        "final_interpolations.png", "final_interpolations.gif", "final_traversal.png",
        "final_traversal.gif", "final_kl.png",
    }  # fmt: skip
    assert {path.name for path in finished.glob("final*")} == names
    for name in names:
        assert (finished / name).read_bytes() == Path("parts", name).read_bytes()
    with Image.open(finished / "final_reconstructions.gif") as gif:
        assert 1 < gif.n_frames <= 4


@pytest.mark.usefixtures("forking")
def test_two_processes_equal_one(run, tmp_path):
    sgd = ["optimizer=sgd", "optimizer.lr=0.1"]  # Adam makes large steps of tiny gradients
    words = [*SMALL, *QUIET, "metrics=none", "trainer.max_steps=3", *sgd]
    ended = subprocess.run(
        [sys.executable, str(ROOT / "train.py"), *words, "data.batch_size=2",
         "accelerator=ddp_cpu", "hydra.run.dir=two"],
        cwd=tmp_path, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert run(*words, "hydra.run.dir=one").code == 0
    assert difference(weights("one"), weights("two")) < 1e-5
    assert run(*words, "seed=1", "hydra.run.dir=other").code == 0
    assert difference(weights("one"), weights("other")) > 1e-3, "the comparison can fail"


def test_loaded_model_gives_sequences_as_arrays(finished):
    model = limner.load(finished, device="cpu")
    frames = model.sample(3, seed=1)
    assert (frames.shape, frames.dtype) == ((3, 4, 8, 8, 3), np.uint8)
    assert np.array_equal(model.sample(5, seed=1)[:3], frames)
    assert np.array_equal(model.decode(model.latents(3, seed=1)), frames)
    assert model.reconstruct(frames).shape == frames.shape
    assert model.encode(frames[:, :2]).shape == (3, 4)
    assert model.interpolate(frames[0], frames[1], 5).shape == (5, 4, 8, 8, 3)
    assert "8x8x3 frames" in repr(model)
    with pytest.raises(UserError, match=r"Frames for this model are uint8 \(N, T, 8, 8, 3\)"):
        model.encode(frames[0])


def test_sample_writes_films_folders_and_arrays(finished, capfd):
    def sample(*words):
        capfd.readouterr()
        assert sample_command.run([f"run={finished}", "device=cpu", *words]) == 0
        return [Path(line) for line in capfd.readouterr().out.splitlines()]

    expected = limner.load(finished, device="cpu").sample(3, seed=2)
    picture, gif = sample("num_images=3", "seed=2")
    assert (picture.suffix, gif.suffix) == (".png", ".gif")
    with Image.open(picture) as opened:
        assert opened.size == (4 * 66 + 2, 3 * 66 + 2)  # 4 frames, 3 sequences
    (folder,) = sample("num_images=3", "seed=2", "mode=folder", "to=drawn")
    for number, sequence in enumerate(expected):
        paths = sorted((folder / f"{number:06d}").iterdir())
        assert [path.name for path in paths] == ["000.png", "001.png", "002.png", "003.png"]
        for path, frame in zip(paths, sequence, strict=True):
            with Image.open(path) as opened:
                assert np.array_equal(np.asarray(opened), frame)
    (path,) = sample("num_images=3", "seed=2", "mode=npz", "to=drawn.npz")
    assert np.array_equal(np.load(path)["arr_0"], expected)
    for mode in ("interpolate", "traverse"):
        picture, gif = sample("num_images=2", "num_steps=3", f"mode={mode}", f"to={mode}")
        with Image.open(gif) as opened:
            assert opened.size[0] == 3 * 66 + 2


def test_exported_model_draws_the_same_sequences(finished):
    assert export.run([f"run={finished}", "to=exported"]) == 0
    model, other = (limner.load(path, device="cpu") for path in (finished, "exported"))
    assert np.array_equal(model.sample(2), other.sample(2))
    card = Path("exported/README.md").read_text()
    assert "sequences of frames of 8x8 pixels" in card
    assert "(16, T, H, W, C)" in card


def test_run_scores_its_sequences_and_evaluate_bounds_their_likelihood(run, capfd):
    words = [*SMALL, *QUIET, "trainer.max_steps=2", "hydra.run.dir=scored"]
    result = run(*words, "metrics.num_samples=6", "metrics.kid_num_subsets=2")
    assert result.code == 0, result.err
    scores = json.loads(Path("scored/scores.json").read_text())
    names = {f"val/{s}_{k}_lite0" for s in ("fid", "kid") for k in ("frames", "differences")}
    assert names <= set(scores)
    entry = scores["val/fid_differences_lite0"]
    assert set(entry["baselines"]) == {"still", "shuffled"}
    assert "floor" in entry
    found, _ = evaluate.measured(
        ["run=scored", "measures=[likelihood,diversity]", "num_measured=3"]
    )
    assert "diversity left out: it compares single images" in capfd.readouterr().out
    assert found["fid_differences_lite0"]["value"] == pytest.approx(entry["value"], rel=1e-3)
    assert found["elbo"]["protocol"]["unit"].startswith("nats for each sequence")
    titles = str(
        [[str(cell) for cell in table.columns[-1].cells] for table in scores_tables(found)]
    )
    assert "test sequences" in titles
    assert "test images" not in titles
    assert found["elbo"]["value"] <= found["log_likelihood_iw500"]["value"]
    with pytest.raises(UserError, match="choose metrics=sequences"):
        evaluate.measured(["run=scored", "metrics=lite0"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["data=digits"], "reads sequences of frames, and data=digits has single images"),
        (["data=moving_shapes", "metrics=lite0"], "choose metrics=sequences"),
        (["data=moving_shapes", "network=conv"], "choose network=recurrent"),
        (["model=vae", "network=recurrent", "data=moving_shapes"], "choose one of network="),
        (["data=moving_shapes", "model/condition=concat"], "model/condition=none"),
        (["data=moving_shapes", "callbacks.sequences.frames_per_second=0"], "frames_per_second"),
    ],
)
def test_unfit_choices_are_refused_before_training(run, words, message):
    result = run("model=sequence_vae", *words, *QUIET)
    assert result.code == 1
    assert message in result.err
    assert len(result.err.strip().splitlines()) <= 5


def test_sheet_has_ten_frames_at_equal_distances_and_film_all():
    frames = torch.linspace(-1, 1, 19).view(1, 19, 1, 1, 1).expand(2, -1, 1, 64, 64)
    picture, columns = sheet(frames)
    assert columns == [str(number) for number in range(1, 20, 2)]
    assert picture.size == (10 * 66 + 2, 2 * 66 + 2)
    moving = film(frames, columns=2)
    assert moving.shape == (19, 3, 68, 134)
    assert moving[0, 0, 4, 4] == 0
    assert moving[-1, 0, 4, 4] == 255
