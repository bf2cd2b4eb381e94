"""Mean scores over a set of pictures, their cached baselines, and automatic settings."""

import pytest
import torch

from limner.metrics.picture_quality import PictureQuality
from limner.metrics.picture_scores import PictureScores, Tally, entries, facts_of
from support.picture_pairs import FakePairs

CPU = torch.device("cpu")


def settings(**changes):
    return PictureScores(**{
        "scores": ["psnr", "mae"], "colour": "auto", "border": "auto", "perceptual": None,
        "baselines": ["input", "bicubic", "blur"], "slow_megapixels": 20.0,
    } | changes)  # fmt: skip


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
    quality = settings().quality(data)
    assert (quality.colour, quality.border) == (colour, border)
    quality = settings(colour="rgb", border=1).quality(data)
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


def test_baselines_are_computed_once_for_a_set_and_its_settings():
    data, scores = FakePairs(darker), settings()
    quality = scores.quality(data)
    first = scores.of_baselines(data, "validation", quality, device=CPU)
    assert set(first.values) == {"input", "blur"}
    reads = data.num_reads
    assert scores.of_baselines(data, "validation", quality, device=CPU) == first
    assert data.num_reads == reads
    data.kind = "another"
    scores.of_baselines(data, "validation", quality, device=CPU)
    assert data.num_reads == 2 * reads
    other = settings(scores=["mae"])
    other.of_baselines(data, "validation", other.quality(data), device=CPU)
    assert data.num_reads == 3 * reads


def test_entries_state_the_protocol_and_the_baselines_with_their_strengths():
    data, scores = FakePairs(darker), settings()
    quality = scores.quality(data)
    baselines = scores.of_baselines(data, "validation", quality, device=CPU)
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
