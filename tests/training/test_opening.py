"""The message at the start of a run."""

from pathlib import Path

import pytest
import torch

from limner.config.build import build
from limner.training.opening import opening, zero_rate


@pytest.fixture
def told(composed):
    def tell(*words, update=None, num_processes=1):
        config = composed(*words)
        data = build(config, "data")
        data.open()
        torch.manual_seed(0)
        return opening(
            config, build(config, "model"), data,
            device="cpu", num_processes=num_processes, folder=Path("outputs/a"), update=update,
        )  # fmt: skip

    return tell


def test_opening_describes_generator_and_discriminator_in_lines_that_fit(told):
    lines = told("model=gan", "model.discriminator_lr=1e-5", "lr_schedule=cosine")
    text = " ".join(lines)
    assert max(map(len, lines)) <= 80
    for part in ("GAN", "generator 66,689", "discriminator 2,113", "dcgan", "1,437 train",
                 "1x8x8", "10 classes", "Adam, lr 0.0002", "discriminator lr 1e-05", "32-true",
                 "cpu", "outputs/a"):  # fmt: skip
        assert part in text
    assert "Resumed" not in text


def test_opening_describes_the_steps_and_the_attention_of_draw(told):
    """The window of the default, 12x12 filters, is limited to digits of 8x8 pixels."""
    lines = told("model=draw", "network.num_steps=3", "network.encoder.read_size=5")
    text = " ".join(line.strip() for line in lines)
    assert max(map(len, lines)) <= 80
    for part in ("networks of draw", "reads by attention of 5x5 filters, ",
                 "paints in 3 steps of 16 codes", "writes by attention of 8x8 filters,",
                 "as network.decoder.write_size=12 exceeds the image"):  # fmt: skip
        assert part in text
    whole = ["network.encoder.read_size=null", "network.decoder.write_size=null"]
    told_of_whole = " ".join(told("model=draw", *whole, "model.ema_half_life=100"))
    assert told_of_whole.count("reads whole images") == 1
    assert "writes whole images" in told_of_whole


@pytest.mark.parametrize(
    ("words", "length"),
    [
        ([], "2,200 updates, 100 epochs of 64 images"),
        (["trainer.max_steps=11"], "11 updates, 0.5 epochs of 64 images"),
        (["trainer.max_epochs=-1"], "no limit in updates or epochs of 64 images"),
        (["trainer.limit_train_batches=5", "trainer.max_epochs=2"], "10 updates, 2 epochs"),
        (["trainer.limit_train_batches=0.5", "trainer.max_epochs=2"], "22 updates, 2 epochs"),
        (["data.batch_size=32", "trainer.max_epochs=1"], "44 updates, 1 epoch of 32 images"),
    ],
)
def test_opening_states_the_length_in_updates_and_epochs(told, words, length):
    assert length in " ".join(told(*words))


def test_opening_counts_the_images_of_all_processes(told):
    assert "1,100 updates, 100 epochs of 128 images" in " ".join(told(num_processes=2))


def test_opening_states_from_which_update_a_run_is_resumed(told):
    assert told(update=1234)[-1] == "Resumed:   from update 1,234"


@pytest.mark.parametrize("model", ["vae", "gan", "classifier", "vqvae", "rae", "pixelcnn"])
def test_opening_fits_80_columns_for_every_model(told, model):
    lines = told(f"model={model}")
    assert max(map(len, lines)) <= 80
    assert 6 <= len(lines) <= 10


@pytest.mark.parametrize(
    ("words", "length", "warns"),
    [
        ([], 100, False),
        (["lr_schedule=cosine", "lr_schedule.last=100"], 100, False),
        (["lr_schedule=cosine", "lr_schedule.last=100"], 101, True),
        (["lr_schedule=cosine", "lr_schedule.last=100"], None, True),
        (["lr_schedule=cosine", "lr_schedule.last=100", "lr_schedule.end=0.1"], 200, False),
    ],
)
def test_zero_rate_warns_if_the_rate_is_0_before_training_ends(composed, words, length, warns):
    config = composed(*words)
    config.num_updates = length
    assert (zero_rate(config) is not None) == warns


def test_opening_of_sequences_counts_sequences(told):
    lines = told("model=video_prediction", "data=moving_shapes", "trainer.max_steps=2")
    assert "of 16 sequences an update" in " ".join(lines)
