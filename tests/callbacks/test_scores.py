"""Scores of a run state their protocol and depend only on the weights and the seed."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from omegaconf import OmegaConf

from limner.config.build import build
from limner.errors import UserError
from limner.training.train import prepare
from support.runs import JUDGE

QUICK = [
    "trainer.max_steps=2", "metrics.num_samples=150", "metrics.batch_size=64", "network=mlp",
    JUDGE, "logger=csv", "accelerator=cpu", "~callbacks.pictures", "~callbacks.codes",
]  # fmt: skip


def scores(result):
    assert result.code == 0, result.err
    return json.loads((result.only_run() / "scores.json").read_text())


def test_every_score_states_its_protocol(run):
    found = scores(run("model=gan", *QUICK, "seed=3"))
    assert set(found) == {"val/fid_classifier", "val/inception_score_classifier"}
    common = {
        "feature_network": "classifier of the data's labels, 128 features",
        "resize": "none",
        "num_samples": 150,
        "weights": "ema",
        "seed": 3,
        "update": 2,
    }
    reference = {"data": "digits", "image_shape": [1, 8, 8], "split": "train", "num_images": 1617}
    options = {
        "val/fid_classifier": {"reference": reference},
        "val/inception_score_classifier": {"num_splits": 10},
    }
    for name, score in found.items():
        protocol = score["protocol"]
        assert protocol.pop("classifier_accuracy") > 0.9
        assert len(protocol.pop("weights_sha256")) == 64
        assert protocol == common | options[name]
    assert found["val/inception_score_classifier"]["std"] > 0
    assert "std" not in found["val/fid_classifier"]


def test_scores_are_computed_against_both_references(run):
    """The suffix `_test` marks the test images; no suffix means the train images."""
    found = scores(
        run(
            *QUICK,
            "metrics.scores=[fid,kid,inception_score,prdc]",
            "metrics.reference_split=[train,test]",
            "metrics.kid_subset_size=100",
        )
    )
    compared = ("fid", "kid", "precision", "recall", "density", "coverage")
    names = {f"val/{name}{end}_classifier" for name in compared for end in ("", "_test")}
    loss = {name for name in found if "loss" in name or name not in names} - names
    assert set(found) - loss == names
    assert "val/inception_score_classifier" in loss
    for name in names:
        split = "test" if "_test" in name else "train"
        assert found[name]["protocol"]["reference"]["split"] == split


def test_scores_may_use_the_test_images_as_the_only_reference(run):
    objective = "metrics.objective.name=val/fid_test_classifier"
    found = scores(run(*QUICK, "metrics.reference_split=test", objective))
    reference = found["val/fid_test_classifier"]["protocol"]["reference"]
    assert (reference["split"], reference["num_images"]) == ("test", 180)
    assert "val/fid_classifier" not in found
    assert found["val/loss"]["protocol"]["split"] == "validation"


def test_second_run_reads_no_real_image_for_its_scores(run, monkeypatch):
    from limner.callbacks.scores import Scores
    from limner.data.store import MemoryStore

    first = scores(run(*QUICK))
    shutil.rmtree("outputs")
    original, gather = Scores._score, MemoryStore.gather

    def blind(self, *arguments):
        monkeypatch.setattr(MemoryStore, "gather", None)
        found = original(self, *arguments)
        monkeypatch.setattr(MemoryStore, "gather", gather)
        return found

    monkeypatch.setattr(Scores, "_score", blind)
    assert scores(run(*QUICK)) == first


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"reference_split": "test"}, "metrics.objective.name=val/fid_classifier is not"),
        ({"scores": ["kid"], "kid_subset_size": 9}, "give: val/kid_classifier"),
        ({"objective.name": "val/fid_ink"}, "val/fid_ink is not computed"),
        ({"objective.name": "val/fid"}, "val/fid is not computed"),
        ({"objective.name": "val/fid_classifie"}, "val/fid_classifie is not computed"),
        ({"scores": ["fad"]}, "choose from fid, inception_score, kid, modes, prdc"),
        ({"num_samples": 9}, "inception_score needs 10 images or more"),
        ({"scores": ["fid", "kid"]}, "metrics.num_samples=150: kid needs 1000 images or more"),
    ],
)
def test_scores_that_cannot_be_computed_are_refused_before_training(composed, changes, message):
    config = composed(*QUICK)
    for key, value in changes.items():
        OmegaConf.update(config, f"metrics.{key}", value)
    with pytest.raises(UserError) as error:
        prepare(config)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["metrics.scores=[fad]"], "choose from fid, inception_score, kid, modes, prdc"),
        (["metrics.reference_split=[train,validation]"], "choose train or test"),
        (
            [
                "metrics.scores=[fid,kid]",
                "metrics.kid_subset_size=150",
                "metrics.reference_split=[train,test]",
                "data.test_fraction=0.05",
            ],
            "metrics.reference_split=test: 90 images: kid needs 150 images or more",
        ),
    ],
)
def test_command_with_refused_scores_leaves_no_folder(run, arguments, message):
    result = run(*QUICK, *arguments)
    assert result.code == 1
    assert message in result.err
    assert not Path("outputs").exists()


@pytest.mark.parametrize("batch_size", [64, pytest.param(150, marks=pytest.mark.slow)])
def test_scores_use_the_requested_number_of_images(run, monkeypatch, batch_size):
    from limner.metrics.inception_score import InceptionScore

    counted = []
    original = InceptionScore.compute

    def count(self):
        counted.append(self.count.sum().item())
        return original(self)

    monkeypatch.setattr(InceptionScore, "compute", count)
    scores(run(*QUICK, f"metrics.batch_size={batch_size}"))
    assert counted == [150]


def test_metrics_auto_reports_its_choice(run):
    result = run(
        "metrics=auto",
        "metrics.choices.classifier.features.num_updates=150",
        *(word for word in QUICK if word != JUDGE),
    )
    assert result.code == 0, result.err
    assert "metrics=classifier: about" in result.out
    assert "val/fid_classifier" in scores(result)


@pytest.mark.parametrize(
    ("every", "num_images", "expected"),
    [("auto", 50_000, 20), ("auto", 2500, 20), ("auto", 2400, 40), ("auto", 600, 100),
     (3, 600, 3)],
)  # fmt: skip
def test_small_data_sets_are_scored_less_often(composed, every, num_images, expected):
    """The 10,000 samples of a scoring are at most a fifth of the images trained on."""
    config = composed("model=gan", "metrics=classifier", f"metrics.every_num_epochs={every}")
    scores = build(config, "metrics")
    scores.features.prepare = lambda data: None
    split = lambda name: (None, torch.arange(num_images))  # noqa: E731
    data = SimpleNamespace(split=split, reference=split)
    scored = []
    scores.score_update = lambda trainer, model: scored.append(trainer.current_epoch + 1)
    trainer = SimpleNamespace(datamodule=data, fit_loop=SimpleNamespace(is_over=lambda n: False))
    scores.setup(trainer, Drawer(), "fit")
    for trainer.current_epoch in range(expected + 1):
        scores.on_train_epoch_end(trainer, None)
    assert scored == ([3] if every == 3 else [expected])


class Drawer:
    """A model that could draw images."""

    num_classes = None

    def sample(self, num_images, *, generator=None, labels=None):
        raise AssertionError("nothing is scored here")


def test_run_of_an_earlier_version_without_a_floor_resumes_and_is_evaluated(run, tmp_path):
    from limner.commands.evaluate.command import run as evaluate

    assert run(*QUICK, "hydra.run.dir=run").code == 0
    for path in (Path("run/.hydra/config.yaml"), Path("run/config.yaml")):
        lines = path.read_text().splitlines(keepends=True)
        path.write_text("".join(line for line in lines if "floor:" not in line))
    result = run("resume=run", "trainer.max_steps=3")
    assert result.code == 0, result.err
    assert json.loads(Path("run/scores.json").read_text())["val/fid_classifier"]["value"] > 0
    assert evaluate(["run=run", "to=evaluated"]) == 0
