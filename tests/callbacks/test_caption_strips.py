"""The picture of held-out captions shows a drawn image beside each real image."""

from types import SimpleNamespace

import pytest
import torch

from limner.callbacks import caption_strips
from limner.callbacks.caption_strips import CaptionStrips
from limner.data.vocabulary import Vocabulary
from limner.pixels import to_float
from support.captions import Squares


class Found(list):
    """Drawn texts and real images, and the explanation of each picture."""

    def __init__(self):
        super().__init__()
        self.abouts = []


class Model(torch.nn.Module):
    reads_text, device = True, torch.device("cpu")

    def __init__(self):
        super().__init__()
        self.asked = []

    def sample(self, num_images, *, generator, labels):
        self.asked.append((labels, torch.randn(2, generator=generator).tolist()))
        return torch.zeros(num_images, 3, 8, 8)


class Data:
    has_text = True

    def __init__(self, num_validation=12):
        self.tokenizer = Vocabulary(["a", "square", "red", "green"])
        self.store, self.num = Squares(), {"validation": num_validation, "test": 0, "train": 20}

    def split(self, name):
        return self.store, torch.arange(self.num[name])

    originals = split

    def captions(self, split, indices):
        return [self.store.captions[i] for i in indices]


@pytest.fixture
def drawn(monkeypatch):
    """Return the texts and the real images that the callback draws."""
    found = Found()

    def keep(images, texts, *, beside, about, **of):
        found.append((texts, beside))
        found.abouts.append(about)

    monkeypatch.setattr(caption_strips, "caption_grid", keep)
    monkeypatch.setattr(caption_strips, "write_picture", lambda trainer, picture, name, **of: None)
    return found


def draw(data, model, num_images=4):
    callback = CaptionStrips(every_num_updates=1, num_images=num_images, seed=0)
    trainer = SimpleNamespace(datamodule=data, global_step=3, default_root_dir=".", loggers=[])
    callback.draw(trainer, model, "final")


def test_picture_has_validation_captions_with_their_real_images(drawn):
    data, model = Data(), Model()
    draw(data, model)
    ((texts, beside),) = drawn
    places = [0, 3, 7, 11]
    assert texts == [data.store.captions[i] for i in places]
    assert torch.equal(beside, to_float(data.store.images[places]))
    assert torch.equal(model.asked[0][0], data.store.texts[places])


def test_picture_names_the_words_that_the_vocabulary_lacks(drawn):
    draw(Data(), Model())
    assert drawn.abouts[0].endswith("Unknown words: white.")


def test_noise_and_captions_are_the_same_at_each_update(drawn):
    model = Model()
    for _ in range(2):
        draw(Data(), model)
    (first, noise), (second, other) = model.asked
    assert torch.equal(first, second)
    assert noise == other


def test_training_captions_are_shown_without_validation_images(drawn):
    draw(Data(num_validation=0), Model())
    assert len(drawn[0][0]) == 4


def test_models_and_data_without_texts_have_no_such_picture(drawn):
    model, data = Model(), Data()
    data.has_text = False
    draw(data, model)
    model.reads_text = False
    draw(Data(), model)
    assert drawn == model.asked == []
