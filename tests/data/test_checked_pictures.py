"""A source that breaks a rule is refused by one message that names its class and the rule."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from limner.data import Digits, ImageFolder
from limner.data.checked_pictures import checked_pairs, checked_pictures, without_images
from limner.data.decode import first_shape
from limner.data.paired_store import PairedPictures
from limner.data.sources import Pictures, SourceError
from limner.data.store import open_store
from support import fakes

GOOD = Pictures(
    names=["a", "b", "c"],
    read=lambda i: Image.new("L", (8, 8), 10),
    labels=[0, 1, 0],
    classes=["x", "y"],
    fingerprint=["v1"],
    sizes=["v1"],
)


class Own:
    """A source that returns what it was given."""

    def __init__(self, found):
        self.found = found

    def pictures(self):
        return self.found


def own(**changes):
    return Own({"train": dataclasses.replace(GOOD, **changes)})


def opened(source):
    return open_store(
        checked_pictures(source)["train"],
        [1, 8, 8],
        kind="memory",
        memory_limit_gib=1.0,
        on_corrupt="error",
        background=(255, 255, 255),
    )


WRONG = {
    "labels are too few": (own(labels=[0, 1]), "labels has 2 entries, but names has 3"),
    "labels are text": (own(labels=["0", "1", "0"]), "integers from 0 to 1.*contains '0'"),
    "labels are floats": (own(labels=[0.0, 1.0, 0.0]), "integers from 0 to 1.*contains 0.0"),
    "labels are bools": (own(labels=[True, False, True]), "integers from 0 to 1.*contains True"),
    "labels have None": (own(labels=[0, None, 1]), "integers from 0 to 1.*contains None"),
    "labels are one-hot": (own(labels=np.eye(3, dtype=int)), "integers from 0 to 1"),
    "labels are ragged": (own(labels=[[0], [0, 1], [1]]), "integers from 0 to 1"),
    "a label is too large": (own(labels=[0, 2, 1]), "integers from 0 to 1.*; b has 2"),
    "a label is negative": (own(labels=[0, 1, -1]), "integers from 0 to 1.*; c has -1"),
    "labels are a generator": (own(labels=(i for i in range(3))), "not generator"),
    "classes are missing": (own(classes=[]), "classes must name each class"),
    "labels are missing": (own(labels=None), "labels is None, but classes has 2 names"),
    "classes are one text": (own(classes="xy"), "classes must be a list of text, not str"),
    "names are a generator": (own(names=(n for n in "abc")), "names must be a list.*generator"),
    "names are paths": (own(names=[Path("a")] * 3), "names must be a list of text; it has"),
    "names are empty": (own(names=[], labels=[]), "finds no training images"),
    "texts are too few": (own(texts=["a"]), "texts has 1 entries, but names has 3"),
    "texts are one text": (own(texts="abc"), "texts must be a list, or None, not str"),
    "texts have None": (own(texts=["a", None, "b"]), "or lists of text; it has None"),
    "texts have no caption": (own(texts=["a", [], "b"]), r"or lists of text; it has \[\]"),
    "texts have numbers": (own(texts=["a", ["b", 3], "c"]), r"it has \['b', 3\]"),
    "groups are numbers": (own(groups=[1, 2, 3]), "groups must be a list of text; it has 1"),
    "groups are too many": (own(groups=["a"] * 4), "groups has 4 entries, but names has 3"),
    "read is a list": (own(read=[]), "read must be a function of a number, not list"),
    "the fingerprint is a path": (own(fingerprint=Path("a")), "fingerprint must be plain JSON"),
    "the fingerprint is an array": (own(fingerprint=[np.int64(1)]), "fingerprint must be plain"),
    "the sizes are a set": (own(sizes={1}), "sizes must be plain JSON"),
    "there is no dict": (Own(GOOD), "returned Pictures.*must return a dict"),
    "there is nothing": (Own(None), "returned NoneType.*must return a dict"),
    "a split is a list": (Own({"train": []}), "returned dict with list.*must return a dict"),
    "a split is misnamed": (Own({"training": GOOD}), "has the splits training.*must be train"),
    "there is no split": (Own({}), "has the splits none.*must be train"),
    "a split is unknown": (Own({"train": GOOD, "dev": GOOD}), "has the splits train, dev"),
    "classes differ": (
        Own({"train": GOOD, "test": dataclasses.replace(GOOD, classes=["y", "x"])}),
        "test: its classes are not the classes of train",
    ),
}


@pytest.mark.parametrize("mistake", sorted(WRONG))
def test_checked_pictures_names_the_class_and_the_rule_when(mistake):
    source, expected = WRONG[mistake]
    with pytest.raises(SourceError, match=rf"(?s)^data\.source(: |=)\S+\.Own\b.*{expected}"):
        checked_pictures(source)


@pytest.mark.parametrize(
    "labels", [(0, 1, 0), np.array([0, 1, 0], np.uint8), [np.int64(0), np.int64(1), np.int64(0)]]
)
def test_checked_pictures_accepts_every_list_of_integers(labels):
    assert opened(own(labels=labels)).labels.tolist() == [0, 1, 0]


def test_checked_pictures_accepts_captions_and_groups():
    found = checked_pictures(own(texts=["a", ["b", "c"], "d"], groups=("x", "x", "y")))["train"]
    assert (found.texts, found.groups) == (["a", ["b", "c"], "d"], ("x", "x", "y"))


def test_checked_pictures_accepts_pictures_without_labels():
    assert opened(own(labels=None, classes=[])).labels is None


@pytest.mark.parametrize("opening", [opened, lambda s: first_shape(checked_pictures(s)["train"])])
def test_read_that_returns_no_pil_image_is_named_by_its_class(opening):
    source = own(read=lambda i: np.zeros((8, 8), np.uint8), fingerprint="arrays")
    with pytest.raises(SourceError, match=r"(?s)read\(0\) of \S+\.Own returned numpy.*fromarray"):
        opening(source)


def test_cached_images_are_not_read_after_a_change_of_the_code(tmp_path, monkeypatch):
    monkeypatch.setenv("LIMNER_CACHE", str(tmp_path))
    monkeypatch.setattr("limner.data.checked_pictures.own_code", lambda _: [["Own", "1"]])
    assert opened(own()).images[0, 0, 0, 0] == 10
    bright = own(read=lambda i: Image.new("L", (8, 8), 200))
    assert opened(bright).images[0, 0, 0, 0] == 10
    monkeypatch.setattr("limner.data.checked_pictures.own_code", lambda _: [["Own", "2"]])
    assert opened(bright).images[0, 0, 0, 0] == 200


@pytest.mark.parametrize("change", [{"labels": [1, 1, 0]}, {"names": ["a", "b", "d"]}])
def test_fingerprint_of_an_own_source_changes_with_names_and_labels(change):
    prints = [checked_pictures(each)["train"].fingerprint for each in (own(), own(**change))]
    assert prints[0] != prints[1]


def test_fingerprint_of_an_own_source_contains_its_code():
    plain, code, _ = checked_pictures(own())["train"].fingerprint
    assert plain == ["v1"]
    assert code[0][0].endswith("Own")


def test_fingerprints_of_limners_sources_are_unchanged(tmp_path):
    folder = fakes.images(tmp_path / "photos", 4, classes=2)
    for source in (Digits(), ImageFolder(path=str(folder))):
        before = source.pictures()["train"].fingerprint
        assert checked_pictures(source)["train"].fingerprint == before


PLAIN = dataclasses.replace(GOOD, labels=None, classes=[])


class OwnPairs:
    """A source of pairs that returns what it was given."""

    def __init__(self, found):
        self.found = found

    def pairs(self):
        return self.found


def own_pairs(inputs=PLAIN, targets=PLAIN, names=("a", "b", "c")):
    return OwnPairs({"train": PairedPictures(inputs, targets, names)})


def test_own_source_of_pairs_is_read_and_its_code_is_part_of_the_fingerprints():
    found = checked_pairs(own_pairs())["train"]
    assert found.names == ["a", "b", "c"]
    assert found.inputs.read(1).size == (8, 8)
    assert "OwnPairs" in str(found.inputs.fingerprint)
    assert "OwnPairs" in str(found.targets.fingerprint)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (OwnPairs([]), r"pairs\(\) returned list.\nIt must return .*PairedPictures"),
        (OwnPairs({"train": GOOD}), r"pairs\(\) returned dict with Pictures"),
        (OwnPairs({"val": PairedPictures(PLAIN, PLAIN, "abc")}), r"pairs\(\) has the splits val"),
        (own_pairs(names=["a"]), "as many inputs as targets and names, not 3, 3 and 1"),
        (own_pairs(inputs=GOOD), "pairs have no labels"),
        (own_pairs(targets=[1, 2, 3]), "targets must be Pictures, not list"),
        (own_pairs(inputs=dataclasses.replace(PLAIN, read=3)), "read must be a function"),
    ],
)
def test_own_source_of_pairs_that_breaks_a_rule_is_refused(source, message):
    with pytest.raises(SourceError, match=f"(?s)data.source: .*OwnPairs.*{message}"):
        checked_pairs(source)


class Npy:
    def __init__(self, folder, scale=2):
        self.folder, self.scale = folder, scale


def test_without_images_names_the_source_and_its_relative_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    message = without_images(Npy("npy"))
    assert message.startswith(f"data.source={__name__}.Npy finds no training images (folder=npy).")
    assert str(tmp_path) in message
    assert message.endswith("data.source.folder=PATH")
    assert without_images(Digits()).endswith("Digits finds no training images.")
