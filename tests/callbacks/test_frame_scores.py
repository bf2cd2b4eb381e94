"""The callback that scores predicted frames, and the callback that shows them."""

import json

import lightning as L
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

from limner.callbacks import predictions
from limner.callbacks.epochs import TrackEpochEnd
from limner.callbacks.films import MARK
from limner.callbacks.frame_scores import FrameScores, mean_frame
from limner.callbacks.measured import Measured
from limner.callbacks.predictions import Predictions, film_of, strip
from limner.errors import UserError
from limner.files.plain import NotPlainError
from limner.files.videos import read_frames
from limner.models.lightning_internals import FitLoop
from limner.pixels import to_uint8
from limner.runs.scores import read_scores, scores_tables
from support.sequences import NUM_INPUTS, NUM_TARGETS, Sequences, prediction, sequences


def scores(**changes):
    return FrameScores(**{
        "scores": ["squared_error", "psnr"], "baselines": ["last", "mean", "black"],
        "objective": {"name": "val/squared_error", "mode": "min"},
    } | changes)  # fmt: skip


def shown(**changes):
    return Predictions(**{
        "every_num_updates": 1, "num_sequences": 2, "frames_per_second": 5.0,
    } | changes)  # fmt: skip


def fitted(folder, *callbacks, model=None, data=None):
    folder.mkdir(exist_ok=True)
    model = prediction() if model is None else model
    trainer = L.Trainer(
        max_epochs=1, accelerator="cpu", logger=False, enable_progress_bar=False,
        enable_checkpointing=True, enable_model_summary=False, num_sanity_val_steps=0,
        callbacks=[Measured(), TrackEpochEnd(), *callbacks], default_root_dir=folder,
    )  # fmt: skip
    trainer.fit_loop = FitLoop(trainer)
    trainer.fit(model, data or Sequences([sequences(seed=s) for s in range(2)]))
    return model


def test_scores_and_baselines_equal_their_definitions_at_each_step(tmp_path):
    callback, data = scores(), Sequences([sequences(seed=s) for s in range(2)])
    model = fitted(tmp_path, callback, data=data)
    unit = lambda frames: (frames + 1) / 2  # noqa: E731
    inputs, target = data.validation.split([NUM_INPUTS, NUM_TARGETS], 1)
    mean = torch.cat(data.batches).mean((0, 1))
    guesses = {
        "model": model.transform(inputs), "last": inputs[:, -1:], "mean": mean,
        "black": torch.tensor(-1.0),
    }  # fmt: skip
    entry = read_scores(tmp_path / "scores.json")["val/squared_error"]
    for name, guess in guesses.items():
        expected = (unit(guess) - unit(target)).square().sum((2, 3, 4)).mean(0)
        assert entry["steps"][name] == pytest.approx(expected.tolist(), rel=1e-2), name
        value = entry["value"] if name == "model" else entry["baselines"][name]
        assert value == pytest.approx(sum(entry["steps"][name]) / NUM_TARGETS)
    assert entry["protocol"]["num_sequences"] == len(target)
    assert entry["protocol"]["sequences"] == "squares"


def test_scores_of_a_run_make_a_table_of_means_and_a_table_of_steps(tmp_path):
    fitted(tmp_path, scores())
    tables = scores_tables(read_scores(tmp_path / "scores.json"))
    assert [table.row_count for table in tables] == [4, 4]
    assert [column.header.plain for column in tables[1].columns[1:]] == ["+1", "+2"]


@pytest.mark.parametrize("steps", [[1.0], {"last": [1.0]}, {"model": []}, {"model": ["a"]},
                                   {"model": [1.0], "last": [1.0, 2.0]}])  # fmt: skip
def test_damaged_steps_are_refused(tmp_path, steps):
    content = {"val/x": {"value": 1.0, "protocol": {}, "steps": steps}}
    (tmp_path / "scores.json").write_text(json.dumps(content))
    with pytest.raises(NotPlainError, match="steps of val/x"):
        read_scores(tmp_path / "scores.json")


def test_mean_frame_does_not_depend_on_the_size_of_the_chunks(monkeypatch):
    data = Sequences([sequences(seed=s) for s in range(3)])
    whole = mean_frame(data)
    monkeypatch.setattr("limner.callbacks.frame_scores.CHUNK", 5)
    torch.testing.assert_close(mean_frame(data), whole)
    torch.testing.assert_close(whole, torch.cat(data.batches).mean((0, 1)), atol=1e-2, rtol=0)


def test_scores_refuse_an_unknown_baseline_and_a_model_without_frames(tmp_path):
    with pytest.raises(UserError, match="choose from last, mean, black"):
        scores(baselines=["noise"])
    model = prediction()
    model.reads_frames = False
    with pytest.raises(UserError, match="metrics=frames scores models that predict frames"):
        fitted(tmp_path, scores(), model=model)


def test_predictions_are_a_bounded_gif_a_strip_and_a_plot(tmp_path):
    fitted(tmp_path, scores(), shown())
    (gif,) = (tmp_path / "samples").glob("*.gif")
    assert gif.name == "update_00000002.gif"
    for name in ("final.png", "error_of_steps.png", "samples/update_00000002.png"):
        with Image.open(tmp_path / name) as picture:
            picture.verify()
    frames = read_frames(tmp_path / "final.gif", num_channels=1)
    assert len(frames) == NUM_INPUTS + NUM_TARGETS
    assert max(frames.shape[2:]) <= 512


def test_predictions_ignore_other_models(tmp_path):
    model = prediction()
    model.reads_frames = False
    fitted(tmp_path, shown(), model=model)
    assert not list(tmp_path.glob("final.*"))


def test_film_shows_the_truth_above_the_known_and_the_predicted_frames(monkeypatch):
    frames = torch.randint(0, 256, (2, 5, 1, 8, 8), dtype=torch.uint8)
    predicted = torch.zeros(2, 2, 1, 8, 8, dtype=torch.uint8)
    monkeypatch.setattr(predictions, "film", lambda shown, **options: (to_uint8(shown), options))
    shown, options = film_of(frames, predicted)
    above, below = shown.split(2)
    assert torch.equal(above, frames)
    assert torch.equal(below[:, :3], frames[:, :3])
    assert torch.equal(below[:, 3:], predicted)
    assert options["columns"] == 2
    assert options["titles"] == [
        "Input 1 of 3", "Input 2 of 3", "Input 3 of 3", "Prediction 1 of 2", "Prediction 2 of 2",
    ]  # fmt: skip


def test_film_marks_the_predicted_frames():
    frames = torch.randint(0, 256, (2, 5, 1, 8, 8), dtype=torch.uint8)
    found = film_of(frames, frames[:, 3:])
    orange = (found == torch.tensor(MARK)[:, None, None]).all(1)
    below, number = orange[:, -68:], orange.sum((1, 2))
    assert number.tolist()[:3] == [0, 0, 0]
    assert torch.equal(number, below.sum((1, 2)))
    assert all(count > 4 * 64 * 2 for count in number.tolist()[3:])
    assert not torch.equal(found[0, :, :30], found[3, :, :30]), "the title says what is shown"


def test_strip_of_long_and_large_sequences_is_bounded():
    frames = torch.zeros(2, 90, 3, 128, 96, dtype=torch.uint8)
    picture = strip(frames, frames[:, 50:], title="", about="")
    assert picture.width < 41 * 66 + 200
    assert picture.height < 5 * 66 + 100


def test_strip_enlarges_small_frames():
    frames = torch.zeros(1, 3, 1, 8, 8, dtype=torch.uint8)
    assert strip(frames, frames[:, 2:], title="", about="").width > 3 * 66


@pytest.mark.parametrize(
    "change", [{"every_num_updates": 0}, {"num_sequences": 0}, {"frames_per_second": 0.0}]
)
def test_predictions_refuse_values_out_of_range(change):
    with pytest.raises(ValueError, match=r"callbacks.predictions"):
        shown(**change)


def test_error_picture_marks_whole_steps_only(monkeypatch):
    axes = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: axes.extend(figure.axes))
    monkeypatch.setattr(predictions.Image, "open", lambda _: Image.new("RGB", (1, 1)))
    predictions.error_picture({"model": {"psnr": [1.0, 2.0, 3.0]}}, "psnr", title="x")
    assert all(tick == int(tick) for tick in axes[0].get_xticks())
