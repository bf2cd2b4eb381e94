"""Accuracies of drawn images: right images score like real images, wrong ones like chance."""

import pytest
import torch

from limner.metrics import caption_scorer
from limner.metrics.caption_scorer import Captioned, CaptionScorer
from support.captions import Colours, Squares, attributes, matching, words_of

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("LIMNER_CACHE", str(tmp_path / "cache"))


def captioned(store, held_out=()):
    shown = {"colour": store.names} if isinstance(store, Colours) else {}
    out = torch.tensor([name in held_out for name in store.names])
    return Captioned(store, torch.arange(len(store)), words_of(store), shown, out, {"data": "x"})


def scorer(kind=Colours, held_out=(), batch_size=3):
    made = CaptionScorer(matching(), attributes(), seed=0, batch_size=batch_size)
    made.prepare(captioned(kind()), captioned(kind(10), held_out))
    return made


def painter(*, shift=0):
    """Return a function that draws a real image of each text, or of another text."""
    store = Squares(4)

    def draw(texts, generator):
        found = [int((store.texts == text).all(1).nonzero()[0]) for text in texts]
        return store.gather((torch.tensor(found) + shift) % 4)

    return draw


def test_images_of_their_captions_score_as_real_images_do():
    found = scorer().score(painter(), device=CPU)
    assert {name: score.value for name, score in found.items()} == {
        name: score.floor for name, score in found.items()
    }
    assert set(found) == {"matching_accuracy", "both_accuracy", "colour_accuracy"}
    assert found["matching_accuracy"].value == 1
    assert found["matching_accuracy"].baselines == {"chance": pytest.approx(1 / 3)}
    assert found["colour_accuracy"].baselines == {"chance": pytest.approx(1 / 4)}
    assert found["colour_accuracy"].protocol["num_samples"] == 10


def test_images_of_wrong_captions_score_less():
    found = scorer().score(painter(shift=1), device=CPU)
    assert found["matching_accuracy"].value < 0.5
    assert found["colour_accuracy"].value == 0


def test_captions_without_known_attributes_have_a_matching_accuracy_only():
    assert set(scorer(Squares).score(painter(), device=CPU)) == {"matching_accuracy"}


def test_held_out_combinations_have_scores_of_their_own():
    def draw(texts, generator):  # right for all but the held-out colour
        images = painter()(texts, generator)
        images[texts.eq(Squares(4).texts[2]).all(1)] = Squares(1).images[0]
        return images

    found = scorer(held_out=["blue"]).score(draw, device=CPU)
    assert found["colour_accuracy"].value == pytest.approx(0.8)
    held_out = found["colour_accuracy_held_out"]
    assert (held_out.value, held_out.floor, held_out.protocol["num_samples"]) == (0, 1, 2)


def test_images_depend_on_the_place_of_their_chunk_and_not_on_the_number_of_processes(monkeypatch):
    """Each of two processes draws every second chunk; their hits are added."""
    made, seen = scorer(), []

    def draw(texts, generator):
        seen.append(torch.randint(1000, (), generator=generator).item())
        return painter(shift=len(texts) % 2)(texts, generator)

    alone = {name: score.value for name, score in made.score(draw, device=CPU).items()}
    numbers, parts = seen[:], []
    monkeypatch.setattr(caption_scorer, "world_size", lambda: 2)
    for rank in (0, 1):
        seen.clear()
        monkeypatch.setattr(caption_scorer, "rank", lambda rank=rank: rank)

        def gather(hits):
            parts.append(hits)
            return torch.cat(parts)

        monkeypatch.setattr(caption_scorer, "from_all_processes", gather)
        found = made.score(draw, device=CPU)
        assert seen == numbers[rank::2]
    assert {name: score.value for name, score in found.items()} == pytest.approx(alone)
