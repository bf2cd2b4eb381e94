"""Scores of sequences: frames and differences of frames, with baselines and the floor."""

from types import SimpleNamespace

import pytest
import torch

from limner.callbacks.frame_scores import FrameScores
from limner.callbacks.scores import Scores
from limner.callbacks.sequence_scores import SequenceScores
from limner.errors import UserError
from limner.interfaces import Features
from limner.metrics.sequence_pictures import PER_SEQUENCE
from support.sequences import Store, sequences

CPU = torch.device("cpu")


class Places:
    """Features of a picture: the mean of each row and of each column."""

    suffix, num_features, num_logits = "_places", 24, 1

    def prepare(self, real):
        pass

    def to(self, device):
        return self

    def __call__(self, images):
        pixels = images.float() / 255
        rows = torch.cat([pixels.mean((1, 3)), pixels.mean((1, 2))], 1)
        return Features(rows, rows[:, :1])

    def protocol(self):
        return {"feature_network": "places"}


class Data:
    name, image_shape, num_classes, num_frames = "squares", [1, 12, 12], 0, 5
    has_frames = True

    def __init__(self, num=120):
        self.store = Store(sequences(num))

    def reference(self, split):
        return self.store, torch.arange(len(self.store))


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("LIMNER_CACHE", str(tmp_path / "cache"))


def scorer(**changes):
    return SequenceScores(**{
        "features": Places(), "scores": ["fid", "kid"], "num_samples": 40, "batch_size": 16,
        "every_num_epochs": 1, "reference_split": "train", "max_features": 1000, "num_splits": 1,
        "kid_num_subsets": 5, "kid_subset_size": "auto", "num_neighbours": 3, "seed": 0,
        "objective": {"name": "val/fid_differences_places", "mode": "min"}, "floor": True,
    } | changes)  # fmt: skip


def scored(frames, **changes):
    scores = scorer(**changes)
    references = scores.references(Data(), CPU, num_samples=40)
    store = Store(frames)
    return scores.compare(
        lambda first, end: store.gather(torch.arange(first, end)), 40, references=references,
        device=CPU,
    )  # fmt: skip


def test_real_sequences_have_the_scores_of_the_floor_and_still_ones_of_the_baseline():
    real = scored(sequences(40, seed=5))
    assert set(real) == {f"{s}_{k}_places" for s in ("fid", "kid") for k in (
        "frames", "differences")}  # fmt: skip
    still = scored(sequences(40, seed=5)[:, :1].expand(-1, 5, -1, -1, -1))
    name = "fid_differences_places"
    assert real[name].value < 3 * real[name].floor
    assert still[name].value == pytest.approx(real[name].baselines["still"], rel=0.05)
    assert real[name].baselines["still"] > 10 * real[name].floor
    assert real[name].baselines["shuffled"] > 3 * real[name].floor
    assert still["fid_frames_places"].value < 10 * real["fid_frames_places"].floor + 1e-3
    assert real["fid_frames_places"].baselines is None


def test_scores_state_which_pictures_are_compared():
    protocol = scored(sequences(40, seed=5))["fid_differences_places"].protocol
    assert protocol["num_samples"] == 40 * PER_SEQUENCE
    reference = protocol["reference"]
    assert reference["pictures"] == "differences"
    assert (reference["per_sequence"], reference["num_frames"]) == (PER_SEQUENCE, 5)
    assert reference["num_images"] == 40 * PER_SEQUENCE
    assert reference["half"] == "first of two"


def test_halves_of_the_real_sequences_share_no_sequence(monkeypatch):
    scores, parts = scorer(), []
    compute = scores.evaluator.reference_of
    monkeypatch.setattr(
        scores.evaluator, "reference_of",
        lambda store, each, **more: (parts.append(each), compute(store, each, **more))[1],
    )  # fmt: skip
    scores.references(Data(), CPU, num_samples=40)
    for first, second in parts:
        assert not set((first // PER_SEQUENCE).tolist()) & set((second // PER_SEQUENCE).tolist())


def test_second_scoring_reads_no_real_sequence():
    frames = sequences(40, seed=5)
    first = scored(frames)
    scores, data = scorer(), Data()
    data.store.gather = None
    references = scores.references(data, CPU, num_samples=40)
    store = Store(frames)
    again = scores.compare(
        lambda a, b: store.gather(torch.arange(a, b)), 40, references=references, device=CPU
    )
    assert again == first


def test_names_and_objective_have_the_kinds_of_pictures():
    assert scorer().names == {
        f"val/{s}_{k}_places" for s in ("fid", "kid") for k in ("frames", "differences")
    }
    both = scorer(reference_split=["train", "test"], scores=["fid"]).names
    assert "val/fid_differences_test_places" in both
    with pytest.raises(UserError, match="val/fid_places is not computed"):
        scorer(objective={"name": "val/fid_places", "mode": "min"})
    with pytest.raises(UserError, match="inception_score reads classes"):
        scorer(scores=["fid", "inception_score"])


class Draws:
    num_classes = None

    def sample(self, num_images, *, generator, labels=None):
        raise AssertionError


def test_scores_of_sequences_refuse_models_of_images_and_single_frames():
    scores, model = scorer(), Draws()
    with pytest.raises(UserError, match="choose metrics=auto"):
        scores.refuse_model(model, Data())
    model.reads_frames = True
    scores.refuse_model(model, Data())
    with pytest.raises(UserError, match=r"data\.num_frames=1"):
        scores.refuse_model(model, SimpleNamespace(num_frames=1))
    with pytest.raises(UserError, match="choose metrics=sequences"):
        super(SequenceScores, scores).refuse_model(model, Data())


@pytest.mark.parametrize(
    ("refuse", "attributes", "option"),
    [
        (Scores.refuse_model, {"reads_frames": True, "num_targets": 2}, "frames"),
        (SequenceScores.refuse_model, {"reads_frames": True, "num_targets": 2}, "frames"),
        (FrameScores.refuse, {"reads_frames": True, "sample": print}, "sequences"),
    ],
)
def test_scores_that_do_not_fit_a_model_of_sequences_name_its_scores(refuse, attributes, option):
    model, data = SimpleNamespace(**attributes), SimpleNamespace(num_frames=4)
    with pytest.raises(UserError, match=rf"choose\s(metrics={option})"):
        refuse(None, model, data)
