"""The callback that scores a model's pictures, on its own and in one or two processes."""

import json

import lightning as L
import pytest
import torch
from torch import nn

from limner.callbacks.epochs import TrackEpochEnd
from limner.callbacks.measured import Measured
from limner.callbacks.pair_scores import PairScores
from limner.errors import UserError
from limner.models.lightning_internals import FitLoop
from support.any_size import distances
from support.picture_pairs import FakePairs

CPU = {
    "accelerator": "cpu", "logger": False, "enable_progress_bar": False,
    "enable_checkpointing": False, "enable_model_summary": False,
}  # fmt: skip


class Darker(L.LightningModule):
    """A model that makes its input darker by a learned amount."""

    reads_input, ema = True, None

    def __init__(self, amount=0.0):
        super().__init__()
        self.amount = nn.Parameter(torch.tensor(amount))

    def validation_step(self, batch, batch_idx):
        return {"output": batch["input"] - self.amount}

    def training_step(self, batch, batch_idx):
        return (batch["input"] - self.amount - batch["image"]).square().mean()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.0)


class Data(FakePairs, L.LightningDataModule):
    """The fake pictures as a data module."""

    def __init__(self, make=lambda target, number: target - 0.1):
        L.LightningDataModule.__init__(self)
        FakePairs.__init__(self, make)

    def val_dataloader(self):
        batches = list(self.whole_pictures("validation", device=torch.device("cpu")))
        return torch.utils.data.DataLoader(batches, batch_size=None)

    train_dataloader = val_dataloader


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LIMNER_CACHE", str(tmp_path / "cache"))


def callback(**changes):
    return PairScores(**{
        "scores": ["psnr", "ssim", "mae"], "colour": "auto", "border": "auto", "perceptual": None,
        "baselines": ["input", "bicubic", "blur"], "slow_megapixels": 20.0, "distances": None,
        "objective": {"name": "val/psnr", "mode": "max"},
    } | changes)  # fmt: skip


def fitted(folder, made, data=None, model=None, **options):
    folder.mkdir(exist_ok=True)
    data, measured = data or Data(), Measured()
    trainer = L.Trainer(
        max_epochs=1, callbacks=[measured, TrackEpochEnd(), made], num_sanity_val_steps=0,
        default_root_dir=folder, **{**CPU, "enable_checkpointing": True, **options},
    )  # fmt: skip
    trainer.fit_loop = FitLoop(trainer)
    trainer.fit(model or Darker(), data)
    return trainer, measured


def test_validation_reports_the_mean_scores_of_whole_pictures():
    trainer = L.Trainer(callbacks=[callback()], **CPU)
    (values,) = trainer.validate(Darker(), Data(), verbose=False)
    assert values["val/mae"] == pytest.approx(12.75, abs=0.5)  # 0.1 of [-1, 1] in levels
    assert values["val/psnr"] == pytest.approx(26, abs=0.3)  # 20 log10(255 / 12.75)
    (better,) = trainer.validate(Darker(-0.1), Data(), verbose=False)
    assert better["val/psnr"] == 100


def test_training_writes_scores_with_baselines_and_measures_the_objective(tmp_path):
    trainer, measured = fitted(tmp_path, callback())
    found = json.loads((tmp_path / "scores.json").read_text())
    assert set(found) == {"val/psnr", "val/ssim", "val/mae"}
    psnr = found["val/psnr"]
    assert measured.at(trainer.global_step)["val/psnr"] == pytest.approx(psnr["value"], abs=1e-4)
    assert psnr["baselines"]["input"] == pytest.approx(psnr["value"])  # the model changes nothing
    assert set(psnr["baselines"]) == {"input", "blur"}  # bicubic does not fit
    protocol = psnr["protocol"]
    assert (protocol["num_pictures"], protocol["split"]) == (3, "validation")
    assert (protocol["weights"], protocol["update"]) == ("raw", trainer.global_step)


def test_checkpoint_contains_the_scores_for_a_resume_at_the_end_of_training(tmp_path):
    made = callback()
    fitted(tmp_path, made)
    again = callback()
    again.load_state_dict(made.state_dict())
    assert again.latest == json.loads((tmp_path / "scores.json").read_text())


def test_baselines_are_left_out_if_only_a_part_of_the_pictures_is_scored(tmp_path, caplog):
    fitted(tmp_path, callback(), limit_val_batches=2)
    found = json.loads((tmp_path / "scores.json").read_text())
    assert found["val/psnr"]["protocol"]["num_pictures"] == 2
    assert "baselines" not in found["val/psnr"]
    assert "trainer.limit_val_batches=2 scores 2 of them" in caplog.text


def test_model_that_draws_images_is_refused_with_the_option_to_choose():
    model = Darker()
    model.reads_input = False
    with pytest.raises(UserError, match="Darker does not: choose metrics=auto"):
        L.Trainer(callbacks=[callback()], **CPU).validate(model, Data(), verbose=False)
    model.reads_domains = True
    with pytest.raises(UserError, match="Darker does not: choose metrics=domains"):
        L.Trainer(callbacks=[callback()], **CPU).validate(model, Data(), verbose=False)


class Distance:
    """A perceptual distance without a network."""

    weights_sha256, stage_weights, min_size = "abc", [1.0], 32

    def load(self):
        """Do nothing; there are no weights."""

    def __call__(self, images, others):
        return (images - others).abs().mean((1, 2, 3))


@pytest.mark.parametrize("sha256", ["abc", "other"])
def test_score_by_the_network_that_trained_the_model_is_marked(tmp_path, caplog, sha256):
    model = Darker()
    model.weights_sha256 = sha256
    fitted(tmp_path, callback(scores=["psnr", "perceptual"], perceptual=Distance()), model=model)
    found = json.loads((tmp_path / "scores.json").read_text())
    marked = {n for n, e in found.items() if "trained_with_this_network" in e["protocol"]}
    assert marked == ({"val/perceptual"} if sha256 == "abc" else set())
    assert ("so this score is too good" in caplog.text) == (sha256 == "abc")


def test_distances_stand_beside_copying_which_does_not_depend_on_the_model(tmp_path):
    scores = {}
    for name, amount in (("copies", 0.0), ("darker", 0.5), ("perfect", -0.1)):
        folder = tmp_path / name
        trainer, measured = fitted(folder, callback(distances=distances()), model=Darker(amount))
        scores[name] = json.loads((folder / "scores.json").read_text())
        value = scores[name]["val/kid_any"]["value"]
        assert measured.at(trainer.global_step)["val/kid_any"] == pytest.approx(value)
    for score in ("val/fid_any", "val/kid_any"):
        copied = [each[score]["baselines"]["input"] for each in scores.values()]
        assert copied == [copied[0]] * 3
        assert scores["copies"][score]["value"] == pytest.approx(copied[0])
        assert scores["darker"][score]["value"] > copied[0]
    perfect = scores["perfect"]["val/fid_any"]
    assert perfect["value"] < 1e-4 * perfect["baselines"]["input"]
    protocol = perfect["protocol"]
    assert protocol["feature_network"] == "any size"
    assert (protocol["num_pictures"], protocol["split"]) == (3, "validation")
    assert "val/kid_any" in callback(distances=distances()).names


def test_split_with_one_picture_is_refused_before_training():
    data = Data()
    data.sizes = data.sizes[:1]
    with pytest.raises(UserError, match="The validation split: 1 pictures"):
        L.Trainer(callbacks=[callback(distances=distances())], **CPU).validate(
            Darker(), data, verbose=False
        )


def test_part_of_a_split_with_one_picture_has_no_distances(tmp_path):
    fitted(tmp_path, callback(distances=distances()), limit_val_batches=1)
    found = json.loads((tmp_path / "scores.json").read_text())
    assert set(found) == {"val/psnr", "val/ssim", "val/mae"}
