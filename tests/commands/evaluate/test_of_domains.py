"""Scores of a finished run whose model translates between two domains."""

import pytest
import torch
from torch import nn

from limner.callbacks.cycle_strips import CycleGallery
from limner.callbacks.domain_scores import DomainScores
from limner.commands.evaluate.of_domains import score_domains, translated
from support.any_size import FakeDomains, distances

CPU = torch.device("cpu")


class Negative(nn.Module):
    """A perfect model of `FakeDomains`, which counts the calls of each direction."""

    def __init__(self):
        super().__init__()
        self.directions = []

    def transform(self, images, direction):
        """Return the negative of the images."""
        self.directions.append(direction)
        return -images


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LIMNER_CACHE", str(tmp_path))


def scorer():
    return DomainScores(
        scores=["cycle", "psnr"], distances=distances(), perceptual=None,
        baselines=["input", "blend"], slow_megapixels=20.0,
        objective={"name": "val/kid_any", "mode": "min"},
    )  # fmt: skip


def test_outputs_are_those_of_a_validation():
    made = translated(lambda images, way: images + (1 if way == "ab" else 10), 0, 100)
    assert made == {
        "output_b": 1, "output_a": 110, "cycle_a": 11, "cycle_b": 111, "identity_a": 10,
        "identity_b": 101,
    }  # fmt: skip


def test_held_out_pictures_are_scored_with_their_baselines():
    gallery = CycleGallery(0)
    found = score_domains(scorer(), FakeDomains(), Negative(), device=CPU, gallery=gallery)
    assert found["cycle"]["value"] == 0
    assert found["psnr_ab"]["value"] > found["psnr_ab"]["baselines"]["blend"] + 3
    assert found["kid_any"]["protocol"]["split"] == "validation"
    assert found["fid_any_b"]["value"] < found["fid_any_b"]["baselines"]["input"]
    assert set(gallery.extremes) == {"worst of A", "best of A", "worst of B", "best of B"}


def test_training_pictures_are_scored_if_no_others_are_there():
    data = FakeDomains()
    held_out = data.pictures
    data.pictures = lambda letter, split: (
        held_out(letter, "train")[0], held_out(letter, "train")[1][: 3 * (split == "train")]
    )  # fmt: skip
    model = Negative()
    found = score_domains(scorer(), data, model, device=CPU, gallery=CycleGallery(0))
    assert len(model.directions) == 3 * 6
    assert found["psnr_ab"]["protocol"]["num_pictures"] == 3
    assert found["kid_any"]["protocol"]["split"] == "train"
    assert "floor" not in found["kid_any"], "other pictures would be the same pictures"
