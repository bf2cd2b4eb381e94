"""Every kind of model with a likelihood resumes exactly, and trains alike on two processes."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from support.runs import last_checkpoint

TRAIN = Path(__file__).parents[2] / "train.py"
KINDS = {
    "binary": ["data.binarisation=dynamic", "model/likelihood=bernoulli", "network=mlp"],
    "vamp": ["model/prior=vamp", "model.prior.num_components=5", "model/objective=dreg",
             "model.ema_half_life=100", "network=mlp"],
    "sigma": ["model=cvae", "model/likelihood=optimal_gaussian", "model/kl_schedule=cyclical"],
    "ladder": ["model=ladder_vae", "network.encoder.width=8", "network.encoder.max_width=8",
               "network.decoder.width=8", "network.decoder.max_width=8"],
    "draw": ["model=draw", "model/condition=concat", "network.num_steps=2",
             "network.encoder.hidden_size=8", "network.decoder.hidden_size=8"],
    "vqvae": ["model=vqvae", "network.encoder.width=8", "network.encoder.max_width=8",
              "network.decoder.width=8", "network.decoder.max_width=8",
              "model.codebook.revive_after=2", "model.ema_half_life=100"],
    "vaegan": ["model=vaegan", "network=mlp"],
    "pixelcnn": ["model=pixelcnn", "network.pixelcnn.width=8", "network.pixelcnn.num_layers=2",
                 "network.pixelcnn.dropout=0.2", "data.binarisation=dynamic",
                 "model/condition=concat", "model.ema_half_life=100"],
}  # fmt: skip

GANS = {
    "stylegan2": [
        "model=gan", "network=stylegan2", "model/penalty=[r1,path_length]",
        "model.penalty.path_length.function.shrink=1", "model.latent_dim=8",
        "network.generator.style_dim=8", "network.generator.width=8",
        "network.generator.max_width=8", "network.discriminator.width=8",
        "network.discriminator.max_width=8",
    ],
    "r3gan": [
        "model=gan", "network=r3gan", "model/loss=relativistic", "network.width=8",
        "network.max_width=8", "optimizer=sgd", "optimizer.lr=0.01",
    ],
}  # fmt: skip
"""GANs that train on two processes; tests/test_training.py has their exact resume.

R3GAN's last layers begin at 0. Adam would turn the rounding of their first gradients into steps.
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind",
    KINDS,
)
def test_stopped_run_of_each_kind_equals_the_uninterrupted_run(run, kind):
    common = [
        *KINDS[kind], "metrics=none", "accelerator=cpu", "data.batch_size=8", "logger=none",
        "callbacks.pictures.num_images=4", "trainer.limit_val_batches=1",
        "callbacks.codes.num_images=8" if kind == "binary" else "~callbacks.codes",
    ]  # fmt: skip
    assert run(*common, "trainer.max_steps=5", "hydra.run.dir=whole").code == 0
    assert run(*common, "trainer.max_steps=3", "hydra.run.dir=parts").code == 0
    resumed = run("resume=parts", "trainer.max_steps=5")
    assert resumed.code == 0, resumed.err
    whole, parts = (
        torch.load(last_checkpoint(Path(name)), weights_only=True) for name in ("whole", "parts")
    )
    assert whole["state_dict"].keys() == parts["state_dict"].keys()
    for key, value in whole["state_dict"].items():
        assert torch.equal(value, parts["state_dict"][key]), key
    assert Path("whole/final.png").exists() == (kind != "vqvae")
    for picture in Path("whole").glob("final*.png"):
        assert picture.read_bytes() == Path("parts", picture.name).read_bytes()


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("draw", []), ("pixelcnn", ["network.pixelcnn.dropout=0"]), ("stylegan2", []),
        ("r3gan", []),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("forking")
def test_two_processes_train_like_one(run, tmp_path, kind, words):
    """Each image has its own random numbers; the numbers of dropout belong to a process."""
    common = [
        *(KINDS | GANS)[kind], *words, "metrics=none", "logger=none",
        "trainer.limit_val_batches=0", "trainer.max_steps=3", "~callbacks.pictures",
        *([] if kind in GANS else ["~callbacks.codes", "~callbacks.painting_steps"]),
    ]  # fmt: skip
    ended = subprocess.run(
        [sys.executable, str(TRAIN), *common, "accelerator=ddp_cpu", "data.batch_size=4",
         "hydra.run.dir=two"],
        cwd=tmp_path, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    one = [*common, "accelerator=cpu", "data.batch_size=8"]
    assert run(*one, "hydra.run.dir=one").code == 0
    assert run(*one, "seed=1", "hydra.run.dir=other").code == 0
    two, one, other = (
        torch.load(last_checkpoint(Path(name)), weights_only=True)["state_dict"]
        for name in ("two", "one", "other")
    )
    assert max((two[key] - one[key]).abs().max().item() for key in one) < 1e-5
    assert max((two[key] - other[key]).abs().max().item() for key in one) > 1e-3
