"""A short form of scripts/kill_test.py, with a check that its comparison can fail."""

import importlib.util
import random
from pathlib import Path

import pytest

from support.photos import write_photos

SCRIPT = Path(__file__).parents[1] / "scripts" / "kill_test.py"
SPEC = importlib.util.spec_from_file_location("kill_test", SCRIPT)
kill_test = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(kill_test)

UPDATES = 14
RUN = [*kill_test.COMMON, "metrics=none", "accelerator=cpu", f"trainer.max_steps={UPDATES}",
       "callbacks.checkpoints.every_num_updates=3", "~callbacks.pictures"]  # fmt: skip


@pytest.mark.slow  # test_training.py tests resumes without kills
@pytest.mark.usefixtures("forking")
@pytest.mark.parametrize(("model", "kills"), [("gan", 3), ("cgan", 1)])
def test_killed_run_equals_the_uninterrupted_run(run, tmp_path, model, kills):
    words = [*RUN, *kill_test.MODELS[model]]
    whole, killed, other = (tmp_path / name for name in ("whole", "killed", "other"))
    assert run(*words, f"hydra.run.dir={whole}").code == 0
    assert run(*words, "seed=1", f"hydra.run.dir={other}").code == 0
    counts = kill_test.kill_and_resume(
        killed, words, num_updates=UPDATES, kills=kills, dice=random.Random(0)
    )
    assert counts["kills"] == kills
    result = kill_test.compare(whole, killed)
    assert result["differences"] == 0
    assert (result["checkpoints"], result["rows"]) == (UPDATES // 3 + 1, UPDATES)
    assert kill_test.compare(whole, other)["differences"] > UPDATES


OF_PICTURES = {
    "restoration": ["model=restoration", "network.restorer.width=8",
                    "network.restorer.num_blocks=1"],
    "pix2pix": ["model=pix2pix", "network.restorer.width=4", "network.restorer.max_width=8",
                "network.discriminator.receptive_field=16", "network.discriminator.width=4",
                "model/augmentation=ada", "model/penalty=lecam"],
}  # fmt: skip


@pytest.mark.slow  # test_picture_runs.py tests resumes without kills
@pytest.mark.usefixtures("forking")
@pytest.mark.parametrize("kind", OF_PICTURES)
def test_killed_run_on_crops_of_pictures_equals_the_uninterrupted_run(run, tmp_path, kind):
    """With a discriminator, the states of both optimizers must be equal too."""
    folder = write_photos(tmp_path / "photos", 12, sizes=[(30, 26), (25, 40)])
    degradation = "[noise,holes]" if kind == "restoration" else "noise"
    words = [
        *RUN, *OF_PICTURES[kind], "data=restoration", f"data.path={folder}", "metrics=loss",
        "data.crop_size=16", "data.batch_size=8", "data.crops_per_picture=3",
        f"data/degradation={degradation}",
    ]  # fmt: skip
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert run(*words, f"hydra.run.dir={whole}").code == 0
    counts = kill_test.kill_and_resume(
        killed, words, num_updates=UPDATES, kills=2, dice=random.Random(1)
    )
    assert counts["kills"] == 2
    assert kill_test.compare(whole, killed)["differences"] == 0


@pytest.mark.slow  # test_text_runs.py tests resumes without kills
@pytest.mark.usefixtures("forking")
def test_killed_gan_of_texts_equals_the_uninterrupted_run(run, tmp_path):
    words = [
        *RUN, "model=gan", "model/condition=text", "network=mlp", "model.ema_half_life=100",
        "data=shapes", "data.captions=true", "data.image_shape=[3,16,16]",
        "data.source.num_train=40", "data.source.num_validation=8", "data.batch_size=8",
    ]  # fmt: skip
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert run(*words, f"hydra.run.dir={whole}").code == 0
    counts = kill_test.kill_and_resume(
        killed, words, num_updates=UPDATES, kills=2, dice=random.Random(1)
    )
    assert counts["kills"] == 2
    assert kill_test.compare(whole, killed)["differences"] == 0


@pytest.mark.slow  # test_cycle_gan_runs.py tests resumes without kills
@pytest.mark.usefixtures("forking")
def test_killed_cycle_gan_equals_the_uninterrupted_run_with_its_pools(run, tmp_path):
    words = [
        *RUN, "model=cyclegan", "data=shapes_styles", "data.source.shapes.num_train=30",
        "data.source.shapes.num_validation=2", "data.source.shapes.num_test=2",
        "data.crop_size=16", "data.batch_size=2", "network.restorer.width=8",
        "network.restorer.num_blocks=1", "network.discriminator.width=8",
        "network.discriminator.receptive_field=16", "model.pool_size=5",
    ]  # fmt: skip
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert run(*words, f"hydra.run.dir={whole}").code == 0
    counts = kill_test.kill_and_resume(
        killed, words, num_updates=UPDATES, kills=2, dice=random.Random(1)
    )
    assert counts["kills"] == 2
    assert kill_test.compare(whole, killed)["differences"] == 0


FAMILIES = {
    "draw": ["model=draw", "network.num_steps=2", "network.encoder.hidden_size=8",
             "network.decoder.hidden_size=8", "network.encoder.read_size=3",
             "network.decoder.write_size=3", "data.batch_size=8"],
    "pixelcnn": ["model=pixelcnn", "network.pixelcnn.width=8", "network.pixelcnn.num_layers=2",
                 "network.pixelcnn.dropout=0.2", "data.binarisation=dynamic",
                 "model/likelihood=bernoulli", "model.ema_half_life=100", "data.batch_size=8"],
}  # fmt: skip
SEQUENCES = [
    "data=moving_shapes", "data.image_size=8", "data.num_inputs=2", "data.num_targets=2",
    "data.batch_size=4", "data.source.shapes.num_train=20",
    "data.source.shapes.num_validation=2", "data.source.shapes.num_test=2",
]  # fmt: skip
OF_SEQUENCES = {
    "video_prediction": ["model=video_prediction", "network.predictor.width=4",
                         "model/scheduled_sampling=linear", "model.scheduled_sampling.last=9",
                         "model.ema_half_life=8"],
    "sequence_vae": ["model=sequence_vae", "model.latent_dim=4", "network.encoder.width=8",
                     "network.encoder.max_width=8", "network.encoder.hidden_dim=8",
                     "network.decoder.width=8", "network.decoder.patch_size=2"],
}  # fmt: skip


@pytest.mark.slow  # the tests of resumes without kills have these models, too
@pytest.mark.usefixtures("forking")
@pytest.mark.parametrize("kind", [*FAMILIES, *OF_SEQUENCES, "multi_view"])
def test_killed_run_of_a_recurrent_model_equals_the_uninterrupted_run(run, tmp_path, kind):
    """These models read their own outputs, in an order that their random numbers must keep."""
    if kind in OF_SEQUENCES:
        own = [*SEQUENCES, *OF_SEQUENCES[kind]]
    elif kind in FAMILIES:
        own = FAMILIES[kind]
    else:
        folder = write_photos(tmp_path / "photos", 12, sizes=[(30, 26), (25, 40)])
        own = ["model=super_resolution", "network=multi_frame", "data=multi_view",
               f"data.path={folder}", "data.crop_size=16", "data.scale=2", "data.batch_size=8",
               "data.crops_per_picture=3", "data/degradation=[resize,noise]",
               "data/augmentation=turns", "network.restorer.width=8",
               "network.restorer.num_blocks=1"]  # fmt: skip
    pictures = ("codes", "painting_steps", "sequences", "strips", "predictions")
    words = [*RUN, *own, *(f"~callbacks.{name}" for name in pictures)]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert run(*words, f"hydra.run.dir={whole}").code == 0
    counts = kill_test.kill_and_resume(
        killed, words, num_updates=UPDATES, kills=1, dice=random.Random(2)
    )
    assert counts["kills"] == 1
    result = kill_test.compare(whole, killed)
    assert result["differences"] == 0
    assert (result["checkpoints"], result["rows"]) == (UPDATES // 3 + 1, UPDATES)
