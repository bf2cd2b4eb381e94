"""Baselines see the model's input, fit the task, and have the best strength of their kind."""

from types import SimpleNamespace

import pytest
import torch

from limner.console import Bar
from limner.errors import UserError
from limner.metrics.baseline_scores import baseline_scores, cached_baselines, fitting
from limner.metrics.baselines import BASELINES, Pair, enlarged
from limner.metrics.picture_quality import PictureQuality
from limner.metrics.picture_scores import quality_for
from limner.pixels import to_uint8
from support.picture_pairs import FakePairs, smooth

PSNR = PictureQuality(scores=["psnr"], colour="rgb", border=0, perceptual=None)


def noisy(sigma):
    def make(target, number):
        generator = torch.Generator().manual_seed(number)
        return target + sigma / 127.5 * torch.randn(target.shape, generator=generator)

    return make


def test_baselines_show_the_pictures_that_are_done(monkeypatch):
    shown = []
    monkeypatch.setattr(Bar, "update", lambda bar, completed: shown.append(completed))
    batches = lambda: FakePairs(noisy(25)).whole_pictures("validation", device="cpu")  # noqa: E731
    baseline_scores(batches, ["input"], PSNR, slow_megapixels=20.0, total=3)
    assert shown == [1, 2, 3] * 2


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
    assert "blend" in fitting(names, scale=1, kinds=[], has_mean=True)
    restoring = ["input", "blur", "median", "unsharp", "nl_means"]
    assert fitting(names, scale=1, kinds=["gaussian noise"]) == restoring
    assert fitting(names, scale=1, kinds=["holes"]) == [*restoring, "biharmonic", "pull_push"]
    assert fitting(names, scale=1, kinds=["low light"]) == [*restoring, "gamma"]
    with pytest.raises(UserError, match="bicubics: choose from input, bicubic"):
        fitting(["bicubics"], scale=4, kinds=[])


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LIMNER_CACHE", str(tmp_path))


def cached(data, names=("input", "bicubic", "blur"), scores=("psnr", "mae")):
    quality = quality_for(data, scores=scores)
    return cached_baselines(
        data, "validation", quality, names, slow_megapixels=20.0, device=torch.device("cpu")
    )


@pytest.mark.usefixtures("cache")
def test_baselines_are_computed_once_for_a_set_and_its_settings():
    data = FakePairs(lambda target, number: target - 0.1 * (number + 1))
    first = cached(data)
    assert set(first.values) == {"input", "blur"}
    reads = data.num_reads
    assert cached(data) == first
    assert data.num_reads == reads
    data.kind = "another"
    cached(data)
    assert data.num_reads == 2 * reads
    cached(data, scores=["mae"])
    assert data.num_reads == 3 * reads


class OneSize(FakePairs):
    """Pictures of one size; all training targets are `mean`, up to a colour."""

    def __init__(self, mean, *, inputs, training_size=(32, 44)):
        super().__init__(lambda target, number: inputs, sizes=((32, 44),) * 3)
        self.mean, self.training_size = mean, training_size

    def pictures(self, split):
        """Return a store whose pictures 0 to 2 are scored, and 3 and 4 are trained on."""
        sizes = torch.tensor([*self.sizes, self.training_size, self.training_size])
        shifts = {3: -0.1, 4: 0.1}
        store = SimpleNamespace(
            fingerprint=f"{self.mean.sum()}", sizes=sizes,
            picture=lambda i: to_uint8(self.mean + shifts[i]),
        )  # fmt: skip
        return store, torch.tensor([3, 4]) if split == "train" else torch.arange(3)


@pytest.mark.usefixtures("cache")
def test_blend_is_the_best_share_of_the_mean_training_target():
    targets = torch.stack([smooth(32, 44, seed=i) for i in range(3)])
    data = OneSize(0.5 * targets.mean(0), inputs=-targets.mean(0, keepdim=True))
    found = cached(data, names=["input", "blend"])
    assert found.values["blend"]["psnr"] > found.values["input"]["psnr"] + 3
    assert found.facts["blend"].startswith("share 1 (best of 0.1")
    useless = OneSize(torch.full((3, 32, 44), 0.8), inputs=targets.mean(0, keepdim=True))
    assert cached(useless, names=["blend"]).facts["blend"].startswith("share 0.1 ")
    other = OneSize(0.4 * targets.mean(0), inputs=-targets.mean(0, keepdim=True))
    again = cached(other, names=["input", "blend"])
    assert again.values["blend"] != found.values["blend"], "other training pictures, another mean"


@pytest.mark.usefixtures("cache")
def test_blend_is_left_out_if_pictures_have_several_sizes():
    mean = torch.zeros(3, 32, 44)
    data = OneSize(mean, inputs=mean[None], training_size=(40, 44))
    assert set(cached(data, names=["input", "blend"]).values) == {"input"}
    varying = FakePairs(lambda target, number: target)
    assert set(cached(varying, names=["input", "blend"]).values) == {"input"}


@pytest.mark.usefixtures("cache")
def test_mean_target_is_cut_to_a_multiple_of_the_scale():
    data = FakePairs(lambda target, number: target[:, :, ::2, ::2], scale=2, sizes=((32, 44),) * 3)
    store = SimpleNamespace(
        fingerprint="", sizes=torch.tensor([[33, 45]] * 5),
        picture=lambda i: to_uint8(torch.zeros(3, 33, 45)),
    )  # fmt: skip
    data.pictures = lambda split: (store, torch.arange(2))
    assert "blend" in cached(data, names=["blend"]).values
