"""Every kind of model with a likelihood resumes exactly, from the middle of an epoch."""

from pathlib import Path

import pytest
import torch

from support.runs import last_checkpoint

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
