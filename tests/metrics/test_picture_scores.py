"""Mean scores over a set of pictures, their cached baselines, and automatic settings."""

from types import SimpleNamespace

import pytest
import torch

from limner.metrics.baseline_scores import cached_baselines
from limner.metrics.picture_quality import PictureQuality
from limner.metrics.picture_scores import (
    Tally,
    add_pictures,
    entries,
    facts_of,
    other_targets,
    quality_for,
)
from limner.metrics.set_distances import Comparison, SetTally
from support.any_size import distances
from support.picture_pairs import FakePairs

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LIMNER_CACHE", str(tmp_path))


def darker(target, number):
    return target - 0.1 * (number + 1)


@pytest.mark.parametrize(
    ("scale", "channels", "colour", "border"),
    [(1, 3, "rgb", 0), (4, 3, "y", 4), (3, 1, "rgb", 3)],
)
def test_automatic_colour_and_border_follow_the_scale(scale, channels, colour, border):
    data = FakePairs(darker, scale=scale)
    data.image_shape = [channels, 32, 32]
    quality = quality_for(data, scores=["psnr"])
    assert (quality.colour, quality.border) == (colour, border)
    quality = quality_for(data, scores=["psnr"], colour="rgb", border=1)
    assert (quality.colour, quality.border) == ("rgb", 1)


def test_tally_is_the_mean_over_pictures_whatever_their_size_and_batch():
    quality = PictureQuality(scores=["mae"], colour="rgb", border=0, perceptual=None)
    tally, together = Tally(quality), Tally(quality)
    images = [torch.full((1, 3, size, size), value) for size, value in ((4, 0.2), (40, 0.4))]
    for target in images:
        tally.add(torch.zeros_like(target), {"image": target})
    assert tally.means()["mae"] == pytest.approx(37.5, rel=1e-5)  # 25 and 50 levels, rounded
    pair = torch.cat([images[0], images[0] * 2])
    together.add(torch.zeros_like(pair), {"image": pair})
    assert together.means() == pytest.approx(tally.means())
    repeated = {"image": pair, "weight": torch.zeros(2)}
    together.add(pair, repeated)
    assert together.sums[0] == 2
    assert Tally(quality).means() == {}


def test_entries_state_the_protocol_and_the_baselines_with_their_strengths():
    data = FakePairs(darker)
    quality = quality_for(data, scores=["psnr", "mae"])
    baselines = cached_baselines(
        data, "validation", quality, ["input", "blur"], slow_megapixels=20.0, device=CPU
    )
    found = entries(
        {"psnr": 30.0}, quality, baselines=baselines, facts=facts_of(data, "validation", 3)
    )
    protocol = found["psnr"]["protocol"]
    assert found["psnr"]["value"] == 30.0
    assert found["psnr"]["baselines"] == {n: v["psnr"] for n, v in baselines.values.items()}
    assert protocol["baselines"]["blur"].startswith("sigma ")
    expected = {
        "data": "fake", "split": "validation", "num_pictures": 3, "scale": 1, "border": 0,
        "colour": "rgb", "rounding": "8 bits", "unit": "dB",
        "degradation": {"part": {"kind": "made up"}},
    }  # fmt: skip
    assert expected.items() <= protocol.items()
    assert len(protocol["pictures"]) == 16


def test_sets_of_a_batch_are_the_outputs_the_targets_and_the_enlarged_inputs():
    data = FakePairs(lambda target, number: target[:, :1, ::2, ::2], scale=2)
    sets = SetTally(distances(), {"": Comparison("output", "target", "input")})
    sets.start()
    for batch in data.whole_pictures("validation", device=CPU):
        add_pictures(sets, batch["image"], batch)
    found = sets.entries(CPU, others={})
    assert found["fid_any"]["value"] == pytest.approx(0, abs=1e-6)
    assert found["fid_any"]["baselines"]["input"] > 0


def test_other_targets_are_training_pictures_that_no_score_has_seen():
    data = FakePairs(darker)
    assert other_targets(data, "validation", 2) is None, "the fake store has no pictures"
    pictures = [torch.full((3, 4, 4), i, dtype=torch.uint8) for i in range(9)]
    store = SimpleNamespace(fingerprint="", picture=pictures.__getitem__)
    data.pictures = lambda split: (store, torch.arange(6) if split == "train" else torch.arange(3))
    found = other_targets(data, "validation", 3)
    assert len(found) == 3
    assert [int(x[0, 0, 0]) for x in found] == sorted(int(x[0, 0, 0]) for x in found)
    assert other_targets(data, "validation", 7) is None
    assert other_targets(data, "train", 3) is None
