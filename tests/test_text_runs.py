"""Whole runs of models that read texts: exact resume, processes, samples and export."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import limner
from limner.commands import export
from limner.data.vocabulary import parse
from limner.files.pictures import grid_captions
from test_picture_runs import difference, weights
from test_training import checkpoint, execute, same
from test_training import difference as largest_difference

DATA = ["data=shapes", "data.captions=true", "data.image_shape=[3,16,16]",
        "data.held_out=[red circle]", "data.source.num_train=40", "data.source.num_validation=8",
        "data.source.num_test=8", "data.batch_size=8"]  # fmt: skip
QUIET = ["accelerator=cpu", "logger=none", "~callbacks.progress", "metrics=none",
         "callbacks.pictures.num_images=4"]  # fmt: skip
SMALL = ["model.text.width=8", "model.text.code_dim=6", "model.text.num_blocks=1",
         "model.text.num_heads=2"]  # fmt: skip
KINDS = {
    "gan": ["model=gan", "model/condition=text", "network=mlp", "model.ema_half_life=100",
            "model.num_discriminator_steps=2", "model/augmentation=diffaugment", *SMALL],
    "vae": ["model=vae", "model/condition=text_vae", "network=mlp", "model.ema_half_life=100",
            "callbacks.codes.num_images=4", *SMALL],
}  # fmt: skip


@pytest.fixture
def finished(run):
    """Return a function that makes a run of five updates."""

    def make(kind):
        words = [*KINDS[kind], *DATA, *QUIET, "trainer.max_steps=5", "hydra.run.dir=whole"]
        result = run(*words)
        assert result.code == 0, result.err
        return Path("whole").absolute()

    return make


@pytest.mark.parametrize("kind", KINDS)
def test_resumed_run_of_texts_equals_the_uninterrupted_run(run, finished, kind):
    finished(kind)
    words = [*KINDS[kind], *DATA, *QUIET, "trainer.max_steps=3", "hydra.run.dir=parts"]
    assert run(*words).code == 0
    resumed = run("resume=parts", "trainer.max_steps=5")
    assert resumed.code == 0, resumed.err
    assert difference(weights("whole"), weights("parts")) == 0
    whole, parts = (checkpoint(Path(name))["optimizer_states"] for name in ("whole", "parts"))
    assert same(whole, parts)
    assert Path("whole/final.png").read_bytes() == Path("parts/final.png").read_bytes()


@pytest.mark.parametrize("kind", KINDS)
def test_an_export_keeps_vocabulary_and_captions_and_draws_the_same_images(finished, kind):
    whole = finished(kind)
    assert export.run([f"run={whole}", "to=exported"]) == 0
    trained, loaded = (limner.load(path, device="cpu") for path in (whole, "exported"))
    assert loaded.config["data"]["vocabulary"] == trained.config["data"]["vocabulary"]
    assert "circle" in parse(loaded.config["data"]["vocabulary"]).words
    captions = loaded.module.captions
    assert torch.equal(captions, trained.module.captions)
    assert len(captions.unique(dim=0)) > 10, "texts of the training images"
    assert captions.max() < loaded.config["data"]["num_tokens"]
    assert np.array_equal(loaded.sample(6, seed=3), trained.sample(6, seed=3))
    assert loaded.is_conditional
    card = Path("exported/README.md").read_text()
    data = loaded.config["data"]
    length, words = data["text_length"], data["num_tokens"] - 2
    assert f"| texts | at most {length} words, vocabulary of {words} |" in card
    assert "| combinations in no training image | red circle |" in card
    assert "| classes |" not in card, "the model reads none"


def test_the_last_grid_of_samples_records_the_caption_of_each_image(finished):
    whole = finished("gan")
    trained = limner.load(whole, device="cpu")
    with Image.open(whole / "final.png") as picture:
        captions = grid_captions(picture)
    assert len(captions) == 4
    words = set(parse(trained.config["data"]["vocabulary"]).words)
    assert all(text and set(text.split()) <= words for text in captions)


def test_two_processes_train_a_model_of_texts_like_one(tmp_path, run):
    """Losses that compare the texts of a batch do so within a process, so they are left out."""
    pairs = [f"model.auxiliary.{name}_weight=0" for name in ("mismatch", "contrastive")]
    common = [*KINDS["gan"], *DATA, "logger=none", "metrics=none", *pairs,
              "model.auxiliary.generator_weight=0", "trainer.limit_val_batches=0",
              "~callbacks.pictures", "trainer.max_steps=3"]  # fmt: skip
    two = [*common, "accelerator=ddp_cpu", "data.batch_size=4", "hydra.run.dir=two"]
    result = execute(tmp_path, *two)
    assert result.returncode == 0, result.stderr
    assert run(*common, "accelerator=cpu", "hydra.run.dir=one").code == 0
    assert largest_difference("two", "one", 3) < 1e-5


@pytest.mark.slow  # the test above trains on two processes without these losses
def test_two_processes_train_the_losses_that_compare_texts(tmp_path):
    words = [*KINDS["gan"], *DATA, *QUIET, "trainer.max_steps=2", "hydra.run.dir=two"]
    result = execute(tmp_path, *words, "accelerator=ddp_cpu", "data.batch_size=4")
    assert result.returncode == 0, result.stderr
