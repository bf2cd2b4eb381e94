"""A Projected GAN trains only its heads, resumes to the bit, loads and exports."""

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from limner.config.build import build
from limner.losses.adversarial import Hinge
from limner.metrics.trained_with import trained_with
from limner.models.adversarial import Inputs
from limner.networks import imagenet_weights
from limner.pretrained.load import load
from support.runs import last_checkpoint

NETWORK = (
    "model=gan", "network=projected", "model/loss=hinge", "network.generator.width=8",
    "network.discriminator.width=8", "network.discriminator.min_size=32",
)  # fmt: skip
QUICK = (
    *NETWORK, "data.batch_size=8", "accelerator=cpu", "logger=none", "metrics=none",
    "~callbacks.pictures",
)  # fmt: skip


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return torch.load(last_checkpoint(folder), weights_only=True)["state_dict"]


def digest(tensors: list[torch.Tensor]) -> str:
    found = hashlib.sha256()
    for tensor in tensors:
        found.update(tensor.detach().numpy().tobytes())
    return found.hexdigest()


def inputs_for(model, num_images=4) -> Inputs:
    empty = torch.rand(num_images, 0)
    draws = torch.rand(num_images, model.penalty.num_draws)
    images = torch.rand(num_images, 1, 8, 8) * 2 - 1
    return Inputs(images, None, torch.randn(num_images, 64), empty, empty, draws)


def test_training_changes_the_heads_and_neither_the_features_nor_the_mixing(composed):
    model = build(composed(*NETWORK), "model").train()
    d, inputs = model.discriminator, inputs_for(model)
    d.load_pretrained()
    frozen = [*d._features[0].parameters(), *d._features[0].buffers()]
    mixing = [value for name, value in d.named_buffers() if "heads" not in name]
    heads = list(d.parameters())
    before = [digest(tensors) for tensors in (frozen, mixing, heads)]
    _, optimizer = model.configure_optimizers()
    for _ in range(2):
        d.requires_grad_(True)
        sum(model.objective.discriminator_losses(inputs, 0, update=0).means.values()).backward()
        optimizer.step()
        model.train()
    after = [digest(tensors) for tensors in (frozen, mixing, heads)]
    assert [a == b for a, b in zip(before, after, strict=True)] == [True, True, False]
    assert {id(p) for group in optimizer.param_groups for p in group["params"]} == set(
        map(id, heads)
    )


def test_losses_are_means_of_the_loss_of_each_logit(composed):
    """The hinge is computed before the mean, so that each head has its own margin."""
    model = build(composed(*NETWORK), "model").eval()
    for bias, head in zip((3.0, -3.0, 0.0, 0.0), model.discriminator.heads, strict=True):
        torch.nn.init.constant_(head.classify.bias, bias)
    inputs, loss = inputs_for(model), Hinge()
    real, fake = (model.discriminator(images) for images in model.objective.pairs(inputs))
    found = model.objective.discriminator_losses(inputs, 0, update=0)
    heads = [
        loss.discriminator(*each).mean()
        for each in zip(real.chunk(4, dim=1), fake.chunk(4, dim=1), strict=True)
    ]
    assert found.means["loss_discriminator"].allclose(sum(heads) / 4)
    of_means = loss.discriminator(real.mean(1), fake.mean(1)).mean()
    assert not found.means["loss_discriminator"].allclose(of_means)
    assert found.logits.shape == (*real.shape, 2)
    assert model.objective.generator_losses(inputs).means["loss_generator"].allclose(-fake.mean())


@pytest.mark.parametrize("penalty", ["r1_r2", "gradient", "lecam"])
def test_penalties_reach_the_heads_through_the_frozen_network(composed, penalty):
    model = build(composed(*NETWORK, f"model/penalty={penalty}"), "model")
    losses = model.objective.discriminator_losses(inputs_for(model), 0, update=0).means
    del losses["loss_discriminator"]
    sum(losses.values()).backward()
    assert all(
        p.grad.any() for n, p in model.discriminator.named_parameters() if n.endswith("original")
    )


def test_scores_by_the_frozen_network_are_marked(composed):
    model = build(composed(*NETWORK), "model")
    found = trained_with(model, {"weights_sha256": imagenet_weights.SHA256})
    assert found == {"trained_with_this_network": True}
    assert trained_with(model, {"weights_sha256": "another"}) == {}


def test_missing_weights_are_reported_before_training(run, monkeypatch):
    monkeypatch.setattr(imagenet_weights, "PACKAGE", "no_such_package")
    result = run(*QUICK, "trainer.max_steps=1")
    assert result.code == 1
    assert "network.discriminator: EfficientNet-lite0 needs its ImageNet weights" in result.err
    assert "Traceback" not in result.err


def test_run_resumes_to_the_bit_and_draws_without_the_frozen_weights(run, monkeypatch):
    words = (*QUICK, "model/augmentation=diffaugment")
    assert run(*words, "trainer.max_steps=2", "hydra.run.dir=whole").code == 0
    assert run(*words, "trainer.max_steps=1", "hydra.run.dir=halved").code == 0
    result = run("resume=halved", "trainer.max_steps=2")
    assert result.code == 0, result.err
    whole, halved = weights(Path("whole")), weights(Path("halved"))
    assert whole.keys() == halved.keys()
    assert all(torch.equal(whole[name], halved[name]) for name in whole)
    assert "discriminator.channels_0" in whole
    assert not any("features" in name or "_blocks" in name for name in whole)
    monkeypatch.setattr(imagenet_weights, "PACKAGE", "no_such_package")
    from limner.commands.export import run as export

    assert export(["run=whole", "to=exported"]) == 0
    assert (load("exported").sample(4, seed=0) == load("whole").sample(4, seed=0)).all()


@pytest.mark.slow  # two processes
@pytest.mark.usefixtures("forking")
def test_two_processes_have_the_mixing_of_one(tmp_path, run):
    train = [sys.executable, str(Path(__file__).parents[2] / "train.py"), *QUICK]
    two = subprocess.run(
        [*train, "accelerator=ddp_cpu", "trainer.devices=2", "trainer.max_steps=2",
         "hydra.run.dir=two"],
        cwd=tmp_path, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert two.returncode == 0, two.stderr
    assert run(*QUICK, "trainer.max_steps=2", "hydra.run.dir=one").code == 0
    one, other = weights(Path("one")), weights(tmp_path / "two")
    assert one.keys() == other.keys()
    mixing = [n for n in one if n.startswith(("discriminator.channels", "discriminator.scales"))]
    assert len(mixing) == 7
    assert all(torch.equal(one[name], other[name]) for name in mixing)
