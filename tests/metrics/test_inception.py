"""Inception gives torch-fidelity's features and scores from the same weight file.

The published weights are a download; seeded random weights in the same format replace them.
"""

import os
import pickle
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch
from PIL import Image
from torch_fidelity import metric_fid, metric_isc, metric_kid
from torch_fidelity.feature_extractor_inceptionv3 import (
    URL_INCEPTION_V3,
    FeatureExtractorInceptionV3,
)

from limner.errors import UserError
from limner.metrics.evaluator import Evaluator
from limner.metrics.inception import InceptionFeatures, resize_clean

NUM, SIZE = 8, 32


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    """Return a download folder with random weights under the published file name."""
    before, folder = torch.hub.get_dir(), tmp_path_factory.mktemp("hub")
    torch.hub.set_dir(str(folder))
    (folder / "checkpoints").mkdir()
    patch = pytest.MonkeyPatch()
    module = "torch_fidelity.feature_extractor_inceptionv3.load_state_dict_from_url"
    patch.setattr(module, lambda *_, **__: {})
    patch.setattr(FeatureExtractorInceptionV3, "load_state_dict", lambda self, state: None)
    torch.manual_seed(0)
    network = FeatureExtractorInceptionV3("inception", ["2048"])
    patch.undo()
    for name, tensor in network.state_dict().items():
        # Otherwise the features of all images would be nearly equal at the end.
        if name.endswith("conv.weight"):
            torch.nn.init.kaiming_normal_(tensor)
    torch.save(network.state_dict(), folder / "checkpoints" / Path(URL_INCEPTION_V3).name)
    yield folder
    torch.hub.set_dir(before)


def prepared(resize="tf1"):
    features = InceptionFeatures(resize=resize)
    features.prepare(real=None)
    return features


@pytest.fixture(scope="module")
def images():
    """Return NUM images of blobs of two kinds; the first half is real, the second generated."""
    noise = torch.randn(NUM, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    blurred = torch.nn.functional.avg_pool2d(noise, 5, stride=1, padding=2)
    mixed = torch.cat([noise[: NUM // 2], noise[NUM // 2 :] + 3 * blurred[NUM // 2 :]])
    return mixed.mul(40).add(128).clamp(0, 255).to(torch.uint8)


@pytest.fixture(scope="module")
def theirs(hub, images):
    """Return torch-fidelity's features and logits of the images."""
    network = FeatureExtractorInceptionV3("inception", ["2048", "logits_unbiased"])
    with torch.no_grad():
        parts = [network(part) for part in images.split(4)]
    return [torch.cat(each) for each in zip(*parts, strict=True)]


class Recorded(InceptionFeatures):
    """A feature network that records its outputs."""

    def __call__(self, images):
        self.seen.append(super().__call__(images))
        return self.seen[-1]


@pytest.fixture(scope="module")
def ours(hub, images, tmp_path_factory):
    """Return the scores of the second half against the first half, and the features used."""
    network = Recorded(resize="tf1")
    network.prepare(real=None)
    network.seen = []
    evaluator = Evaluator(
        features=network, scores=["fid", "inception_score", "kid"], batch_size=4,
        max_features=NUM, num_splits=2, kid_num_subsets=5, kid_subset_size=3, num_neighbours=3,
    )  # fmt: skip
    store = type("Store", (), {"fingerprint": "blobs", "gather": lambda _, i: images[i]})()
    half, cpu = NUM // 2, torch.device("cpu")
    patch = pytest.MonkeyPatch()
    patch.setenv("LIMNER_CACHE", str(tmp_path_factory.mktemp("reference")))
    reference = evaluator.reference(store, torch.arange(half), about={}, device=cpu)
    patch.undo()
    scores = evaluator.score(
        lambda start, stop: images[half + start : half + stop],
        NUM - half,
        references={"": reference},
        device=cpu,
    )
    return scores, [torch.cat(each) for each in zip(*network.seen, strict=True)]


@pytest.mark.slow
def test_inception_features_equal_torch_fidelitys(ours, theirs):
    for mine, other in zip(ours[1], theirs, strict=True):
        assert mine.shape == (NUM, other.shape[1])
        assert other.std(0).mean() > 0.01 * other.abs().mean(), "all images look equal"
        torch.testing.assert_close(mine, other, rtol=1e-5, atol=1e-6 * other.abs().max().item())


@pytest.mark.slow
def test_inception_scores_equal_torch_fidelitys(ours, theirs):
    """The whole computation runs on the same pictures."""
    generated, real = theirs[0][NUM // 2 :].double(), theirs[0][: NUM // 2].double()
    fid = metric_fid.fid_statistics_to_metric(
        *(metric_fid.fid_features_to_statistics(x) for x in (generated, real)), verbose=False
    )
    kid = metric_kid.kid_features_to_metric(
        generated, real, kid_subsets=5, kid_subset_size=3, verbose=False
    )
    score = metric_isc.isc_features_to_metric(theirs[1][NUM // 2 :], splits=2)
    expected = {
        "fid": fid["frechet_inception_distance"],
        "kid": kid["kernel_inception_distance_mean"],
        "inception_score": score["inception_score_mean"],
    }
    found = ours[0]
    assert {n: s.value for n, s in found.items()} == pytest.approx(expected, rel=1e-4)
    assert found["kid"].std == pytest.approx(kid["kernel_inception_distance_std"], rel=1e-4)
    assert found["inception_score"].std == pytest.approx(
        score["inception_score_std"], rel=1e-4, abs=1e-9
    )
    assert min(expected["fid"], expected["inception_score"] - 1) > 0, "the scores are trivial"


@pytest.mark.parametrize("resize", ["tf1", pytest.param("clean", marks=pytest.mark.slow)])
def test_inception_accepts_grey_and_colour(hub, resize):
    network = prepared(resize)
    grey = torch.randint(0, 256, (2, 1, 20, 20), dtype=torch.uint8)
    seen = network(grey)
    assert torch.equal(seen.features, network(grey.expand(-1, 3, -1, -1)).features)
    with pytest.raises(UserError, match="not 4"):
        network(grey.expand(-1, 4, -1, -1))


def test_inception_protocol_states_the_resize(hub):
    tf1, clean = prepared("tf1").protocol(), prepared("clean").protocol()
    assert "TensorFlow" in tf1.pop("resize")
    assert "clean-fid" in clean.pop("resize")
    assert tf1 == clean
    with pytest.raises(ValueError, match="choose tf1 or clean"):
        InceptionFeatures(resize="none")


@pytest.mark.parametrize("size", [(32, 32), (299, 299), (401, 350), (640, 480)])
def test_clean_resize_equals_the_resize_of_pil_on_floats(size):
    images = torch.randint(0, 256, (2, 3, *size), dtype=torch.uint8)
    resized = resize_clean(images, (299, 299))
    for image, ours in zip(images, resized, strict=True):
        for channel, mine in zip(image, ours, strict=True):
            picture = Image.fromarray(channel.float().numpy())
            expected = np.asarray(picture.resize((299, 299), Image.Resampling.BICUBIC))
            np.testing.assert_allclose(mine, expected.clip(0, 255), atol=1e-2)


class Hostile:
    """A pickle that would leave a file if it were executed."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("kind", ["hostile", "truncated", "other", "pipe", "large"])
def test_weight_file_with_other_content_is_named_and_not_executed(hub, tmp_path, kind):
    name = Path(URL_INCEPTION_V3).name
    good, before = hub / "checkpoints" / name, torch.hub.get_dir()
    bad, trace = tmp_path / "checkpoints" / name, tmp_path / "executed"
    bad.parent.mkdir()
    if kind == "hostile":
        bad.write_bytes(pickle.dumps(Hostile(trace)))
    elif kind == "truncated":
        bad.write_bytes(good.read_bytes()[:10_000])
    elif kind == "pipe":
        os.mkfifo(bad)
    elif kind == "large":
        with bad.open("wb") as file:
            file.truncate(2**30 + 1)
    else:
        torch.save({"fc.weight": torch.zeros(2)}, bad)
    torch.hub.set_dir(str(tmp_path))
    try:
        with pytest.raises(UserError, match="damaged, or is not Inception's weights") as error:
            prepared()
    finally:
        torch.hub.set_dir(before)
    assert str(bad) in str(error.value)
    assert not trace.exists()


def test_inception_states_what_to_do_without_a_network(monkeypatch, tmp_path):
    def offline(*_, **__):
        raise URLError("no network")

    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(UserError, match="could not be downloaded"):
        prepared()


def test_weight_file_is_the_published_one():
    assert URL_INCEPTION_V3.endswith("weights-inception-2015-12-05-6726825d.pth")
