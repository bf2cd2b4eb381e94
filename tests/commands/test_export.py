"""`limner export` writes a folder from which exactly the same model is loaded."""

import json
import shutil
import sys
from pathlib import Path
from types import ModuleType

import huggingface_hub
import numpy as np
import pytest
import torch
import yaml
from huggingface_hub.errors import LocalEntryNotFoundError

import limner
from limner import cli
from limner.commands import export as export_command
from limner.commands import onnx
from limner.console import Bar
from limner.errors import UserError
from support.hub import TOKEN, serving
from support.runs import trained

NARROW = [
    *(f"network.{part}.{key}=8" for part in ("generator", "discriminator")
      for key in ("width", "max_width")),
    "network.generator.style_dim=8", "network.generator.num_mapping_layers=1",
]  # fmt: skip


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    return {
        name: trained(folder / name, f"model={name}", *words, "~callbacks.pictures")
        for name, words in {
            "vae": [f"network.{part}.width=8" for part in ("encoder", "decoder")],
            "gan": [
                "optimizer.lr=1e-5", "network.generator.width=8", "network.discriminator.width=8"
            ],
            "classifier": ["metrics=accuracy"],
        }.items()
    }  # fmt: skip


@pytest.fixture
def export(finished, tmp_path, monkeypatch, capsys):
    """Run `limner export run=... WORDS` in an empty folder and return its output."""
    monkeypatch.chdir(tmp_path)

    def command(name: str, *words: str) -> str:
        assert export_command.run([f"run={finished[name]}", *words]) == 0
        return capsys.readouterr().out.strip()

    return command


@pytest.mark.parametrize("name", ["vae", "gan"])
def test_exported_model_draws_the_same_images(finished, export, name):
    assert export(name, "to=deep/model") == "deep/model"
    ours, theirs = limner.load(finished[name]), limner.load("deep/model")
    assert np.array_equal(ours.sample(70, seed=1), theirs.sample(70, seed=1))
    assert theirs.update == ours.update == 2
    for key, value in ours.module.state_dict().items():
        assert torch.equal(value, theirs.module.state_dict()[key]), key


def test_exported_config_holds_only_what_loading_needs(finished, export):
    export("gan", "to=model")
    text = Path("model/config.yaml").read_text()
    config = yaml.safe_load(text)
    assert set(config) == {"limner", "weights", "update", "seed", "data", "model"}
    assert config["data"] == {"name": "digits", "image_shape": [1, 8, 8], "num_classes": 10}
    assert config["model"]["optimizer"]["lr"] == 1e-5
    assert str(finished["gan"].parent) not in text, "no paths of this machine"
    again = limner.load("model")
    assert again.module.optimizer.keywords["lr"] == 1e-5


def test_model_card_describes_the_model_and_its_scores(finished, export):
    scores = {
        "val/fid": {
            "value": 12.345,
            "std": 0.5,
            "floor": 3.25,
            "baselines": {"bicubic": 28.4},
            "protocol": {"num_samples": 10, "reference": {"split": "train"}, "update": 9},
        }
    }
    (finished["vae"] / "scores.json").write_text(json.dumps(scores))
    export("vae", "to=model", "license=mit")
    card = Path("model/README.md").read_text()
    front = yaml.safe_load(card.split("---")[1])
    assert front["license"] == "mit"
    assert front["library_name"] == "limner"
    for said in (
        "VAE on digits",
        "| `val/fid` | 12.345 ± 0.5 (real images: 3.25) |",
        "| `val/fid`, bicubic | 28.4 |",
        "num_samples: 10",
        "samples.png",
    ):
        assert said in card
    assert "Scored at update 9; these weights are from update 2." in card
    assert limner.__version__ in card
    assert "trust=" not in card, "it has no classes of the user"
    assert Path("model/samples.png").stat().st_size > 0
    (finished["vae"] / "scores.json").write_text("{")
    with pytest.raises(UserError, match=r"scores\.json is damaged"):
        export("vae", "to=other")
    (finished["vae"] / "scores.json").unlink()
    assert sorted(path.name for path in Path().iterdir()) == ["model"], (
        "an incomplete export is left"
    )


def test_model_card_has_no_picture_when_the_model_cannot_draw(export):
    export("classifier", "to=model")
    assert not Path("model/samples.png").exists()
    assert "samples.png" not in Path("model/README.md").read_text()


def test_export_of_own_classes_states_what_loading_needs(finished, tmp_path, monkeypatch, capsys):
    run_dir = Path(shutil.copytree(finished["gan"], tmp_path / "run"))
    config = yaml.safe_load((run_dir / "config.yaml").read_text())
    module, _, name = config["model"]["generator"]["_target_"].rpartition(".")
    config["model"]["generator"]["_target_"] = f"own_card.{name}"
    (run_dir / "config.yaml").write_text(yaml.safe_dump(config))
    (tmp_path / "mine").mkdir()
    text = f"import {module}\nclass {name}({module}.{name}): pass\n"
    (tmp_path / "mine" / "own_card.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path[:])
    words = ["export", "run=run", "to=model", "--config-dir", "mine", "trust=[own_card]"]
    monkeypatch.setattr(sys, "argv", ["limner", *words])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert not end.value.code, capsys.readouterr().err
    card = Path("model/README.md").read_text()
    assert 'limner.load("model", trust=["own_card"])' in card
    assert "classes of `own_card`, which neither limner nor this folder contains" in card
    ours = limner.load(finished["gan"]).sample(2)
    assert np.array_equal(limner.load("model", trust=["own_card"]).sample(2), ours)
    with pytest.raises(UserError, match=r"own_card\..*trust=\[own_card\]"):
        limner.load("model")
    sys.modules.pop("own_card")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["vae", "gan"])
def test_onnx_model_draws_the_same_images_as_torch(finished, export, name):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    export(name, "to=model", "onnx=true")
    model = limner.load("model", device="cpu")
    session = onnxruntime.InferenceSession("model/model.onnx")
    for num_images in (1, 7):
        z = torch.randn(num_images, model.module.latent_dim)
        (images,) = session.run(None, {"z": z.numpy()})
        assert np.abs(images - model.module.generate(z).numpy()).max() < 1e-4
    assert sorted(path.name for path in Path("model").iterdir()) == [
        "README.md", "config.yaml", "model.onnx", "model.safetensors", "samples.png",
    ]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [["network=mlp"], ["network=stylegan2", *NARROW], ["network=r3gan", "network.width=16"]],
    ids=lambda words: words[0],
)
def test_onnx_model_takes_labels_when_it_is_conditional(tmp_path, words):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    words = ["model=gan", "model/condition=concat", *words]
    model = limner.load(trained(tmp_path, *words), device="cpu")
    onnx.export(model, tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    z, labels = torch.randn(6, model.module.latent_dim), torch.arange(6)
    (images,) = session.run(None, {"z": z.numpy(), "labels": labels.numpy()})
    assert np.abs(images - model.module.generate(z, labels).numpy()).max() < 1e-4


@pytest.mark.slow
def test_export_refuses_an_onnx_model_that_differs_from_torch(export, monkeypatch):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    monkeypatch.setattr(onnx, "TOLERANCE", -1.0)
    with pytest.raises(UserError, match="ONNX's images differ from torch's by"):
        export("gan", "to=model", "onnx=true")
    assert not any(Path().iterdir())


def test_export_shows_a_bar_while_it_writes_an_onnx_model(export, monkeypatch):
    for package in onnx.PACKAGES:
        monkeypatch.setitem(sys.modules, package, ModuleType(package))
    open_bars = []
    monkeypatch.setattr(onnx, "export", lambda *_: open_bars.extend(Bar._open))
    export("gan", "to=model", "onnx=true")
    assert len(open_bars) == 1
    assert not Bar._open


def test_export_names_missing_packages(export, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(UserError, match=r"package onnxscript: pip install limner\[onnx\]"):
        export("gan", "to=model", "onnx=true")


def test_export_names_mistakes(export):
    Path("full").mkdir()
    Path("full/file").touch()
    for words, message in [
        (["to=full"], "to=full: the folder exists and is not empty"),
        (["to=full/file"], "the folder exists and is not empty"),
        (["to=x", "onnx=perhaps"], "onnx"),
        (["to=x", "checkpoint=best"], "the run has only: last"),
        (["to=hf://nobody"], "not of the form hf://user/name"),
        ([], "to must be given"),
    ]:
        with pytest.raises(UserError) as error:
            export("gan", *words)
        assert message in str(error.value), words
    with pytest.raises(
        UserError, match="Classifier is neither a function of a latent code nor of a pic"
    ):
        export("classifier", "to=x", "onnx=true")
    assert [path.name for path in Path().iterdir()] == ["full"]


def test_pushed_model_is_loaded_from_a_branch_and_from_main(
    finished, export, tmp_path, monkeypatch
):
    ours = limner.load(finished["gan"], device="cpu")
    with serving(tmp_path / "hub") as hub:
        with pytest.raises(UserError, match="needs a token with write access"):
            export("gan", "to=hf://user/name")
        monkeypatch.setenv("HF_TOKEN", "wrong")
        with pytest.raises(UserError, match=r"the hub refused access \(401\)"):
            export("gan", "to=hf://user/name")
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        for address in ("hf://user/name", "hf://user/name@v2"):
            assert export("gan", f"to={address}") == f"{hub.url}/user/name"
            theirs = limner.load(address, device="cpu")
            assert np.array_equal(theirs.sample(3, seed=1), ours.sample(3, seed=1))
            assert theirs.update == ours.update
        files = hub.files["models", "user/name"][hub.branches["models", "user/name"]["v2"]]
        assert {"README.md", "config.yaml", "model.safetensors", "samples.png"} <= files.keys()
        assert any(each.startswith("PUT /lfs/") for each in hub.requests), "weights use LFS"
        assert b'limner.load("hf://user/name@v2")' in files["README.md"]
        for address, message in (
            ("hf://user/name@v9", "user/name has no branch, tag or commit v9"),
            ("hf://user/other", "there is no such repository, or it is private"),
        ):
            with pytest.raises(UserError, match=message):
                limner.load(address)


def test_push_explains_a_missing_token_or_network(export, monkeypatch):
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: None)
    with pytest.raises(UserError, match="needs a token with write access"):
        export("gan", "to=hf://user/name")

    def offline(*_, **__):
        raise LocalEntryNotFoundError("no connection")

    def broken(*_, **__):
        raise ConnectionError("no route")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", offline)
    with pytest.raises(UserError, match=r"the Hugging Face Hub cannot be reached \(no connection"):
        limner.load("hf://user/name")
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: "token")
    monkeypatch.setattr(huggingface_hub, "create_repo", broken)
    with pytest.raises(UserError, match=r"the Hugging Face Hub cannot be reached \(no route"):
        export("gan", "to=hf://user/name")
    with pytest.raises(UserError, match="not of the form hf://user/name"):
        limner.load("hf://../../etc")
