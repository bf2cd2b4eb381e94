"""Captions of rendered shapes: they are true, fixed, and held-out combinations are not trained."""

import pytest
import torch

from limner.data.captioned_shapes import CaptionedShapes
from limner.data.shape_kinds import KINDS
from limner.data.shapes import Shapes
from limner.data.vocabulary import split_words
from limner.errors import UserError

GIVEN = {
    "num_train": 300, "num_validation": 200, "num_test": 20, "seed": 3,
    "kinds": ["circle", "star", "cross"],
    "colours": {"red": "#ff0000", "orange": "#ff8000", "dark blue": [0, 0, 90]},
    "min_size": 0.15, "max_size": 0.35, "background": "white",
}  # fmt: skip


def opened(*, captions=True, held_out=(), with_labels=True, **changes):
    source = CaptionedShapes(captions=captions, held_out=held_out, **{**GIVEN, **changes})
    return source.open_stores([3, 16, 16], with_labels=with_labels)


def test_shapes_without_captions_are_the_same_as_before():
    plain = Shapes(**GIVEN).open_stores([3, 16, 16], with_labels=True)
    for captions in (False, True):
        found, every = opened(captions=captions), torch.arange(20)
        assert found.description == plain.description
        for split, store in found.stores.items():
            assert store.fingerprint == plain.stores[split].fingerprint
            assert torch.equal(store.gather(every), plain.stores[split].gather(every))
    assert opened(captions=False).stores["train"].about.captions is None


def test_captions_are_true_and_use_several_forms():
    store = opened().stores["train"]
    about, captions = store.attributes(torch.arange(300)), store.about.captions
    sizes = {"small": [], "large": [], "": []}
    for caption, kind, colour, size in zip(
        captions, about.kind, about.colour, about.size, strict=True
    ):
        words = split_words(caption)
        assert kind in words
        assert set(split_words(colour)) <= set(words)
        assert not set(words) & (
            {*KINDS, "red", "orange", "dark", "blue"} - {kind, *colour.split()}
        )
        sizes["".join({"small", "large"} & set(words))].append(float(size))
    assert max(sizes["small"]) < min(sizes[""])
    assert max(sizes[""]) < min(sizes["large"])
    forms = {
        tuple(word for word in split_words(c) if word in ("a", "an", "the", "in", "that"))
        for c in captions
    }
    assert len(forms) >= 5
    assert not any(" a orange" in f" {c}" or " an red" in f" {c}" for c in captions)


def test_captions_name_no_size_if_all_shapes_are_about_as_large():
    captions = opened(min_size=0.3, max_size=0.35).stores["train"].about.captions
    assert not any(word in caption for caption in captions for word in ("small", "large"))


def test_caption_depends_only_on_the_seed_and_the_number_of_the_image():
    captions = opened().stores["train"].about.captions
    assert opened(num_train=900).stores["train"].about.captions[:300] == captions
    assert opened(seed=4).stores["train"].about.captions != captions


def test_training_images_never_show_held_out_combinations_and_others_do():
    stores = opened(held_out=["red circle", "dark blue star"]).stores
    shown = {}
    for split, store in stores.items():
        about = store.attributes(torch.arange(len(store)))
        shown[split] = set(zip(about.colour, about.kind, strict=True))
        words = [set(split_words(caption)) for caption in store.about.captions]
        assert all(kind in words[i] for i, kind in enumerate(about.kind))
    every = {(colour, kind) for colour in GIVEN["colours"] for kind in GIVEN["kinds"]}
    assert shown["validation"] == every
    assert every - shown["train"] == {("red", "circle"), ("dark blue", "star")}
    assert len(stores["train"]) == 300


def test_held_out_combinations_may_have_capitals():
    lower, upper = (
        CaptionedShapes(captions=True, held_out=names, **{**GIVEN, "num_train": 20})
        for names in (["dark blue star", "red circle"], ["Red Circle", "DARK blue Star "])
    )
    assert upper.held_out == lower.held_out == ["dark blue star", "red circle"]
    assert upper.combinations == lower.combinations


def test_held_out_store_has_the_other_images_in_order_with_their_labels():
    plain, found = opened(num_train=900), opened(held_out=["red circle"])
    whole, part = plain.stores["train"], found.stores["train"]
    about = whole.attributes(torch.arange(900))
    pairs = zip(about.colour, about.kind, strict=True)
    kept = torch.tensor([i for i, each in enumerate(pairs) if each != ("red", "circle")])[:300]
    indices = torch.tensor([0, 17, 299, 17])
    assert torch.equal(part.gather(indices), whole.gather(kept[indices]))
    assert torch.equal(part.labels, whole.labels[kept])
    assert part.about.captions == [whole.about.captions[i] for i in kept.tolist()]
    assert part.fingerprint not in (
        whole.fingerprint,
        opened(held_out=["red star"]).stores["train"].fingerprint,
    )
    moved = part.to(torch.device("cpu"))
    assert torch.equal(moved.gather(indices), part.gather(indices))
    assert opened(held_out=["red circle"], with_labels=False).stores["train"].labels is None


@pytest.mark.parametrize(
    ("held_out", "message"),
    [
        (["green circle"], r"'green circle' must be a colour and a kind, such as 'red circle'"),
        (["circle"], "must be a colour and a kind"), (["red ring"], "Kinds: circle, star, cross"),
        (["red circle", "red star", "red cross"], "every combination with red"),
        (["red star", "orange star", "dark blue star"], "every combination with star"),
    ],
)  # fmt: skip
def test_held_out_combinations_that_do_not_fit_are_refused(held_out, message):
    with pytest.raises(UserError, match=message):
        opened(held_out=held_out)
