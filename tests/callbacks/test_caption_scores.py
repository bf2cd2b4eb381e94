"""Scores of images drawn for captions, with judges that are trained on real shapes."""

import json
import logging
from types import SimpleNamespace

import pytest
import torch

from limner.callbacks.caption_scores import CaptionScores
from limner.callbacks.captioned import captioned, for_judges
from limner.config.build import build
from limner.errors import UserError
from limner.pixels import to_float
from support.captions import SCORES, SHAPES

CPU = torch.device("cpu")


class Painter:
    """A model of texts that returns a real image of each text, or of another text."""

    num_classes, reads_text = None, True

    def __init__(self, data, split, *, shift=0):
        self.store, self.indices = data.split(split)
        self.shift, self.asked = shift, []

    def sample(self, num_images, *, generator, labels=None):
        self.asked.append(labels)
        texts = self.store.texts[self.indices]
        found = [int((texts == text).all(1).nonzero()[0]) for text in labels]
        places = (torch.tensor(found) + self.shift) % len(self.indices)
        return to_float(self.store.gather(self.indices[places]))


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def opened(composed, cache, monkeypatch):
    """Return data of captioned shapes, opened, and their scores."""
    monkeypatch.setenv("LIMNER_CACHE", str(cache))
    config = composed(*SHAPES, *SCORES)
    data = build(config, "data")
    data.open()
    config.data.num_classes = data.num_classes
    return data, build(config, "metrics")


def test_right_images_score_as_real_images_do_and_images_of_other_captions_score_less(opened):
    data, scores = opened
    scores.prepare(data)
    right = scores.further(Painter(data, "validation"), CPU, None)
    wrong = scores.further(Painter(data, "validation", shift=1), CPU, None)
    assert right["matching_accuracy"].floor > 0.9
    for name, score in right.items():
        assert score.value == pytest.approx(score.floor, abs=0.05)
        assert score.protocol["captions"]["split"] == "validation"
        if not name.endswith("_held_out"):  # of a few images only
            assert wrong[name].value < score.value - 0.3
    assert {f"val/{name}" for name in right} <= scores.names
    assert {name for name in right if name.endswith("_held_out")} == {
        "both_accuracy_held_out", "kind_accuracy_held_out", "colour_accuracy_held_out",
    }  # fmt: skip


def test_judges_learn_from_all_combinations_and_the_model_does_not(opened):
    data, _ = opened
    seen = {"of the model": captioned(data, "train"), "of the judges": for_judges(data)}
    shown = {
        name: set(zip(each.shown["colour"], each.shown["kind"], strict=True))
        for name, each in seen.items()
    }
    assert shown["of the judges"] - shown["of the model"] == {("red", "circle")}
    judged = seen["of the judges"]
    for words, colour in zip(judged.captions, judged.shown["colour"], strict=True):
        assert colour in words
    assert captioned(data, "validation").held_out.any()


def test_samples_have_the_captions_of_the_reference_split_in_its_order(opened):
    data, scores = opened
    store, indices = data.reference("train")
    texts = scores.conditions(data, 290, 310)["labels"]
    assert texts.tolist() == store.texts[indices[[*range(290, 300), *range(10)]]].tolist()


@pytest.mark.parametrize(
    ("model", "has_text", "message"),
    [
        ({"reads_text": False}, True, "scores models that read texts"),
        ({"reads_text": True}, False, "needs images with captions, and data=digits has none"),
    ],
)
def test_scores_refuse_models_and_data_without_texts(opened, model, has_text, message):
    data = SimpleNamespace(name="digits", has_text=has_text)
    with pytest.raises(UserError, match=message):
        opened[1].refuse_model(SimpleNamespace(**model), data)


def test_scores_name_the_words_of_held_out_captions_that_the_vocabulary_lacks(
    opened, caplog, monkeypatch
):
    data, scores = opened
    known = data.captions
    monkeypatch.setattr(
        data, "captions", lambda *of: ["the aubergine", "the yak", "the yak", *known(*of)[3:]]
    )
    monkeypatch.setattr(CaptionScores, "refuse", lambda *of: None)
    with caplog.at_level(logging.INFO):
        scores.setup(SimpleNamespace(datamodule=data), None, "fit")
    assert "does not know 2 words of the validation captions: yak, aubergine" in caplog.text


def test_run_of_a_model_of_texts_has_scores_and_a_picture_of_captions(run):
    result = run(
        "model=gan", "model/condition=text", "network=mlp", *SHAPES, *SCORES, "logger=csv",
        "trainer.max_steps=2", "accelerator=cpu",
    )  # fmt: skip
    assert result.code == 0, result.err
    folder = result.only_run()
    found = json.loads((folder / "scores.json").read_text())
    assert found["val/matching_accuracy"]["floor"] > 0.9
    assert found["val/both_accuracy_held_out"]["protocol"]["update"] == 2
    assert "val/kid_classifier" in found
    assert (folder / "final_captions.png").is_file()
