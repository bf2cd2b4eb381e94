"""Warnings about baselines that do not fit, and about a run without validation."""

from types import SimpleNamespace

import pytest
import torch

from limner.training.left_out import unfit_baselines, unvalidated
from support.picture_pairs import FakePairs


@pytest.fixture
def noisy():
    data = FakePairs(lambda target, number: target, kind="gaussian noise")
    data.has_inputs = True
    return data


def config_of(composed, *words):
    return composed("model=restoration", "data=restoration", "data.path=x", *words)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (
            "[input,biharmonic]",
            "metrics.baselines: biharmonic left out; it does not fit",
        ),
        ("[bicubic,gamma]", "metrics.baselines: bicubic, gamma left out; they do not"),
        ("[input,median]", None),
    ],
)
def test_unfit_baselines_names_chosen_baselines_that_do_not_fit(composed, noisy, asked, message):
    found = unfit_baselines(config_of(composed, f"metrics.baselines={asked}"), noisy, "validation")
    assert found is None if message is None else found.startswith(message)


@pytest.mark.parametrize("words", [(), ("metrics=translation",), ("metrics=none",)])
def test_unfit_baselines_is_silent_about_defaults(composed, noisy, words):
    assert unfit_baselines(config_of(composed, *words), noisy, "validation") is None


@pytest.mark.parametrize(
    ("model", "end"),
    [({"reads_input": True}, "validated or scored."), ({}, "nothing is validated.")],
)
def test_unvalidated_states_the_key_if_no_image_is_held_out(composed, model, end):
    config = config_of(composed, "data.validation_fraction=0.0")
    number = 0
    data = SimpleNamespace(split=lambda name: (None, torch.arange(number)))
    found = unvalidated(config, SimpleNamespace(**model), data)
    assert found.startswith("data.validation_fraction=0.0: no image is held out")
    assert found.endswith(end)
    number = 1
    assert unvalidated(config, SimpleNamespace(**model), data) is None


def test_unvalidated_looks_at_both_domains(composed):
    config = config_of(composed, "data.validation_fraction=0.0")
    data = SimpleNamespace(
        split=lambda name: (None, torch.arange(2)),
        domain=lambda letter, name: (None, torch.arange(2 * (letter == "b"))),
    )
    assert "no image" in unvalidated(config, SimpleNamespace(reads_domains=True), data)
