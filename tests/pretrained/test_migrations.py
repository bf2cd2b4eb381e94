"""Models saved at commit 66a6948, which had another layout and other names, load unchanged.

tests/saved holds a run and an export of that commit, and the eight images that
`limner.load(...).sample(8, seed=3)` drew there. models.json holds the `model` of a config for
every option of its conf/model, with small networks.
"""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import limner
from limner.pretrained.migrations import ADDED, RENAMED_CLASSES, migrate, migrate_weights
from limner.pretrained.refusals import targets
from limner.pretrained.roles import allowed
from limner.pretrained.safe_build import build

SAVED = Path(__file__).parents[1] / "saved"
MODELS = json.loads((SAVED / "models.json").read_text())


@pytest.mark.parametrize("name", ["gan_run", "vae_export"])
def test_load_draws_the_images_that_were_drawn_at_the_saving_commit(name):
    model = limner.load(SAVED / name, device="cpu")
    assert np.array_equal(model.sample(8, seed=3), np.load(SAVED / f"{name}.npy"))


@pytest.mark.parametrize("name", MODELS)
def test_migrate_returns_a_config_that_the_safe_builder_accepts(name):
    node = migrate(MODELS[name])
    assert build(node, "model") is not None
    assert migrate(node) == node


def test_migrate_keeps_gradient_clipping_and_accumulation():
    assert migrate(MODELS["gan clipped, in parts"])["gradients"] == {
        "_target_": "limner.models.gradients.Gradients", "max_norm": 1.5, "accumulate": 2,
    }  # fmt: skip
    assert migrate(MODELS["vae mlp"])["gradients"]["max_norm"] is None


def test_migrate_keeps_classes_of_the_user():
    node = {"_target_": "mine.GAN", "num_parts": 3, "penalty": {"penalty": 1}}
    assert migrate(node) == node


def test_migration_tables_name_classes_that_exist():
    names = [*RENAMED_CLASSES.values(), *ADDED]
    names += [node["_target_"] for added in ADDED.values() for _, node in targets(added)]
    assert [name for name in names if allowed(name, "model") is None] == []


def test_migrate_weights_renames_the_state_of_penalties():
    value = torch.ones(())
    weights = {"penalty.lecam.penalty.real": value, "generator.penalty": value}
    assert list(migrate_weights(weights)) == ["penalty.lecam.function.real", "generator.penalty"]


def test_migrate_weights_fit_a_penalty_with_a_state():
    model = build(migrate(MODELS["gan penalty=lecam"]), "model")
    earlier = {
        name.replace(".function.", ".penalty."): value
        for name, value in model.state_dict().items()
    }
    assert earlier.keys() != model.state_dict().keys()
    model.load_state_dict(migrate_weights(earlier))
