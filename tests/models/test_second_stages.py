"""VQ-VAEs, and models that are trained on the codes of a trained autoencoder."""

import csv
import math
import shutil
from functools import cache, partial

import lightning as L
import pytest
import torch

import limner
from limner.config.build import build
from support.runs import last_checkpoint, trained

SMALL = [
    "network.encoder.width=8", "network.encoder.max_width=8", "network.decoder.width=8",
    "network.decoder.max_width=8", "network.num_halvings=1", "network.code_dim=4",
    "model.codebook.num_codes=16",
]  # fmt: skip
MLP = ["network=mlp", "model.latent_dim=3"]
TINY_PIXELCNN = [
    "network=pixelcnn", "network.prior.width=16", "network.prior.num_layers=1",
    "network.prior.first_kernel_size=3",
]  # fmt: skip
TINY_PRIOR = ["network.prior.width=16", "network.prior.num_layers=1", "network.prior.num_heads=2"]
COMMON = ["metrics=none", "accelerator=cpu"]
NO_PICTURES = ["~callbacks.pictures", "~callbacks.codes"]


STAGES = {
    "vqvae": ["model=vqvae", *SMALL],
    "vae": MLP,
    "rae": ["model=rae", *MLP, "model.ema_half_life=100"],
    "cvae": ["model=cvae", *MLP],
    "gan": ["model=gan", "network=mlp"],
}
slow = partial(pytest.param, marks=pytest.mark.slow)


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """Return a function that trains a short run of any model, at most once for each model."""
    folder = tmp_path_factory.mktemp("first")

    @cache
    def make(stage):
        return trained(folder / stage, *STAGES[stage], *NO_PICTURES)

    return make


@pytest.mark.slow
def test_vqvae_fits_its_codes_and_logs_their_use(run):
    result = run(
        "model=vqvae", *SMALL, "trainer.max_epochs=4", "logger=csv", "optimizer.lr=0.01",
        "callbacks.log.every_num_updates=20", "metrics=loss",
    )  # fmt: skip
    assert result.code == 0, result.err
    with open(result.only_run() / "metrics.csv", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["val/loss"]]
    assert float(rows[-1]["val/loss"]) < float(rows[0]["val/loss"])
    assert float(rows[-1]["val/codebook_usage"]) > 0.8
    assert 8 < float(rows[-1]["val/codebook_perplexity"]) <= 16
    assert (result.only_run() / "final_reconstructions.png").exists()
    assert (result.only_run() / "checkpoints" / "best.ckpt").exists()


def test_vqvae_reconstructs_from_its_codes_alone(first):
    model = limner.load(first("vqvae"), device="cpu")
    images = torch.rand(5, 1, 8, 8) * 2 - 1
    indices = model.module.indices(images)
    assert indices.shape == (5, 4, 4)
    assert torch.equal(model.module.reconstruct(images), model.module.decode(indices))
    with pytest.raises(limner.errors.UserError, match="VQVAE draws no images"):
        model.sample(1)


@pytest.mark.parametrize(
    ("stage", "overrides"),
    [
        slow("vqvae", ["model=code_prior", *TINY_PRIOR]),
        ("vqvae", ["model=code_prior", *TINY_PRIOR, "model/condition=concat", "model.top_k=4"]),
        slow("vqvae", ["model=code_prior", *TINY_PIXELCNN, "model.top_k=4"]),
        slow("vqvae", ["model=code_prior", *TINY_PIXELCNN, "model/condition=concat"]),
        slow("rae", ["model=latent_prior"]),  # test_gaussian_mixture_is_fitted_at_once is quick
        slow("vae", ["model=latent_prior", "model/prior=flow", "model.ema_half_life=100"]),
        slow(
            "cvae", ["model=latent_prior", "model/prior=mixture", "model.prior.num_components=3"]
        ),
    ],
)
def test_second_stage_trains_and_samples_by_itself(first, tmp_path, stage, overrides):
    moved = shutil.copytree(first(stage), tmp_path / "moved")
    second = trained(
        tmp_path / "second", *overrides, f"model.first_stage={moved}",
        "callbacks.checkpoints.every_num_updates=1", "callbacks.pictures.num_images=4",
        "~callbacks.codes",
    )  # fmt: skip
    before = torch.load(last_checkpoint(first(stage)), weights_only=True)["state_dict"]
    shutil.rmtree(moved)
    model = limner.load(second, device="cpu")
    for key, value in model.module.first_stage.state_dict().items():
        assert torch.equal(value, before[key]), "the first stage has changed"
    draw = {"generator": torch.Generator().manual_seed(0)}
    images = model.module.sample(3, **draw)
    assert images.shape == (3, 1, 8, 8)
    draw["generator"].manual_seed(0)
    assert torch.equal(images, model.module.sample(3, **draw))
    assert (second / "final.png").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stage", "words"),
    [
        ("vqvae", ["model=code_prior", *TINY_PRIOR]),
        slow("vae", ["model=latent_prior", "model/prior=flow"]),
    ],
)
def test_second_stage_is_built_for_a_plain_trainer(first, tmp_path, stage, words):
    words = [*words, f"model.first_stage={first(stage)}", "data.batch_size=300"]
    assert limner.compose(*words).model.first_stage == str(first(stage))
    model, data = limner.build(*words)
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    plain = L.Trainer(
        max_epochs=1, accelerator="cpu", enable_checkpointing=False, default_root_dir=tmp_path,
        **quiet,
    )  # fmt: skip
    plain.fit(model, data)
    assert torch.isfinite(plain.callback_metrics["train/loss"])
    (validated,) = plain.validate(model, data, verbose=False)
    assert math.isfinite(validated["val/loss"])
    before = torch.load(last_checkpoint(first(stage)), weights_only=True)["state_dict"]
    for key, value in model.first_stage.state_dict().items():
        assert torch.equal(value, before[key]), "the first stage has changed, or is not loaded"


def test_second_stage_resumes_without_the_first_stage(first, run, tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    moved = shutil.copytree(first("rae"), tmp_path / "moved")
    common = ["model=latent_prior", "model/prior=flow", f"model.first_stage={moved}", *COMMON]
    common += NO_PICTURES
    assert run(*common, "trainer.max_steps=5", f"hydra.run.dir={whole}").code == 0
    assert run(*common, "trainer.max_steps=2", f"hydra.run.dir={parts}").code == 0
    shutil.rmtree(moved)
    resumed = run(f"resume={parts}", "trainer.max_steps=5")
    assert resumed.code == 0, resumed.err
    a, b = (
        torch.load(last_checkpoint(folder), weights_only=True)["state_dict"]
        for folder in (whole, parts)
    )
    assert all(torch.equal(a[key], b[key]) for key in a)


def test_gaussian_mixture_is_fitted_at_once(first, run):
    result = run("model=latent_prior", f"model.first_stage={first('rae')}", *COMMON, "logger=csv")
    assert result.code == 0, result.err
    model = limner.load(result.only_run(), device="cpu")
    assert model.update == 1
    drawn = torch.tensor(model.latents(1000))
    codes = torch.tensor(model.encode(model.sample(8)))
    assert codes.shape == (8, 3)
    assert drawn.var(0).min() > 0
    assert abs(model.module.network["prior"].log_weights.exp().sum().item() - 1) < 1e-4


def test_gaussian_mixture_is_not_fitted_by_two_processes(first, run, tmp_path):
    words = ["model=latent_prior", f"model.first_stage={first('rae')}", "metrics=none"]
    result = run(*words, "accelerator=ddp_cpu")
    assert result.code == 1
    assert "2 processes: this LatentPrior is fitted at once" in result.err
    assert not (tmp_path / "outputs").exists()


@pytest.mark.parametrize(
    ("stage", "overrides", "message"),
    [
        ("rae", ["model=code_prior"], "but this is a run of a VAE"),
        slow("gan", ["model=code_prior"], "but this is a run of a GAN"),
        ("vqvae", ["model=latent_prior"], "but this is a run of a VQVAE"),
        slow("gan", ["model=latent_prior"], "but this is a run of a GAN"),
        slow("vae", ["model=latent_prior", "model/prior=vamp"], "cannot be learned from codes"),
        slow("vae", ["model=latent_prior", "data.image_shape=[1,16,16]"], "images of [1, 8, 8]"),
        ("vqvae", ["model=code_prior", "model.temperature=0"], "model.temperature=0"),
        ("vqvae", ["model=code_prior", "model.top_k=0"], "model.top_k=0"),
    ],
)
def test_second_stage_refuses_a_run_that_is_not_a_first_stage(
    first, run, tmp_path, stage, overrides, message
):
    result = run(*overrides, f"model.first_stage={first(stage)}", *COMMON)
    assert result.code == 1
    assert message in result.err
    assert "Traceback" not in result.err
    assert len(result.err.strip().splitlines()) <= 2
    assert not (tmp_path / "outputs").exists()


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("nowhere", "neither a run nor an exported model"),
        (None, "model.first_stage must be given"),
    ],
)
def test_second_stage_names_a_run_that_does_not_exist(run, word, message):
    given = [] if word is None else [f"model.first_stage={word}"]
    result = run("model=code_prior", *given, *COMMON)
    assert result.code == 1
    assert message in result.err


def test_vae_refuses_a_fitted_prior(composed):
    with pytest.raises(limner.errors.UserError, match="model=latent_prior"):
        build(composed("model/prior=gaussian_mixture"), "model")
