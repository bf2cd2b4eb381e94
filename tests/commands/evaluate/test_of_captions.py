"""`limner evaluate` scores images that a model draws for the captions of the test split."""

import json
from types import SimpleNamespace

import pytest
import torch

from limner.callbacks.caption_scores import CaptionScores
from limner.commands.evaluate.command import run as evaluate
from limner.commands.evaluate.of_captions import prepare_scores
from limner.commands.evaluate.subject import Folder, ModelSamples
from limner.errors import UserError
from support.captions import SCORES, SHAPES
from support.runs import trained


@pytest.fixture
def scores():
    """Return scores of captions that prepare nothing, and note the splits that they would use."""
    made = object.__new__(CaptionScores)
    made.seen = []
    made.prepare = lambda data, splits: made.seen.append(splits[0])
    made.conditions = lambda data, first, end: {"labels": (data, first, end)}
    return made


def samples(*, reads_text):
    model = SimpleNamespace(module=torch.nn.Linear(1, 1), reads_text=reads_text)
    return ModelSamples(model, num_images=4, batch_size=2, seed=0)


DATA = SimpleNamespace(name="shapes", has_text=True)


def test_samples_get_the_texts_of_the_scores_and_test_captions_come_first(scores):
    generated = samples(reads_text=True)
    prepare_scores(scores, DATA, generated)
    assert scores.seen == ["test"]
    assert generated.conditions(3, 5) == {"labels": (DATA, 3, 5)}


@pytest.mark.parametrize(
    ("data", "generated", "message"),
    [
        (DATA, object.__new__(Folder), "give run=FOLDER"),
        (DATA, samples(reads_text=False), "Linear does not: choose metrics=auto"),
        (SimpleNamespace(name="digits"), samples(reads_text=True), "images with captions"),
    ],
)
def test_scores_of_captions_refuse_what_has_no_captions(scores, data, generated, message):
    with pytest.raises(UserError, match=message):
        prepare_scores(scores, data, generated)


@pytest.mark.slow  # trains and scores a model of texts
def test_evaluation_of_a_run_scores_the_captions_of_the_test_split(tmp_path):
    words = ["model=gan", "model/condition=text", "network=mlp", *SHAPES]
    folder = trained(tmp_path, *words, "~callbacks.pictures", "~callbacks.captions")
    options = [word for word in SCORES if "features" not in word]
    options += ["metrics.scores=[kid]", "metrics.num_samples=20"]
    assert evaluate([f"run={folder}", *options, "measures=[gan_train]"]) == 0
    found = json.loads((folder / "evaluation.json").read_text())
    matching = found["matching_accuracy"]
    assert matching["protocol"]["captions"]["split"] == "test"
    assert matching["protocol"]["num_samples"] == 40
    assert matching["floor"] > 0.9
    assert "gan_train_accuracy" not in found
