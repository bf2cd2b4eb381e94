"""A model that reads texts draws what a text says, in Python, by commands and as an export."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import limner
from limner.commands import export
from limner.commands import sample as sample_command
from limner.commands.options import Sample as Options
from limner.commands.sample_texts import texts_of
from limner.errors import UserError
from support.runs import trained

SHAPES = [
    "data=shapes", "data.captions=true", "data.image_shape=[3,8,8]", "data.source.num_train=80",
    "data.source.num_validation=8", "data.source.num_test=8", "data.source.kinds=[circle,cross]",
    "~callbacks.captions", "~callbacks.pictures",
]  # fmt: skip


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory) -> Path:
    """Train a GAN that reads texts for two updates."""
    folder = tmp_path_factory.mktemp("texts")
    return trained(folder, "model=gan", "model/condition=text", "network=mlp", *SHAPES)


@pytest.fixture(scope="module")
def model(run_dir):
    return limner.load(run_dir, device="cpu")


@pytest.fixture
def sample(run_dir, tmp_path, monkeypatch, capsys):
    """Run `limner sample run=... WORDS` in an empty folder and return the paths that it prints."""
    monkeypatch.chdir(tmp_path)

    def command(*words: str) -> list[Path]:
        assert sample_command.run([f"run={run_dir}", "device=cpu", *words]) == 0
        return [Path(line) for line in capsys.readouterr().out.splitlines()]

    return command


@pytest.mark.parametrize(
    ("written", "texts"),
    [
        (None, []),
        ("a red circle", ["a red circle"]),
        ("[a red circle,a blue star]", ["a red circle", "a blue star"]),
        ('["one, two",3]', ["one, two", "3"]),
        ("[one", ["[one"]),
    ],
)
def test_texts_are_one_text_or_a_list_in_brackets(written, texts):
    assert texts_of(Options(run="x", text=written)) == texts


@pytest.mark.parametrize("written", ["[]", "[a: b]", "[[a],b]", "['a]"])
def test_list_that_cannot_be_read_is_refused(written):
    with pytest.raises(UserError, match="a list of texts is written"):
        texts_of(Options(run="x", text=written))


def test_text_of_all_images_equals_the_same_text_for_each_image(model):
    one = model.sample(3, seed=1, text="a red circle")
    assert np.array_equal(one, model.sample(3, seed=1, text=["a red circle"] * 3))
    assert not np.array_equal(one, model.sample(3, seed=1, text="a blue cross"))


def test_image_of_a_text_does_not_depend_on_the_number_of_images(model):
    more = model.sample(70, seed=1, text=["a red circle"] * 69 + ["a blue cross"])
    assert np.array_equal(more[:3], model.sample(3, seed=1, text="a red circle"))


def test_decode_and_interpolate_read_a_text(model):
    codes = model.latents(2, seed=1)
    drawn = model.sample(2, seed=1, text="a red circle")
    assert np.array_equal(model.decode(codes, text="a red circle"), drawn)
    path = model.interpolate(codes[0], codes[1], 3, text="a red circle")
    assert np.abs(path[::2].astype(int) - drawn).max() <= 1
    with pytest.raises(UserError, match="need a text: it reads texts"):
        model.decode(codes)


def test_samples_without_a_text_have_training_captions(model):
    assert (model.module.captions[:, 0] > 0).all()
    assert np.array_equal(model.sample(5, seed=2), model.sample(70, seed=2)[:5])


def test_sample_draws_a_grid_with_the_text_as_its_title_and_in_its_name(sample, run_dir):
    (path,) = sample("text=A red circle!", "num_images=4")
    assert path == run_dir / "samples_4_seed_0_a-red-circle.png"
    (plain,) = sample("num_images=4", "to=plain.png")
    assert Image.open(path).height > Image.open(plain).height


def test_sample_draws_an_image_for_each_of_several_texts(sample, model):
    (path,) = sample("mode=npz", "text=[a red circle,a blue cross]", "to=drawn.npz")
    expected = model.sample(2, text=["a red circle", "a blue cross"])
    assert np.array_equal(np.load(path)["arr_0"], expected)
    (folder,) = sample("mode=folder", "text=[a red circle,a blue cross]", "to=drawn")
    assert len(list(folder.iterdir())) == 2
    with pytest.raises(UserError, match="a text for each of 3 images"):
        sample("text=[a red circle,a blue cross]", "num_images=3")


def test_sample_draws_a_row_for_each_text(sample):
    (one,) = sample("mode=captions", "text=a red circle", "num_images=3", "to=one.png")
    (two,) = sample("mode=captions", "text=[red circle,blue cross]", "num_images=3", "to=two.png")
    assert Image.open(two).height - Image.open(one).height == 66


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["mode=captions"], "mode=captions needs texts"),
        (["mode=classes"], "this model reads texts: mode=captions"),
        (["mode=interpolate"], "needs one text: text="),
        (["labels=[0]"], "reads texts, not classes"),
    ],
)
def test_sample_refuses_what_a_model_of_texts_cannot_do(sample, words, message):
    with pytest.raises(UserError, match=message):
        sample(*words)


def test_sample_interpolates_with_a_text(sample):
    assert [path.suffix for path in sample("mode=interpolate", "text=a red circle")] == [
        ".png", ".gif",
    ]  # fmt: skip


def test_export_of_a_model_of_texts_draws_the_same_images_and_describes_its_texts(
    run_dir, model, tmp_path
):
    assert export.run([f"run={run_dir}", f"to={tmp_path / 'exported'}"]) == 0
    other = limner.load(tmp_path / "exported", device="cpu")
    text = "a red circle"
    assert np.array_equal(other.sample(2, text=text), model.sample(2, text=text))
    assert np.array_equal(other.sample(2), model.sample(2))
    card = (tmp_path / "exported" / "README.md").read_text()
    assert "pipeline_tag: text-to-image" in card
    assert "model.sample(4, seed=0, text=" in card
    assert "words," in card
    assert Image.open(tmp_path / "exported" / "samples.png").width > 500
