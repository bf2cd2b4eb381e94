"""Pictures of the latent space, and the warning about a posterior collapse."""

import csv

import pytest
import torch

from limner.callbacks.latent_pictures import NUM_STEPS, _walks, collapse
from support.grids import grid_of

QUICK = ["metrics=none", "accelerator=cpu", "network=mlp"]
CURES = "The usual cures: model/kl_schedule=linear"


@pytest.mark.parametrize("model", ["vae", pytest.param("cvae", marks=pytest.mark.slow)])
def test_latent_pictures_are_written(run, model):
    result = run(
        f"model={model}", "model.latent_dim=2", *QUICK, "trainer.max_steps=4", "logger=csv",
        "callbacks.codes.every_num_updates=2",
    )  # fmt: skip
    assert result.code == 0, result.err
    folder = result.only_run()
    for name in ("samples/update_00000002", "samples/update_00000004", "final"):
        shape = {
            kind: grid_of(folder / f"{name}_{kind}.png").shape[:2]
            for kind in ("interpolations", "traversal", "manifold", "kl")
        }
        assert shape["interpolations"] == (8 * 66 + 2, 11 * 66 + 2)
        assert shape["traversal"] == (2 * 66 + 2, 11 * 66 + 2)
        assert shape["manifold"] == (20 * 66 + 2, 20 * 66 + 2)
    with open(folder / "metrics.csv", newline="") as file:
        rows = [row["val/active_units"] for row in csv.DictReader(file)]
    assert all(0 <= int(float(units)) <= 2 for units in rows if units)
    assert any(rows)


class Painter:
    """Decoder whose images are filled with the sum of the condition of their code."""

    def generate(self, z, labels):
        assert len(z) == len(labels)
        values = labels.reshape(len(z), -1).sum(1).float()
        return values[:, None, None, None].expand(-1, 1, 2, 2)


@pytest.mark.parametrize(
    "labels", [torch.tensor([3, 5, 4, 6]), torch.tensor([[1, 2], [5, 0], [2, 2], [6, 0]])]
)
def test_each_walk_has_the_class_or_the_text_of_its_first_image(labels):
    walks = {
        walk.kind: walk for walk in _walks(Painter(), torch.rand(4, 2), [labels], torch.rand(2))
    }
    shown = {kind: walk.images.amax((1, 2, 3)).tolist() for kind, walk in walks.items()}
    assert shown["interpolations"] == [3] * NUM_STEPS + [4] * NUM_STEPS
    assert set(shown["traversal"]) == set(shown["manifold"]) == {3}


def test_interpolation_ends_are_reconstructions(run):
    result = run(
        *QUICK, "trainer.max_steps=2", "logger=none", "callbacks.codes.num_images=32",
    )  # fmt: skip
    assert result.code == 0, result.err
    walk, made = (
        grid_of(result.only_run() / f"final_{name}.png").astype(int)
        for name in ("interpolations", "reconstructions")
    )
    tile = 66
    assert abs(walk[2:66, 2:66] - made[tile + 2 : tile + 66, 2:66]).max() <= 1
    second = made[tile + 2 : tile + 66, tile + 2 : tile + 66]
    assert abs(walk[2:66, 10 * tile + 2 : 10 * tile + 66] - second).max() <= 1


def test_posterior_collapse_is_reported_once_with_its_remedies(run):
    result = run(
        *QUICK, "model.kl_weight=10000", "trainer.max_steps=90", "logger=none",
        "callbacks.codes.every_num_updates=40",
    )  # fmt: skip
    assert result.code == 0, result.err
    told = [line for line in (result.out + result.err).splitlines() if CURES in line]
    assert len(told) == 1
    assert "Posterior collapse: 0 of 32 latent dimensions" in told[0]


@pytest.mark.slow
def test_no_collapse_is_reported_when_codes_are_used(run):
    result = run(
        *QUICK, "trainer.max_steps=160", "logger=none", "callbacks.codes.every_num_updates=80",
        "model.likelihood.sigma=0.1",
    )  # fmt: skip
    assert result.code == 0, result.err
    assert CURES not in result.out + result.err


def test_no_collapse_is_reported_when_a_tenth_of_the_units_is_active():
    assert collapse(3, 32) is not None
    assert collapse(4, 32) is None
    assert collapse(1, 2) is None
    assert collapse(0, 2) is not None


def test_latent_pictures_skips_models_without_codes(run):
    result = run("model=gan", "network=mlp", "trainer.max_steps=2", "metrics=none")
    assert result.code == 0, result.err
    assert not list(result.only_run().rglob("*_kl.png"))


@pytest.mark.parametrize("wrong", ["every_num_updates=0", "num_images=1"])
def test_latent_pictures_refuses_numbers_out_of_range(run, wrong):
    result = run(*QUICK, f"callbacks.codes.{wrong}")
    assert result.code == 1
    assert wrong.partition("=")[0] in result.err
    assert "must be 1 or more" in result.err
