"""Captions in batches: tokens beside their images, one of several per epoch, groups and facts."""

import copy
import functools
import json
from types import SimpleNamespace

import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from PIL import Image

from limner.config.build import build
from limner.config.facts import fill_facts
from limner.config.schema import CONFIG_DIR, register
from limner.data.several_captions import SeveralCaptions
from limner.data.vocabulary import Vocabulary
from limner.errors import UserError

COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255), "white": (255,) * 3}


@functools.cache
def composed_once(*overrides):
    register()
    with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        return compose("train", overrides=list(overrides))


def make(data="captioned", *, is_open=True, **changes):
    needed = ["data.path=unused"] if data == "captioned" else []
    config = copy.deepcopy(composed_once(f"data={data}", *needed))
    for key, value in changes.items():
        OmegaConf.update(config, f"data.{key.replace('__', '.')}", value)
    made = build(config, "data")
    if is_open:
        made.open()
        fill_facts(config, made)
    made.config = config
    made.trainer = SimpleNamespace(
        global_step=0, global_rank=0, world_size=1,
        strategy=SimpleNamespace(root_device=torch.device("cpu")), lightning_module=None,
    )  # fmt: skip
    return made


@pytest.fixture
def photos(tmp_path):
    """Return a folder of 24 pictures of one colour each, whose captions name the colours."""
    folder, rows = tmp_path / "photos", []
    folder.mkdir()
    for i in range(24):
        name = list(COLOURS)[i % 4]
        Image.new("RGB", (4, 4), COLOURS[name]).save(folder / f"{i:02}.png")
        rows.append({"file_name": f"{i:02}.png", "text": f"A {name} picture", "base": i // 3})
    (folder / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return folder


def opened(folder, **changes):
    return make(path=str(folder), batch_size=4, **changes)


def named(data, batch):
    """Return the colours that the captions and the images of a batch name."""
    texts = [data.tokenizer.decode(row).split()[1] for row in batch["text"].tolist()]
    pixels = (batch["image"][:, :, 0, 0] > 0).long().mul(255).tolist()
    colours = {colour: name for name, colour in COLOURS.items()}
    return texts, [colours[tuple(each)] for each in pixels]


def test_text_of_a_batch_is_that_of_its_images_in_training_and_evaluation(photos):
    data = opened(photos)
    batches = iter(data.train_dataloader())
    for batch in (*(next(batches) for _ in range(6)), *data.val_dataloader()):
        assert batch["text"].dtype == torch.int64
        assert batch["text"].shape == (len(batch["image"]), data.text_length)
        texts, colours = named(data, batch)
        assert texts == colours


def test_facts_are_written_into_the_config(photos):
    data = opened(photos)
    assert data.config.data.vocabulary == data.vocabulary == data.tokenizer.text
    assert set(data.vocabulary.split()) == {"a", "picture", *COLOURS}
    assert (data.config.data.num_tokens, data.config.data.text_length) == (8, 3)
    assert data.has_text
    assert "captions of at most 3 words, vocabulary of 6" in data.describe()


def test_vocabulary_has_the_words_of_training_captions_only(photos):
    rows = [json.loads(line) for line in (photos / "metadata.jsonl").read_text().splitlines()]
    held = {int(i) for i in opened(photos).split("validation")[1]}
    rows = [row | {"text": "unseen words"} if i in held else row for i, row in enumerate(rows)]
    (photos / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    data = opened(photos)
    assert "unseen" not in data.vocabulary
    assert data.captions("validation", data.split("validation")[1])[0] == "unseen words"
    assert next(iter(data.val_dataloader()))["text"][0].tolist() == [1, 1, 0]


def test_captions_are_the_raw_texts_of_a_split(photos):
    data = opened(photos)
    store, indices = data.split("train")
    assert data.captions("train", indices[:2]) == [
        f"A {list(COLOURS)[int(i) % 4]} picture" for i in indices[:2]
    ]
    assert store.texts.shape == (24, 3)
    with pytest.raises(UserError, match="must be train"):
        data.captions("traim", indices)


def test_column_keeps_variants_in_one_split(photos):
    data = opened(photos, group="column:base", validation_fraction=0.3, test_fraction=0.3)
    groups = [
        {int(i) // 3 for i in data.split(name)[1]} for name in ("train", "validation", "test")
    ]
    assert sum(map(len, groups)) == len(set().union(*groups)) == 8
    alone = opened(photos, validation_fraction=0.3, test_fraction=0.3)
    groups = [{int(i) // 3 for i in alone.split(name)[1]} for name in ("train", "validation")]
    assert groups[0] & groups[1]


def test_long_captions_are_cut_and_rare_words_are_unknown(photos):
    data = opened(photos, max_words=2, vocabulary_size=2)
    assert (data.text_length, data.vocabulary) == (2, "a picture")
    assert next(iter(data.train_dataloader()))["text"].tolist() == [[2, 1]] * 4


def test_given_vocabulary_and_length_are_kept(photos):
    words = "picture red of green"
    data = opened(photos, vocabulary=words, text_length=5)
    assert (data.vocabulary, data.num_tokens, data.text_length) == (words, 6, 5)
    again = opened(photos, vocabulary=words, text_length=5, num_tokens=6)
    assert torch.equal(again.split("train")[0].texts, data.split("train")[0].texts)
    with pytest.raises(UserError, match=r"data\.num_tokens=7: it is 6"):
        opened(photos, vocabulary=words, num_tokens=7)
    with pytest.raises(UserError, match=r"data\.vocabulary: the word 'a' occurs twice"):
        opened(photos, vocabulary="a b a")


@pytest.mark.parametrize(
    ("key", "value"),
    [("max_words", 0), ("max_words", 1025), ("vocabulary_size", 0), ("text_length", 0)],
)
def test_limits_outside_of_their_range_are_refused(key, value):
    with pytest.raises(UserError, match=rf"data\.{key}={value}"):
        make(is_open=False, **{key: value})


def test_changed_captions_are_refused_at_resume_and_moved_ones_are_not(photos, tmp_path):
    state = opened(photos).state_dict()
    moved = photos.rename(tmp_path / "elsewhere")
    opened(moved).load_state_dict(state)
    file = moved / "metadata.jsonl"
    file.write_text(file.read_text().replace("A red", "A pale red"))
    with pytest.raises(UserError, match="training captions of captioned"):
        opened(moved).load_state_dict(state)
    with pytest.raises(UserError, match="training captions of captioned"):
        opened(moved, max_words=2).load_state_dict(state)


def test_captions_follow_their_pictures_if_corrupt_ones_are_skipped(photos, caplog):
    for kind in ("memory", "mapped"):
        data = opened(photos, store=kind)
        assert len(data.split("train")[0]) == 24
    (photos / "05.png").write_bytes(b"no picture")
    (photos / "11.png").write_bytes(b"no picture")
    data = opened(photos, on_corrupt="skip", group="column:base", image_shape=[3, 4, 4])
    assert len(data.split("train")[0]) == 22
    for _ in range(2):  # decoded, and read from the cache
        batches = iter(data.train_dataloader())
        for _ in range(4):
            texts, colours = named(data, next(batches))
            assert texts == colours
        data = opened(photos, on_corrupt="skip", group="column:base", image_shape=[3, 4, 4])


def test_streamed_pictures_have_their_captions(photos):
    data = opened(photos, store="streamed", image_shape=[3, 4, 4])
    texts, colours = named(data, next(iter(data.train_dataloader())))
    assert texts == colours


def test_each_epoch_draws_one_of_several_captions_and_resumes_exactly(photos):
    rows = [json.loads(line) for line in (photos / "metadata.jsonl").read_text().splitlines()]
    more = [row | {"text": row["text"].replace("picture", "square")} for row in rows]
    (photos / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows + more)))
    data = opened(photos)
    batches = iter(data.train_dataloader())
    drawn = [next(batches) for _ in range(25)]
    seen = [data.tokenizer.decode(row) for batch in drawn for row in batch["text"].tolist()]
    share = sum("square" in text for text in seen) / len(seen)
    assert 0.3 < share < 0.7
    for batch in drawn:
        texts, colours = named(data, batch)
        assert texts == colours
    data.trainer.global_step = 20
    assert torch.equal(next(iter(data.train_dataloader()))["text"], drawn[20]["text"])
    assert not any(
        "square" in data.tokenizer.decode(r)
        for r in next(iter(data.val_dataloader()))["text"].tolist()
    )


def test_several_captions_are_all_drawn_equally_often():
    words = Vocabulary(["a", "b", "c"])
    every = SeveralCaptions([["a", "b", "c"], "c"], words, 1)
    assert every.are_several
    assert every.first.tolist() == [[2], [4]]
    epochs = [every.drawn(torch.tensor([0, 1]), seed=5, epoch=i) for i in range(300)]
    counts = torch.stack(epochs)[:, 0, 0].bincount()
    assert counts[2:].min() > 70
    assert {int(each[1]) for each in epochs} == {4}
    assert not SeveralCaptions(["a", "b"], words, 1).are_several


def test_shapes_have_captions_only_if_wanted():
    small = {"source__num_train": 40, "source__num_validation": 10, "source__num_test": 0}
    plain = make("shapes", batch_size=8, **small)
    assert not plain.has_text
    assert "text" not in next(iter(plain.train_dataloader()))
    assert plain.config.data.vocabulary is None
    with pytest.raises(UserError, match="data=shapes have no captions"):
        plain.captions("train", [0])
    data = make("shapes", captions=True, held_out=["red circle"], batch_size=8, **small)
    batch = next(iter(data.train_dataloader()))
    assert set(batch) == {"image", "label", "text"}
    assert data.source.held_out == ["red circle"]
    kinds = [data.class_names[i] for i in batch["label"].tolist()]
    assert all(
        k in data.tokenizer.decode(t) for k, t in zip(kinds, batch["text"].tolist(), strict=True)
    )


def test_facts_of_captions_are_refused_without_captions():
    with pytest.raises(UserError, match=r"data\.vocabulary is given, .* data=shapes have no capt"):
        make("shapes", vocabulary="a b")


def test_caption_less_split_is_refused(photos):
    data = make(is_open=False, path=str(photos))
    found = data.source.pictures()["train"]
    import dataclasses

    data.source = SimpleNamespace(
        pictures=lambda: {"train": found, "test": dataclasses.replace(found, texts=None)}
    )
    with pytest.raises(UserError, match="the split test has no captions"):
        data.open()
