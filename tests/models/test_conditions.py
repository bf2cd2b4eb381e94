"""A model reads classes, texts or neither, and what hands them on need not know which."""

import types

import pytest
import torch
from torch import nn

from limner.models.conditions import (
    drawn_labels,
    given_labels,
    is_conditional,
    keep_captions,
    labels_at,
)

BATCH = {"image": torch.zeros(2, 1, 4, 4), "label": torch.tensor([1, 0]),
         "text": torch.tensor([[2, 3], [4, 0]])}  # fmt: skip


class OfTexts(nn.Module):
    reads_text, num_classes = True, None

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("captions", torch.zeros(8, 2, dtype=torch.int64))


OF_CLASSES = types.SimpleNamespace(num_classes=3)
UNCONDITIONAL = types.SimpleNamespace(num_classes=None)


@pytest.mark.parametrize(
    ("model", "name"), [(OfTexts(), "text"), (OF_CLASSES, "label"), (UNCONDITIONAL, None)]
)
def test_a_model_gets_the_column_of_the_batch_that_it_reads(model, name):
    assert given_labels(model, BATCH) is (None if name is None else BATCH[name])
    store = types.SimpleNamespace(labels=BATCH["label"], texts=BATCH["text"])
    found = labels_at(model, store, torch.tensor([1]))
    assert found is None if name is None else torch.equal(found, BATCH[name][1:])
    assert is_conditional(model) == (name is not None)


def test_drawn_texts_are_rows_of_the_captions_and_a_function_of_the_generator():
    model, data = OfTexts(), _data()
    keep_captions(model, data)
    generators = [torch.Generator().manual_seed(1) for _ in range(2)]
    first, second = (drawn_labels(model, 50, generator=g) for g in generators)
    assert first.shape == (50, 2)
    assert torch.equal(first, second)
    assert set(map(tuple, first.tolist())) <= set(map(tuple, model.captions.tolist()))
    assert len(set(map(tuple, first.tolist()))) > 4


def test_captions_are_training_texts_at_equal_distances_and_survive_a_checkpoint():
    model = OfTexts()
    keep_captions(model, _data())
    assert model.captions[0].tolist() == [10, 11]
    assert model.captions[-1].tolist() == [28, 29]
    loaded = OfTexts()
    loaded.load_state_dict(model.state_dict())
    assert torch.equal(loaded.captions, model.captions)


def test_drawn_classes_are_those_of_uniform_labels():
    from limner.randomness import uniform_labels

    generators = [torch.Generator().manual_seed(1) for _ in range(2)]
    drawn = drawn_labels(OF_CLASSES, 5, generator=generators[0])
    assert torch.equal(drawn, uniform_labels(5, 3, generator=generators[1]))
    assert drawn_labels(UNCONDITIONAL, 5, generator=None) is None


def _data():
    """Return data whose training split is the last ten of fifteen texts."""
    store = types.SimpleNamespace(texts=torch.arange(30).view(15, 2))
    return types.SimpleNamespace(split=lambda name: (store, torch.arange(5, 15)))
