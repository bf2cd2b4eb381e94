"""Every picture that training writes reaches the loggers too, with a caption."""

import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import wandb
from PIL import Image

from limner.callbacks.latent_pictures import Codes
from limner.callbacks.pictures import Pictures
from limner.callbacks.run_pictures import PeriodicPictures
from limner.callbacks.style_strips import StyleStrips
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


@pytest.mark.parametrize("is_first", [True, False])
def test_pictures_are_drawn_at_the_interval_and_at_the_end_by_the_first_process(is_first):
    class Named(PeriodicPictures):
        key = "named"

        def draw(self, trainer, model, name):
            drawn.append(name)

    drawn, callback = [], Named(every_num_updates=2, num_images=1)
    for update in range(1, 6):
        trainer = SimpleNamespace(is_global_zero=is_first, global_step=update)
        callback.on_train_batch_end(trainer, None)
    callback.on_train_end(trainer, None)
    names = ["samples/update_00000002", "samples/update_00000004", "final"]
    assert drawn == (names if is_first else [])


@pytest.mark.parametrize(
    ("kind", "key", "fewest"),
    [(Pictures, "pictures", 1), (Codes, "codes", 2), (StyleStrips, "style_strips", 1)],
)
def test_callbacks_of_pictures_refuse_numbers_out_of_range_with_their_key(kind, key, fewest):
    more = {"seed": 0} if kind is Pictures else {}
    for wrong in ({"every_num_updates": 0}, {"num_images": fewest - 1}):
        with pytest.raises(ValueError, match=f"callbacks.{key}: .* num_images {fewest} or more"):
            kind(**{"every_num_updates": 1, "num_images": fewest} | wrong, **more)
