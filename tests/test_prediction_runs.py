"""Whole runs of video prediction: exact resume, two processes, loading, transform, evaluation."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import limner
from limner.callbacks.films import MARK
from limner.commands import export, transform
from limner.commands.evaluate import command as evaluate
from limner.errors import UserError
from limner.files.videos import frame_rate, read_frames, write_frames, write_gif
from support import runs
from test_picture_runs import difference, losses, weights

ROOT = Path(__file__).parents[1]
QUIET = ["accelerator=cpu", "logger=none", "~callbacks.progress"]
WORDS = [
    "model=video_prediction", "data=moving_shapes", "data.image_size=16", "data.num_inputs=3",
    "data.num_targets=3", "data.batch_size=4", "data.source.shapes.num_train=16",
    "data.source.shapes.num_validation=3", "data.source.shapes.num_test=5",
    "metrics.scores=[squared_error,psnr]", "model.ema_half_life=8",
]  # fmt: skip
KINDS = {
    "conv_lstm": ["network.predictor.width=4", "model/scheduled_sampling=linear",
                  "model.scheduled_sampling.last=5"],
    "simvp": ["network=simvp", "network.predictor.width=4", "network.predictor.hidden=8",
              "network.predictor.num_blocks=1"],
}  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Return the folder of a trained run of each network, by the network."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, "TINY", (*QUIET, "trainer.max_steps=2"))
        return {
            kind: runs.trained(tmp_path_factory.mktemp(kind), *WORDS, *own)
            for kind, own in KINDS.items()
        }


@pytest.mark.parametrize("kind", ["conv_lstm", pytest.param("simvp", marks=pytest.mark.slow)])
def test_stopped_run_equals_the_uninterrupted_run_with_scheduled_sampling(run, kind):
    common = [*WORDS, *KINDS[kind], *QUIET]
    assert run(*common, "trainer.max_steps=5", "hydra.run.dir=whole").code == 0
    assert run(*common, "trainer.max_steps=2", "hydra.run.dir=parts").code == 0
    resumed = run("resume=parts", "trainer.max_steps=5")
    assert resumed.code == 0, resumed.err
    assert difference(weights("whole"), weights("parts")) == 0
    assert losses("whole") == losses("parts")
    assert run(*common, "seed=1", "trainer.max_steps=5", "hydra.run.dir=other").code == 0
    assert difference(weights("whole"), weights("other")) > 1e-5, "the comparison can fail"


@pytest.mark.usefixtures("forking")
def test_two_processes_equal_one_and_each_validation_sequence_counts_once(run, tmp_path):
    words = [*WORDS, *KINDS["conv_lstm"], *QUIET, "trainer.max_steps=3", "data.batch_size=2"]
    ended = subprocess.run(
        [sys.executable, str(ROOT / "train.py"), *words, "accelerator=ddp_cpu",
         "hydra.run.dir=two"],
        cwd=tmp_path, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert run(*words, "data.batch_size=4", "hydra.run.dir=one").code == 0
    assert difference(weights("one"), weights("two")) < 1e-5
    scores = [json.loads(Path(name, "scores.json").read_text()) for name in ("one", "two")]
    one, two = (each["val/squared_error"] for each in scores)
    assert one["protocol"]["num_sequences"] == two["protocol"]["num_sequences"] == 3
    assert one["value"] == pytest.approx(two["value"], rel=1e-4)
    assert one["baselines"] == pytest.approx(two["baselines"], rel=1e-6)
    assert Path("two", "final.gif").is_file()


@pytest.mark.parametrize("kind", KINDS)
def test_loaded_run_and_its_export_predict_the_same_frames_of_any_size(trained, tmp_path, kind):
    model = limner.load(trained[kind], device="cpu")
    frames = np.random.default_rng(0).integers(0, 256, (2, 5, 13, 18, 3), dtype=np.uint8)
    found = model.transform(frames, num_targets=4)
    assert (found.shape, found.dtype) == ((2, 4, 13, 18, 3), np.uint8)
    assert np.array_equal(model.transform(frames[1, -3:]), found[1, :3])
    assert export.run([f"run={trained[kind]}", f"to={tmp_path / 'out'}"]) == 0
    again = limner.load(tmp_path / "out", device="cpu")
    assert np.array_equal(again.transform(frames, num_targets=4), found)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_onnx_of_a_prediction_equals_torch(trained, tmp_path, kind):
    """The export itself compares both at two batch sizes."""
    pytest.importorskip("onnxruntime")
    words = [f"run={trained[kind]}", f"to={tmp_path / 'out'}", "onnx=true"]
    assert export.run(words) == 0
    assert (tmp_path / "out" / "model.onnx").is_file()


@pytest.mark.parametrize(
    ("frames", "options", "message"),
    [
        (np.zeros((2, 16, 16, 3), np.uint8), {}, "from 3 frames, and the sequence has 2"),
        (np.zeros((5, 16, 16, 1), np.uint8), {}, r"uint8 \(T, H, W, 3\)"),
        (np.zeros((5, 16, 16, 3), np.float32), {}, "not float32"),
        (np.zeros((5, 16, 16, 3), np.uint8), {"num_targets": 0}, "num_targets=0: must be 1"),
        (np.zeros((5, 16, 16, 3), np.uint8), {"style": "a"}, "style"),
    ],
)
def test_transform_refuses_frames_and_options_that_do_not_fit(trained, frames, options, message):
    with pytest.raises(UserError, match=message):
        limner.load(trained["conv_lstm"], device="cpu").transform(frames, **options)


@pytest.fixture
def clip(tmp_path, monkeypatch):
    """Write a GIF and a folder of the same 4 frames."""
    monkeypatch.chdir(tmp_path)
    frames = torch.randint(0, 256, (4, 1, 16, 20), dtype=torch.uint8).expand(-1, 3, -1, -1)
    write_gif(Path("clip.gif"), frames, frames_per_second=5)
    write_frames(Path("clip"), frames)
    return frames


def test_limner_transform_writes_the_next_frames_as_gif_and_as_folder(trained, clip, capsys):
    words = [f"run={trained['conv_lstm']}", "device=cpu", "num_targets=5"]
    assert transform.run([*words, "input=clip", "output=next"]) == 0
    assert transform.run([*words, "input=clip.gif", "output=made/next.gif"]) == 0
    assert capsys.readouterr().out.splitlines()[-2:] == ["next", "made/next.gif"]
    found = read_frames(Path("next"))
    expected = limner.load(trained["conv_lstm"], device="cpu").transform(
        clip.movedim(1, -1).numpy(), num_targets=5
    )
    assert np.array_equal(found.movedim(1, -1).numpy(), expected)
    assert len(read_frames(Path("made/next.gif"))) == 5


def test_limner_transform_shows_the_inputs_before_the_predicted_frames(trained, clip):
    """The frames are enlarged to 64 pixels and more, and the predicted frames have a border."""
    words = [f"run={trained['conv_lstm']}", "device=cpu", "num_targets=2", "input=clip"]
    assert transform.run([*words, "output=next.gif", "with_inputs=true"]) == 0
    found = read_frames(Path("next.gif"))
    assert len(found) == 4 + 2
    assert found.shape[2] > 64
    orange = (found.float() - torch.tensor(MARK)[:, None, None]).abs().amax(1) < 30
    counts = orange.flatten(1).sum(1)
    assert counts[:4].max() < 20
    assert counts[4:].min() > 2 * 2 * 64
    assert transform.run([*words, "output=alone.gif"]) == 0
    assert read_frames(Path("alone.gif")).shape == (2, 3, 16, 20)


def test_limner_transform_writes_an_mp4(trained, clip):
    pytest.importorskip("av")
    words = [f"run={trained['conv_lstm']}", "device=cpu", "input=clip"]
    assert transform.run([*words, "output=next.mp4"]) == 0
    assert transform.run([*words[:2], "input=next.mp4", "output=later"]) == 0
    assert len(read_frames(Path("later"))) == 3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["input=gone.gif", "output=x"], "there is no such file or folder"),
        (["input=clip", "output=x.avi"], "ends in .gif or .mp4"),
        (["input=clip", "output=x.txt"], "ends in .gif or .mp4"),
        (["input=clip", "output=x.png"], "ends in .gif or .mp4"),
        (["input=clip", "output=x", "views=single"], "views=single: this model predicts whole"),
        (["input=clip", "output=x", "tile=3"], "tile=3: this model predicts whole"),
        (["input=clip", "output=clip", "existing=overwrite"], "would replace the input"),
        (["input=clip", "output=clip.gif"], "existing=overwrite"),
        (["input=clip", "output=x", "direction=ab"], "has no direction"),
        (["input=clip", "output=x", "frames_per_second=0"], "must be above 0"),
        (["input=clip", "output=x", "num_targets=0"], "must be 1 or more"),
        (["input=clip", "output=x", "with_inputs=true"], "choose a file that ends in .gif"),
    ],
)
def test_limner_transform_refuses_words_that_do_not_fit_frames(trained, clip, words, message):
    with pytest.raises(UserError, match=message):
        transform.run([f"run={trained['conv_lstm']}", "device=cpu", *words])


@pytest.mark.parametrize(
    ("words", "rate"),
    [
        (["input=fast.gif"], 20),
        (["input=fast.gif", "frames_per_second=4"], 4),
        (["input=clip"], 5),
    ],
)
def test_predicted_frames_have_the_rate_of_the_input(trained, clip, words, rate):
    write_gif(Path("fast.gif"), clip, frames_per_second=20)
    run = [f"run={trained['conv_lstm']}", "device=cpu", "output=next.gif"]
    assert transform.run([*run, *words]) == 0
    assert frame_rate(Path("next.gif")) == rate


def test_limner_transform_refuses_a_folder_of_several_sequences(trained, clip):
    words = [f"run={trained['conv_lstm']}", "device=cpu", "output=next"]
    for name, number in (("videos", 4), ("folders", 0)):
        (Path(name)).mkdir()
        write_frames(Path(name, "a" if not number else "."), clip)
        write_gif(Path(name, "b.gif"), clip, frames_per_second=5)
        with pytest.raises(UserError, match=rf"input={name}: must be one sequence.*\n.*b\.gif"):
            transform.run([*words, f"input={name}"])
    Path("folders", "b.gif").unlink()
    with pytest.raises(UserError, match="such as input=folders/a"):
        transform.run([*words, "input=folders"])
    Path("empty").mkdir()
    with pytest.raises(UserError, match=r"input=empty has no pictures, such as frame_1\.png"):
        transform.run([*words, "input=empty"])


def test_limner_transform_leaves_an_existing_result_with_existing_skip(trained, clip):
    before = Path("clip.gif").read_bytes()
    words = [f"run={trained['conv_lstm']}", "device=cpu", "input=clip", "existing=skip"]
    assert transform.run([*words, "output=clip.gif"]) == 0
    assert Path("clip.gif").read_bytes() == before


def test_limner_evaluate_scores_the_test_sequences_beside_baselines(trained, tmp_path):
    run = trained["conv_lstm"]
    entries, path = evaluate.measured([f"run={run}", f"to={tmp_path / 'scores'}"])
    assert list(entries) == ["squared_error", "psnr"]
    entry = entries["squared_error"]
    assert (entry["protocol"]["split"], entry["protocol"]["num_sequences"]) == ("test", 5)
    assert entry["protocol"]["weights"] == "ema"
    assert entry["baselines"].keys() == {"last", "mean", "black"}
    assert len(entry["steps"]["model"]) == 3
    assert json.loads(path.read_text()) == entries
    assert (tmp_path / "scores" / "evaluation_error_of_steps.png").is_file()


def test_limner_evaluate_refuses_measures_of_drawn_images(trained):
    with pytest.raises(UserError, match="predicts frames"):
        evaluate.measured([f"run={trained['conv_lstm']}", "measures=[diversity]"])
