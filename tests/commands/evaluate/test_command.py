"""`limner evaluate` of runs and of folders of pictures."""

import functools
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from limner.commands.evaluate.command import run as evaluate
from limner.data import Digits
from limner.errors import UserError
from limner.runs.checkpoints import write
from support import fakes, runs

SMALL = [
    "metrics.batch_size=50", "metrics.num_splits=2", "metrics.kid_subset_size=50",
    "metrics.scores=[fid,kid,inception_score,prdc]", "num_measured=100",
]  # fmt: skip


def entries(folder: Path) -> dict:
    return json.loads((folder / "evaluation.json").read_text())


@pytest.fixture(scope="module")
def digits(tmp_path_factory) -> Path:
    """Make two folders of real digits and one folder of noise, with class folders."""
    root = tmp_path_factory.mktemp("digits")
    pictures = Digits().pictures()["train"]
    random = np.random.default_rng(0)
    for i in range(1000):
        into = root / ("a" if i % 2 else "b") / str(pictures.labels[i])
        into.mkdir(parents=True, exist_ok=True)
        pictures.read(i).save(into / f"{i}.png")
    (root / "noise").mkdir()
    for i in range(300):
        pixels = random.integers(0, 256, (8, 8), dtype=np.uint8)
        Image.fromarray(pixels).save(root / "noise" / f"{i}.png")
    fakes.images(root / "large", 60, size=(16, 16))
    fakes.images(root / "few", 1, mode="L")
    return root


@pytest.fixture(scope="module")
def vae(tmp_path_factory) -> Path:
    return runs.trained(
        tmp_path_factory.mktemp("vae"), "model=vae", "trainer.max_steps=22", "metrics=classifier",
        "metrics.num_samples=200", "metrics.batch_size=50", runs.JUDGE,
        "~callbacks.pictures", "~callbacks.codes",
    )  # fmt: skip


@pytest.fixture(scope="module")
def untrained(tmp_path_factory) -> Callable[..., Path]:
    """Return a function that returns a run of 2 updates with these overrides."""

    @functools.cache
    def make(*overrides: str) -> Path:
        own = "~callbacks.pictures", "~callbacks.codes", *overrides
        return runs.trained(tmp_path_factory.mktemp("run"), *own)

    return make


def test_evaluate_scores_real_images_best_and_noise_worst(digits, tmp_path):
    found = {}
    for name in ("b", "noise"):
        to = tmp_path / name
        words = [f"generated={digits / name}", f"reference={digits / 'a'}", f"to={to}"]
        words += ["metrics=classifier", runs.JUDGE, "measures=[diversity]"]
        assert evaluate([*words, *SMALL]) == 0
        found[name] = {key: entry["value"] for key, entry in entries(to).items()}
    real, noise = found["b"], found["noise"]
    for score in ("fid_classifier", "kid_classifier", "wasserstein_texture", "wasserstein_shape"):
        assert real[score] < noise[score] / 2, score
    for score in ("precision_classifier", "coverage_classifier", "inception_score_classifier"):
        assert real[score] > noise[score], score


def test_measures_are_computed_without_scores(vae, tmp_path):
    words = [f"run={vae}", "metrics=none", "num_measured=20", f"to={tmp_path}"]
    assert evaluate([*words, "measures=[all]"]) == 0
    found = entries(tmp_path)
    expected = {"elbo", "active_units", "wasserstein_shape", "num_parameters"}
    assert expected <= found.keys()
    assert not [name for name in found if "fid" in name]
    with pytest.raises(
        UserError, match=r"set metrics=classifier, .* or\nmetrics=inception, or measures="
    ):
        evaluate(words)


def test_evaluate_scores_a_run_as_its_training_did(vae, tmp_path):
    assert evaluate([f"run={vae}", f"to={tmp_path}"]) == 0
    trained = json.loads((vae / "scores.json").read_text())
    for name, entry in entries(tmp_path).items():
        assert entry["value"] == pytest.approx(trained[f"val/{name}"]["value"], rel=1e-6)
        assert entry["protocol"] == trained[f"val/{name}"]["protocol"]


def test_evaluate_scores_the_requested_checkpoint(vae, tmp_path):
    copy = Path(shutil.copytree(vae, tmp_path / "copy"))
    last = torch.load(runs.last_checkpoint(copy), weights_only=True)
    write({**last, "global_step": 7}, copy / "checkpoints" / "best.ckpt")
    for checkpoint, update in ((None, 7), ("best", 7), ("last", 22)):
        words = [f"checkpoint={checkpoint}"] if checkpoint else []
        assert evaluate([f"run={copy}", "metrics.scores=[fid]", *words]) == 0
        assert entries(copy)["fid_classifier"]["protocol"]["update"] == update
    with pytest.raises(UserError, match="checkpoint=first: choose best or last"):
        evaluate([f"run={copy}", "checkpoint=first"])
    with pytest.raises(UserError, match="checkpoint=best needs a run"):
        evaluate(["generated=a", "reference=b", "checkpoint=best"])


def test_evaluate_overrides_values_of_the_run_config(digits, untrained, tmp_path):
    """This includes keys that the default data set lacks, such as the place of the images."""
    folder = untrained("network=mlp", "data=image_folder", f"data.path={digits / 'a'}")
    words = [f"run={folder}", "metrics=classifier", f"data.path={digits / 'b'}"]
    words += ["metrics.num_samples=50", "metrics.features.num_updates=20", f"to={tmp_path}"]
    assert evaluate(words) == 0
    assert entries(tmp_path)["fid_classifier"]["protocol"]["num_samples"] == 50


def test_evaluate_computes_every_measure_of_a_vae(vae, tmp_path):
    words = [f"run={vae}", "measures=[all]", f"to={tmp_path}", "num_measured=50"]
    assert evaluate(words) == 0
    values = {name: entry["value"] for name, entry in entries(tmp_path).items()}
    bounds = [values["elbo"], *(values[f"log_likelihood_iw{k}"] for k in (5, 50, 500))]
    assert bounds == sorted(bounds), "more codes give a tighter bound"
    expected = values["elbo_reconstruction"] - values["elbo_kl"]
    assert values["elbo"] == pytest.approx(expected)
    assert 0 <= values["active_units"] <= 32
    assert 0 <= values["linear_probe_accuracy"] <= 1
    assert values["num_trained_parameters"] > 10_000
    assert values["reconstruction_fid_classifier"] < values["fid_classifier"]
    others = {
        "pairwise_similarity_ssim",
        "pairwise_similarity_ssim_real",
        "memorisation_z",
        "reconstruction_psnr",
    }
    assert others <= set(values)
    assert (tmp_path / "nearest_training_images.png").is_file()


@pytest.mark.slow
@pytest.mark.slow
def test_evaluate_measures_a_run_on_rendered_images(untrained, tmp_path):
    """The images of data=shapes are in no file and no store."""
    few = [f"data.source.num_{split}=80" for split in ("train", "validation", "test")]
    folder = untrained("network=mlp", "data=shapes", "data.image_shape=[3,16,16]", *few)
    words = ["measures=[memorisation,diversity,reconstruction]", "num_measured=60"]
    assert evaluate([f"run={folder}", f"to={tmp_path}", *words]) == 0
    found = entries(tmp_path)
    assert {"memorisation_z", "reconstruction_psnr"} <= set(found)


def test_evaluate_judges_labels_by_gan_train_and_gan_test(digits, tmp_path):
    """With real images in place of samples, both accuracies are far above chance."""
    words = [f"generated={digits / 'b'}", f"reference={digits / 'a'}", "metrics=classifier"]
    words += ["metrics.num_splits=2", "measures=[gan_train]"]
    evaluate([*words, runs.JUDGE, f"to={tmp_path}"])
    values = {name: entry["value"] for name, entry in entries(tmp_path).items()}
    assert values["gan_train_accuracy"] > 0.3
    assert values["gan_test_accuracy"] > 0.3


@pytest.mark.slow
def test_evaluate_judges_a_conditional_run_by_its_drawn_labels(untrained, tmp_path):
    folder = untrained("model=cgan", "network=mlp")
    words = [f"run={folder}", "metrics=classifier", "metrics.num_samples=200"]
    words += [runs.JUDGE, "measures=[gan_train]", f"to={tmp_path}"]
    evaluate(words)
    found = entries(tmp_path)["gan_train_accuracy"]
    assert 0 <= found["value"] <= 1
    assert found["protocol"]["num_samples"] == 200
    assert found["protocol"]["weights"] == "ema"


@pytest.mark.slow
def test_evaluate_passes_the_classes_to_a_conditional_autoencoder(untrained, tmp_path):
    folder = untrained("model=cvae", "network=mlp")
    words = [f"run={folder}", "metrics=classifier", "metrics.num_samples=100", "num_measured=60"]
    words += [runs.JUDGE, f"to={tmp_path}"]
    evaluate([*words, "measures=[likelihood,latents,reconstruction]"])
    found = entries(tmp_path)
    assert found["log_likelihood_iw500"]["protocol"]["given"] == "its class"
    names = "elbo", "active_units", "linear_probe_accuracy", "reconstruction_psnr"
    assert set(names) < set(found)


@pytest.mark.slow
def test_evaluate_computes_the_other_measures_when_a_model_cannot_draw(untrained, tmp_path):
    folder = untrained("model=vqvae", "network.encoder.width=8", "network.decoder.width=8")
    words = [f"run={folder}", "metrics=classifier", "metrics.num_samples=100", "num_measured=60"]
    words += [runs.JUDGE, f"to={tmp_path}"]
    with pytest.raises(UserError, match="draws no images"):
        evaluate(words)
    evaluate([*words, "measures=[reconstruction,diversity]"])
    found = entries(tmp_path)
    assert "reconstruction_psnr" in found
    assert not {"fid_classifier", "wasserstein_colour"} & set(found)


def test_evaluate_refuses_lpips_without_its_weights_by_a_message(vae, tmp_path, monkeypatch):
    def offline(*arguments, **options):
        raise OSError("no network")

    monkeypatch.setattr("torch.hub.urlopen", offline)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(UserError, match="LPIPS"):
        evaluate([f"run={vae}", "measures=[pairwise_similarity]", "lpips=alex", f"to={tmp_path}"])


def test_second_evaluation_reads_no_real_image(vae, tmp_path, monkeypatch):
    evaluate([f"run={vae}", f"to={tmp_path}"])

    def touched(self, indices):
        raise AssertionError("a real image was read")

    monkeypatch.setattr("limner.data.store.MemoryStore.gather", touched)
    evaluate([f"run={vae}", f"to={tmp_path}"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "Give run=FOLDER, or generated=FOLDER_OR_ZIP with reference="),
        (["generated=b"], "Give run=FOLDER"),
        (["run=nowhere"], "run=nowhere: there is no run in this folder"),
        (["generated=b", "reference=digit"], "did you mean digits?"),
        (["generated=b", "reference=a", "measures=[beauty]"], "measures=beauty: there is no such"),
        (["generated=b", "reference=a", "speed=1"], "speed: there is no such key"),
        (
            ["generated=large", "reference=a"],
            "the images are 3x16x16, but the reference images are 1x8x8",
        ),
        (["generated=few", "reference=a", "metrics=classifier"], "1 generated images: "),
        (["generated=b", "reference=few"], "These images have no labels for a classifier"),
        (
            ["generated=b", "reference=a", "metrics=none"],
            "No score of images is chosen: set metrics=classifier",
        ),
    ],
)
def test_evaluate_refuses_mistakes(digits, monkeypatch, words, message):
    monkeypatch.chdir(digits)
    with pytest.raises(UserError) as error:
        evaluate(words)
    assert message in str(error.value)


def test_evaluate_resizes_images_when_asked(digits, tmp_path):
    words = [f"generated={digits / 'large'}", f"reference={digits / 'a'}", f"to={tmp_path}"]
    evaluate(
        [*words, "image_shape=[1,8,8]", "metrics=classifier", "metrics.num_splits=2", runs.JUDGE]
    )
    protocol = entries(tmp_path)["fid_classifier"]["protocol"]
    assert protocol["reference"]["image_shape"] == [1, 8, 8]


def test_evaluate_answers_the_old_name_of_a_measure_with_the_new_one():
    with pytest.raises(UserError, match="sameness: this measure is now called pairwise_sim"):
        evaluate(["run=nowhere", "measures=[sameness]"])


def test_evaluate_gives_the_floor_of_real_images_for_folders_that_are_sorted_by_class(
    digits, tmp_path, capfd
):
    """Both halves and the generated images are chosen by a shuffle, and are equally many."""
    words = [f"generated={digits / 'b'}", f"reference={digits / 'a'}", f"to={tmp_path}"]
    assert evaluate([*words, "metrics=lite0", "metrics.scores=[fid]"]) == 0
    found = entries(tmp_path)["fid_lite0"]
    assert found["protocol"]["num_samples"] == 250
    assert found["protocol"]["reference"]["num_images"] == 250
    assert 0.8 < found["value"] / found["floor"] < 1.25
    assert "real images" in capfd.readouterr().out
