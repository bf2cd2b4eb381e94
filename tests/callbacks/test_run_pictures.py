"""Every picture that training writes reaches the loggers too, with a caption."""

import re
from pathlib import Path

import numpy as np
import pytest
import wandb
from PIL import Image

from support.runs import trained
from support.tensorboard_files import captions, pictures

COMMON = [
    "accelerator=cpu", "metrics=none", "logger=[csv,tensorboard]", "trainer.max_steps=3",
    "callbacks.pictures.every_num_updates=2", "callbacks.pictures.num_images=16",
    "callbacks.codes.every_num_updates=2", "callbacks.codes.num_images=8",
]  # fmt: skip
SMALL = [
    "network.encoder.width=8", "network.encoder.max_width=8", "network.decoder.width=8",
    "network.decoder.max_width=8", "network.num_halvings=1", "network.code_dim=4",
    "model.codebook.num_codes=16",
]  # fmt: skip
TINY_PRIOR = ["network.prior.width=16", "network.prior.num_layers=1", "network.prior.num_heads=2"]
RECONSTRUCTS = {"reconstructions"}
WALKS = {"interpolations", "traversal", "kl"}
KINDS = {
    "cgan": (["model=cgan", "network=mlp"], {"samples"}),
    "cvae": (
        ["model=cvae", "network=mlp", "model.latent_dim=2"],
        {"samples", "manifold"} | RECONSTRUCTS | WALKS,
    ),
    "vaegan": (["model=vaegan", "network=mlp"], {"samples"} | RECONSTRUCTS | WALKS),
    "vqvae": (["model=vqvae", *SMALL], RECONSTRUCTS),
    "code_prior": (["model=code_prior", *TINY_PRIOR], {"samples"}),
    "pixelcnn": (
        ["model=pixelcnn", "network.pixelcnn.width=8", "network.pixelcnn.num_layers=1"],
        {"samples", "completions"},
    ),
    "latent_prior": (["model=latent_prior", "model/prior=flow"], {"samples"} | RECONSTRUCTS),
}
FIRST_STAGES = {
    "code_prior": ["model=vqvae", *SMALL],
    "latent_prior": ["model=rae", "network=mlp", "model.latent_dim=3"],
}


def assert_logger_has_all_pictures(folder: Path, keys: set[str]) -> None:
    logged = pictures(folder)
    files = [path for path in folder.rglob("*.png") if "wandb" not in path.parts]
    assert len(files) == 2 * len(keys) == len(logged), "one at update 2, one at the end"
    for path in files:
        found = re.search(r"update_(\d+)", path.name)
        step, pixels = int(found[1]) if found else 3, np.asarray(Image.open(path).convert("RGB"))
        same = [s for s in logged if s.step == step and np.array_equal(s.pixels, pixels)]
        assert same, f"no event file contains {path.name}"
    about = captions(folder)
    assert about.keys() == keys
    assert all(re.fullmatch(r"[A-Z].*\.", text) for text in about.values()), about


@pytest.mark.parametrize(
    "kind",
    ["cvae", *(pytest.param(kind, marks=pytest.mark.slow) for kind in KINDS if kind != "cvae")],
)
def test_every_picture_of_a_run_is_in_its_event_file(tmp_path, kind):
    overrides, keys = KINDS[kind]
    if kind in FIRST_STAGES:
        stage = trained(tmp_path / "first", *FIRST_STAGES[kind])
        overrides = [*overrides, f"model.first_stage={stage}"]
    folder = trained(tmp_path / "run", *COMMON, *overrides)
    assert_logger_has_all_pictures(folder, keys)


@pytest.mark.slow
def test_every_picture_of_a_run_is_in_its_offline_files_of_wandb(tmp_path, monkeypatch):
    wandb.finish()
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    overrides, keys = KINDS["vaegan"]
    folder = trained(tmp_path, *COMMON, *overrides, "logger=[tensorboard,wandb]")
    assert_logger_has_all_pictures(folder, keys)
    media = folder.glob("wandb/offline-run-*/files/media/images/*.png")
    sent = [np.asarray(Image.open(path)) for path in media]
    for path in [*folder.glob("*.png"), *folder.glob("samples/*.png")]:
        pixels = np.asarray(Image.open(path))
        assert any(np.array_equal(pixels, each) for each in sent), f"{path.name} is missing"
