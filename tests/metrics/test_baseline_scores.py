"""Baselines see the model's input, fit the task, and have the best strength of their kind."""

import pytest
import torch

from limner.errors import UserError
from limner.metrics.baseline_scores import baseline_scores, fitting
from limner.metrics.baselines import BASELINES, Pair, enlarged
from limner.metrics.picture_quality import PictureQuality
from support.picture_pairs import FakePairs

PSNR = PictureQuality(scores=["psnr"], colour="rgb", border=0, perceptual=None)


def noisy(sigma):
    def make(target, number):
        generator = torch.Generator().manual_seed(number)
        return target + sigma / 127.5 * torch.randn(target.shape, generator=generator)

    return make


def scored(data, *names, limit=20.0, quality=PSNR):
    batches = lambda: data.whole_pictures("validation", device=torch.device("cpu"))  # noqa: E731
    return baseline_scores(batches, names, quality, slow_megapixels=limit)


def test_input_is_scored_as_it_is_and_enlarged_by_copies():
    data = FakePairs(lambda target, number: target + 10 / 127.5)
    found = scored(data, "input")
    assert found.values["input"]["psnr"] == pytest.approx(28.13, abs=0.01)  # 20 log10(255 / 10)
    assert found.num_pictures == 3
    small = torch.tensor([[[0.1, 0.2], [0.3, 0.4]]])
    large = enlarged(Pair(small, None, torch.zeros(1, 6, 6)))
    assert torch.equal(large, small.repeat_interleave(3, 1).repeat_interleave(3, 2))


def test_every_baseline_of_denoising_beats_the_input_and_knows_its_strength():
    found = scored(FakePairs(noisy(25)), "input", "blur", "median", "nl_means")
    psnr = {name: each["psnr"] for name, each in found.values.items()}
    assert min(psnr[name] for name in ("blur", "median", "nl_means")) > psnr["input"] + 2
    assert psnr["input"] == pytest.approx(20.2, abs=0.2)  # 20 log10(255 / 25), a little clipping
    assert found.facts["input"] == ""
    assert found.facts["median"].startswith("size ")


@pytest.mark.parametrize("name", ["blur", "median", "unsharp", "nl_means"])
def test_strength_of_a_baseline_is_the_best_of_its_grid(name, monkeypatch):
    data = FakePairs(blurred if name == "unsharp" else noisy(15))
    best = scored(data, name).values[name]["psnr"]
    baseline = BASELINES[name]
    for strength in baseline.grid:
        monkeypatch.setitem(BASELINES, name, baseline._replace(grid=(strength,)))
        assert scored(data, name).values[name]["psnr"] <= best + 1e-6, strength


def test_blur_of_more_noise_is_stronger():
    sigmas = [scored(FakePairs(noisy(s)), "blur").facts["blur"].split()[1] for s in (2, 60)]
    assert float(sigmas[0]) < float(sigmas[1])


def blurred(target, number):
    return BASELINES["blur"].apply(Pair(target[0], None, target[0]), 1.5)[None]


def test_unsharp_masking_helps_where_the_input_is_blurred():
    found = scored(FakePairs(blurred), "input", "unsharp")
    assert found.values["unsharp"]["psnr"] > found.values["input"]["psnr"] + 1


def test_slow_baselines_are_left_out_with_a_warning_above_the_limit(caplog):
    data = FakePairs(noisy(25))  # 4,288 pixels
    assert set(scored(data, "input", "nl_means", limit=0.0043).values) == {"input", "nl_means"}
    assert not caplog.records
    assert set(scored(data, "input", "nl_means", limit=0.0042).values) == {"input"}
    assert "metrics.slow_megapixels=0.0042 is the limit" in caplog.text


def test_baselines_that_fit_depend_on_the_scale_and_the_degradation():
    names = list(BASELINES)
    assert fitting(names, scale=4, kinds=["resize"]) == ["input", "bicubic", "blur"]
    restoring = ["input", "blur", "median", "unsharp", "nl_means"]
    assert fitting(names, scale=1, kinds=["gaussian noise"]) == restoring
    assert fitting(names, scale=1, kinds=["holes"]) == [*restoring, "biharmonic"]
    assert fitting(names, scale=1, kinds=["low light"]) == [*restoring, "gamma"]
    with pytest.raises(UserError, match="bicubics: choose from input, bicubic"):
        fitting(["bicubics"], scale=4, kinds=[])
