"""VAE-GANs: the parameters that each loss changes, and the perceptual likelihood."""

import os
import pickle
from pathlib import Path
from urllib.error import URLError

import pytest
import torch
from torch import nn
from torchvision.models import SqueezeNet1_1_Weights, squeezenet1_1

from limner.config.build import build
from limner.errors import UserError
from limner.files.downloaded_weights import downloaded_path
from limner.losses.likelihood import GaussianLikelihood
from limner.models.optimization import OptimizerStep
from limner.models.perceptual import PerceptualGaussian

IMAGES = 2 * torch.rand(6, 1, 8, 8) - 1


@pytest.fixture
def made(composed):
    def make(*overrides):
        words = ["model=vaegan", "network=mlp", "model.latent_dim=4", *overrides]
        return build(composed(*words), "model")

    return make


def gradients(vaegan):
    """Return the gradient of each parameter after the step of encoder and generator."""
    torch.manual_seed(0)
    total, _ = vaegan._autoencoder_losses(IMAGES, *torch.randn(2, 6, 4))
    vaegan.zero_grad()
    total.backward()
    return {name: w.grad.clone() for name, w in vaegan.named_parameters() if w.grad is not None}


def test_adversarial_loss_changes_only_the_generator(made):
    """Without G's reconstruction loss, the encoder's gradient is the same, and D gets none."""
    vaegan = made()
    both = gradients(vaegan)
    vaegan.reconstruction_weight = 0.0
    adversarial = gradients(vaegan)
    assert {name.split(".")[1] for name in both} == {"encoder", "generator"}
    for name in both:
        assert torch.equal(both[name], adversarial[name]) == ("encoder" in name), name
        assert both[name].any(), name


def test_each_optimizer_step_changes_only_its_networks(run, monkeypatch):
    moved = []

    def finish(step, **options):
        before = {n: p.detach().clone() for n, p in step.model.named_parameters()}
        values = original(step, **options)
        changed = {n for n, p in step.model.named_parameters() if not p.equal(before[n])}
        moved.append({n.split(".")[0] for n in changed if not n.startswith("ema.")})
        return values

    original = OptimizerStep.finish
    monkeypatch.setattr(OptimizerStep, "finish", finish)
    result = run("model=vaegan", "trainer.max_steps=2", "metrics=none", "logger=none")
    assert result.code == 0, result.err
    assert moved == [{"discriminator"}, {"network"}] * 2
    assert (result.only_run() / "final_traversal.png").exists()
    assert (result.only_run() / "final_reconstructions.png").exists()


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.kl_weight=-1", "model.kl_weight=-1"),
        ("model.reconstruction_weight=-1", "model.reconstruction_weight=-1"),
        ("model.loss._target_=limner.losses.adversarial.Wasserstein", "needs a penalty"),
        ("model.loss._target_=limner.losses.adversarial.Relativistic", "needs a penalty"),
    ],
)
def test_vaegan_refuses_invalid_values(made, override, message):
    with pytest.raises(UserError, match=message):
        made(override)


def test_missing_weights_are_named_before_training(run, monkeypatch):
    def offline(*arguments, **options):
        raise URLError("no network")

    monkeypatch.setattr("torchmetrics.image.lpip.LearnedPerceptualImagePatchSimilarity", offline)
    result = run("model/likelihood=lpips", "metrics=none", "trainer.max_steps=1")
    assert result.code == 1
    assert "model/likelihood=lpips needs the weights of torchvision's vgg" in result.err
    assert "Traceback" not in result.err


class Hostile:
    """A pickle that would leave a file if it were executed."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("kind", ["hostile", "pipe", "large", "other"])
def test_perceptual_weights_execute_no_code_and_are_regular_files(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    path = downloaded_path(SqueezeNet1_1_Weights.DEFAULT.url)
    path.parent.mkdir()
    if kind == "hostile":
        path.write_bytes(pickle.dumps(Hostile(tmp_path / "executed")))
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "large":
        with path.open("wb") as file:
            file.truncate(2**30 + 1)
    else:
        torch.save({"fc.weight": torch.zeros(2)}, path)
    likelihood = PerceptualGaussian(sigma=0.5, weight=3.0, network="squeeze")
    with pytest.raises(UserError, match="are damaged, or are the weights of another network"):
        likelihood.check(IMAGES)
    assert not (tmp_path / "executed").exists()


def test_perceptual_weights_are_read_when_they_are_valid(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    path = downloaded_path(SqueezeNet1_1_Weights.DEFAULT.url)
    path.parent.mkdir()
    torch.save(squeezenet1_1().state_dict(), path)
    likelihood = PerceptualGaussian(sigma=0.5, weight=3.0, network="squeeze")
    likelihood.check(IMAGES)
    assert likelihood.log_prob(IMAGES, IMAGES).isfinite().all()


class Distance(nn.Module):
    """A replacement of LPIPS: the distance of the mean colours."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, x, y):
        assert min(x.shape[2:]) >= 32
        assert x.shape[1] == 3
        return (x.mean((1, 2, 3)) - y.mean((1, 2, 3))).square()[:, None, None, None]


def test_perceptual_likelihood_is_a_gaussian_minus_the_distance(monkeypatch):
    monkeypatch.setattr("limner.models.perceptual._loaded", lambda network: Distance())
    likelihood = PerceptualGaussian(sigma=0.5, weight=3.0, network="alex")
    likelihood.check(IMAGES)
    params = torch.zeros_like(IMAGES, requires_grad=True)
    found = likelihood.log_prob(params, IMAGES)
    expected = (
        GaussianLikelihood(sigma=0.5).log_prob(params, IMAGES) - 3 * IMAGES.mean((1, 2, 3)) ** 2
    )
    assert torch.allclose(found, expected, atol=1e-4)
    found.sum().backward()
    assert params.grad.any()
    assert not likelihood.state_dict(), "its network is neither trained nor saved"
    assert not list(likelihood.parameters())


def test_images_of_four_channels_are_refused_by_lpips():
    with pytest.raises(ValueError, match="1 or 3 channels, not 4"):
        PerceptualGaussian(sigma=0.5, weight=1.0, network="vgg").check(torch.zeros(1, 4, 8, 8))
