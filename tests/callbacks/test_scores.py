"""Scores of a run carry their protocol, and hang on nothing but weights and seed."""

import json

import pytest

QUICK = ["trainer.max_epochs=1", "metrics.num_samples=150", "metrics.batch_size=64", "logger=csv"]


def scores(result):
    assert result.code == 0, result.err
    return json.loads((result.only_run() / "scores.json").read_text())


def test_every_score_says_how_it_was_made(run):
    found = scores(run("model=gan", *QUICK, "seed=3"))
    assert set(found) == {"val/fid_classifier", "val/inception_score_classifier"}
    protocol = found["val/inception_score_classifier"]["protocol"]
    assert protocol.pop("classifier_accuracy") > 0.9
    assert len(protocol.pop("weights_sha256")) == 64
    assert protocol == {
        "feature_network": "classifier of the data's labels, 128 features",
        "resize": "none",
        "reference": {
            "data": "digits",
            "image_shape": [1, 8, 8],
            "split": "train",
            "num_images": 1617,
        },
        "num_samples": 150,
        "num_splits": 10,
        "weights": "ema",
        "seed": 3,
        "update": 22,
    }
    assert found["val/inception_score_classifier"]["std"] > 0


def test_the_reference_may_be_the_test_images(run):
    found = scores(run(*QUICK, "metrics.reference_split=test"))
    reference = found["val/fid_classifier"]["protocol"]["reference"]
    assert (reference["split"], reference["num_images"]) == ("test", 180)
    assert found["val/loss"]["protocol"]["split"] == "validation"


@pytest.mark.parametrize("batch_size", [64, 150])
def test_the_size_of_a_score_is_what_was_asked_for(run, monkeypatch, batch_size):
    from limner.metrics.distribution import DistributionScores

    counted = []
    original = DistributionScores.add_generated

    def count(self, seen):
        counted.append(len(seen.features))
        original(self, seen)

    monkeypatch.setattr(DistributionScores, "add_generated", count)
    scores(run(*QUICK, f"metrics.batch_size={batch_size}"))
    assert sum(counted) == 150


def test_metrics_auto_says_what_it_chose(run):
    result = run("metrics=auto", *QUICK[:1], "accelerator=cpu")
    assert result.code == 0, result.err
    assert "metrics=classifier: about" in result.out
    assert "val/fid_classifier" in scores(result)
