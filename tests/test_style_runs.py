"""Whole runs of style transfer: exact resume without the style files, export, two processes."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

import limner
from limner.commands import export as export_command
from limner.commands import onnx
from limner.commands import transform as transform_command
from limner.commands.evaluate import command as evaluate_command
from limner.errors import UserError
from limner.networks.johnson import Johnson
from limner.pretrained.trained_model import TrainedModel
from support.photos import photos, write_photos
from support.picture_models import facts
from support.runs import last_checkpoint
from support.styles import style_model

ROOT = Path(__file__).parents[1]
DATA = ["data.path=photos", "data.crop_size=32"]
SIZES = [(48, 40), (41, 55), (40, 40), (50, 43), (44, 47)]


@pytest.fixture
def words(tmp_path):
    """Write 15 photos and two style pictures; return the words of a run with both styles."""
    write_photos(tmp_path / "photos", 15, sizes=SIZES)
    (tmp_path / "styles").mkdir()
    for name, photo in zip(("red", "old.master"), photos(2, size=40, seed=1), strict=True):
        Image.fromarray(photo.permute(1, 2, 0).numpy()).save(tmp_path / f"styles/{name}.png")
    return [
        "model=style_transfer", "model.styles=[styles/red.png,styles/old.master.png]",
        "model.style_size=32", "data=pictures", "data.path=photos", "data.crop_size=32",
        "data.crops_per_picture=2", "data.validation_fraction=0.2", "data.batch_size=4",
        "network.restorer.width=4", "network.restorer.num_blocks=1", "accelerator=cpu",
        "logger=none", "~callbacks.progress",
    ]  # fmt: skip


def weights(run):
    return torch.load(last_checkpoint(Path(run)), weights_only=True)["state_dict"]


def difference(a, b):
    assert a.keys() == b.keys()
    return max((a[key].double() - b[key].double()).abs().max().item() for key in a)


def losses(run):
    scores = json.loads((Path(run) / "scores.json").read_text())
    return {name: entry["value"] for name, entry in scores.items()}


def test_moved_run_resumes_loads_and_exports_without_the_style_files(run, words):
    assert run(*words, "trainer.max_steps=5", "hydra.run.dir=whole").code == 0
    assert run(*words, "trainer.max_steps=2", "hydra.run.dir=parts").code == 0
    shutil.rmtree("styles")
    Path("parts").rename("moved")
    resumed = run("resume=moved", "trainer.max_steps=5")
    assert resumed.code == 0, resumed.err
    assert difference(weights("whole"), weights("moved")) == 0
    assert losses("whole") == losses("moved")
    assert losses("whole").keys() == {"val/loss", "val/loss_content", "val/loss_gram"}
    assert Path("whole/final.png").read_bytes() == Path("moved/final.png").read_bytes()

    model = limner.load("moved")
    pixels = np.random.default_rng(0).integers(0, 256, (21, 34, 3), np.uint8)
    red, old = (model.transform(pixels, style=name) for name in ("red", "old.master"))
    assert red.shape == pixels.shape
    assert not np.array_equal(red, old)
    with pytest.raises(
        UserError, match=r"style=null: this StyleTransfer needs style=red or old\."
    ):
        model.transform(pixels)
    Image.fromarray(pixels).save("in.png")
    transform_command.run(["run=moved", "input=in.png", "output=out", "style=red", "device=cpu"])
    assert np.array_equal(np.asarray(Image.open("out/in.png")), red)

    export_command.run(["run=moved", "to=exported"])
    exported = yaml.safe_load(Path("exported/config.yaml").read_text())["model"]["styles"]
    assert exported == ["red.png", "old.master.png"], "no paths of this machine"
    again = limner.load("exported")
    assert np.array_equal(again.transform(pixels, style="old.master"), old)
    assert torch.equal(again.module.style_pixels, model.module.style_pixels)
    assert 'model.transform(picture, style="red")' in Path("exported/README.md").read_text()

    with pytest.raises(UserError, match="StyleTransfer does not imitate the pictures"):
        evaluate_command.run(["run=moved"])


@pytest.mark.slow
@pytest.mark.parametrize("styles", [["red.png"], ["red.png", "blue.png"]])
def test_onnx_has_a_file_for_each_style(tmp_path, styles):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    shapes = {"input_shape": (3, 8, 8), "image_shape": (3, 8, 8), "scale": 1}
    network = Johnson(**shapes, width=4, num_blocks=1, num_styles=len(styles))
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    module = style_model(styles=styles, network=network)
    model = TrainedModel(module, config={"data": facts()}, update=1, source="here")
    onnx.export(model, tmp_path / "model.onnx")
    names = ["model.onnx"] if len(styles) == 1 else ["model_blue.onnx", "model_red.onnx"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    inputs = torch.rand(1, 3, 21, 18) * 2 - 1
    for name in names:
        session = onnxruntime.InferenceSession(tmp_path / name)
        (image,) = session.run(None, {"input": inputs.numpy()})
        style = "blue" if "blue" in name else "red"
        with torch.no_grad():
            expected = module.transform(inputs, style=style)
        assert (torch.from_numpy(image) - expected).abs().max() < 1e-4


@pytest.mark.usefixtures("forking")
def test_two_processes_equal_one(run, tmp_path, words):
    """The three validation pictures do not divide evenly, and each counts once.

    Adam would enlarge the rounding errors of the biases in front of the norms, which have no use.
    """
    words = [*words, "trainer.max_steps=3", "optimizer=sgd", "optimizer.lr=0.02"]
    ended = subprocess.run(
        [sys.executable, str(ROOT / "train.py"), *words, "accelerator=ddp_cpu",
         "hydra.run.dir=two"],
        cwd=tmp_path, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert run(*words, "data.batch_size=8", "hydra.run.dir=one").code == 0
    assert difference(weights("one"), weights("two")) < 1e-4
    one, two = losses("one"), losses("two")
    assert one["val/loss_gram"] == pytest.approx(two["val/loss_gram"], rel=1e-4)
    # each process compares its own pictures with each other
    assert one["val/loss_content"] == pytest.approx(two["val/loss_content"], rel=0.3)
    assert Path("two/final.png").is_file()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ([*DATA, "model.styles=[styles/red.png,nix.png]"], "nix.png cannot be read"),
        (["data=digits"], "choose data=pictures"),
        (["data=super_resolution", "data.path=photos"], "choose data=pictures"),
        ([*DATA, "metrics=pictures"], "choose metrics=loss"),
        ([*DATA, "model/losses=pixel"], "choose model/losses=style"),
        ([*DATA, "network=srresnet"], "choose network=johnson_styles"),
    ],
)
def test_mistakes_of_style_transfer_are_refused_before_training(run, words, changed, message):
    own = [word for word in words if not word.startswith(("network.", "data."))]
    result = run(*own, *changed, "hydra.run.dir=refused")
    assert result.code != 0
    assert message in result.err
    assert "Traceback" not in result.err
    assert not Path("refused/checkpoints").exists()
