"""The start of a network from the weights of another run."""

import shutil
from pathlib import Path

import pytest
import torch
import yaml

import limner
from limner.commands import export
from limner.errors import UserError
from limner.pretrained.initial_weights import advice_without
from support.photos import write_photos
from support.runs import last_checkpoint

SMALL = ["network.restorer.width=8", "network.restorer.num_blocks=1"]
COMMON = ["data.crop_size=24", "data.scale=2", "data.batch_size=4", "data.crops_per_picture=2",
          "metrics=loss", "accelerator=cpu", "logger=none", "~callbacks.progress",
          "~callbacks.pictures", "trainer.max_steps=2"]  # fmt: skip
SRGAN = ["model=srgan", "model/losses=pixel", "network.discriminator.width=4"]


@pytest.fixture
def words(tmp_path):
    folder = write_photos(tmp_path / "photos", 8, sizes=[(30, 26), (28, 40)])
    return ["data=super_resolution", f"data.path={folder}", *COMMON]


@pytest.fixture
def start(run, words):
    """Train a super-resolution run in the folder `start`."""
    result = run("model=super_resolution", *words, *SMALL, "hydra.run.dir=start")
    assert result.code == 0, result.err
    return "start"


def state(folder, prefix):
    saved = torch.load(last_checkpoint(Path(folder)), weights_only=True)["state_dict"]
    return {n.removeprefix(prefix): w for n, w in saved.items() if n.startswith(prefix)}


def test_model_starts_from_the_average_of_the_weights_of_the_run(start, words):
    parts = limner.build(*SRGAN, *words, *SMALL, f"model.initial_weights={start}")
    expected = state(start, "ema.network.")
    raw = state(start, "network.")
    assert any(not torch.equal(expected[name], raw[name]) for name in raw)
    for network in (parts.model.network, parts.model.ema.network):
        found = network.state_dict()
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[name], weight) for name, weight in expected.items())


def test_run_starts_there_and_resumes_without_the_first_run(run, start, words):
    """The rate is 0, so the run keeps the weights from which it starts."""
    given = [*SRGAN, *words, *SMALL, "optimizer.lr=0"]
    result = run(*given, f"model.initial_weights={start}", "hydra.run.dir=gan")
    assert result.code == 0, result.err
    assert "random weights" not in result.out + result.err
    expected = state(start, "ema.network.")
    shutil.rmtree(start)
    resumed = run("resume=gan", "trainer.max_steps=4")
    assert resumed.code == 0, resumed.err
    found = state("gan", "network.")
    assert all(torch.equal(found[name], weight) for name, weight in expected.items())
    image = torch.zeros(9, 13, 3, dtype=torch.uint8).numpy()
    model = limner.load("gan")
    assert model.transform(image).shape == (18, 26, 3)
    assert (model.transform(image) == model.transform(image)).all()
    assert export.run(["run=gan", "to=shared"]) == 0
    assert (
        yaml.safe_load(Path("shared/config.yaml").read_text())["model"]["initial_weights"]
        == Path(start).name
    ), "an export does not contain the path on this machine"
    assert (limner.load("shared").transform(image) == model.transform(image)).all()


def test_super_resolution_gan_without_initial_weights_warns(run, words):
    result = run(*SRGAN, *words, *SMALL, "hydra.run.dir=gan")
    assert result.code == 0
    said = result.out + result.err
    assert said.count("model.initial_weights is null: the network starts from random weights") == 1
    assert "First train model=super_resolution" in said
    assert r"\x0a" not in said, "the warning keeps its line breaks"


def test_model_that_sees_its_input_needs_no_initial_weights(composed):
    class Model:
        discriminator_sees_input, initial_weights = True, None

    assert advice_without(Model()) is None
    Model.discriminator_sees_input = False
    assert "model.initial_weights=RUN" in advice_without(Model())
    Model.initial_weights = "run"
    assert advice_without(Model()) is None


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (["network.restorer.num_blocks=2"], "network.restorer.num_blocks is 1 there and 2 here"),
        (["network.restorer.width=4"], "network.restorer.width is 8 there and 4 here"),
        (["network=srresnet", *SMALL], "network is EDSR there and SRResNet here"),
        (["data.scale=3"], "network.restorer.scale is 2 there and 3 here"),
        (["data.num_channels=1"], "has the shape 8x3x3x3 there and 8x1x3x3 here"),
    ],
)
def test_another_network_is_refused_with_what_differs(start, words, change, expected):
    with pytest.raises(UserError) as error:
        limner.build(*SRGAN, *words, *SMALL, *change, f"model.initial_weights={start}")
    assert expected in str(error.value)
    assert "needs the same network" in str(error.value)


def test_runs_of_other_models_are_refused(run, words):
    gan = run("model=gan", "network=mlp", "trainer.max_steps=1", "accelerator=cpu", "metrics=none",
              "logger=none", "hydra.run.dir=draws")  # fmt: skip
    assert gan.code == 0
    for source, message in {
        "draws": "a GAN does not change pictures; name a run of",
        "nowhere": "neither a run nor an exported model",
    }.items():
        result = run(*SRGAN, *words, *SMALL, f"model.initial_weights={source}")
        assert result.code == 1
        assert message in result.err
        assert len(result.err.strip().splitlines()) <= 3
