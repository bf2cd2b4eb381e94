"""`limner.load`: from files to a model, and the answer to bad files."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

import limner
from limner.commands import export as export_command
from limner.errors import UserError
from limner.randomness import generator_for
from support.runs import last_checkpoint, trained

NARROW = ("network.encoder.width=8", "network.decoder.width=8", "~callbacks.pictures")


class Hostile:
    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Train a VAE with an average, and a GAN."""
    folder = tmp_path_factory.mktemp("runs")
    return {
        "vae": trained(folder / "vae", "model=vae", "model.ema_half_life=100", *NARROW),
        "gan": trained(folder / "gan", "model=gan", "network=mlp"),
        "classifier": trained(folder / "classifier", "model=classifier", "metrics=accuracy"),
    }


@pytest.fixture
def copy(finished, tmp_path):
    """Return a copy of a run that a test may damage."""
    return Path(shutil.copytree(finished["vae"], tmp_path / "copy"))


def edit(run_dir: Path, /, **changes) -> None:
    config = yaml.safe_load((run_dir / "config.yaml").read_text())
    for key, value in changes.items():
        *parents, name = key.split("__")
        node = config
        for parent in parents:
            node = node[parent]
        node[name] = value
    (run_dir / "config.yaml").write_text(yaml.safe_dump(config))


def refused(source, **options) -> str:
    with pytest.raises(UserError) as error:
        limner.load(source, device="cpu", **options)
    return str(error.value)


@pytest.mark.parametrize("name", ["vae", "gan"])
def test_load_returns_the_model_that_was_trained(finished, name):
    model = limner.load(finished[name], device="cpu")
    saved = torch.load(last_checkpoint(finished[name]), weights_only=True)
    for key, value in model.module.state_dict().items():
        assert torch.equal(value, saved["state_dict"][key]), key
    assert model.update == 2
    assert model.sample(3).shape == (3, 8, 8, 1)
    drawn = model.module.sample(64, generator=generator_for(4, "samples", 0))
    expected = ((drawn + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1)
    assert np.array_equal(model.sample(64, seed=4), expected.numpy())


def test_load_samples_from_the_average_of_the_weights(finished):
    model = limner.load(finished["vae"], device="cpu")
    before = model.sample(2)
    for parameter in model.module.network.parameters():
        parameter.data.zero_()
    assert np.array_equal(model.sample(2), before)


def test_loaded_model_has_the_methods_of_its_kind(finished):
    images = limner.load(finished["vae"], device="cpu").sample(2)
    vae, gan, classifier = (limner.load(run, device="cpu") for run in finished.values())
    assert vae.encode(images).shape == (2, 32)
    assert vae.reconstruct(images).shape == images.shape
    assert vae.interpolate(*images, 3).shape == (3, 8, 8, 1)
    with pytest.raises(UserError, match="GAN has no encoder"):
        gan.encode(images)
    with pytest.raises(UserError, match="GAN was trained without labels"):
        gan.sample(2, label=0)
    with pytest.raises(UserError, match="Classifier draws no images"):
        classifier.sample(2)


def test_load_does_not_change_the_global_random_state(finished):
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    limner.load(finished["gan"], device="cpu")
    assert torch.equal(torch.rand(1), expected)


def test_load_takes_the_best_checkpoint_if_there_is_one(copy):
    last = last_checkpoint(copy)
    saved = torch.load(last, weights_only=True)
    saved["global_step"] = 1
    torch.save(saved, copy / "checkpoints" / "best.ckpt")
    assert limner.load(copy).update == 1
    assert limner.load(copy, checkpoint="best").update == 1
    assert limner.load(copy, checkpoint="last").update == 2
    assert "choose best or last" in refused(copy, checkpoint="first")
    last.unlink()
    assert "the run has only: best" in refused(copy, checkpoint="last")


def test_load_reads_a_run_of_an_earlier_version(copy):
    """The config lacks the prior, objective and classes, and has a key of earlier versions."""
    before = limner.load(copy, device="cpu").sample(3)
    config = yaml.safe_load((copy / "config.yaml").read_text())
    for key in ("prior", "objective", "kl_schedule", "num_classes"):
        del config["model"][key]
    config["model"]["auxiliary"] = None
    for part in ("encoder", "decoder"):
        config["model"][part].pop("num_classes")
    del config["model"]["decoder"]["params_per_value"]
    (copy / "config.yaml").write_text(yaml.safe_dump(config))
    assert np.array_equal(limner.load(copy, device="cpu").sample(3), before)


def test_load_names_a_folder_that_is_not_a_run(tmp_path, copy):
    assert "has no config.yaml" in refused(tmp_path / "nothing")
    assert f"The newest run in it is {copy}" in refused(copy.parent)
    shutil.rmtree(copy / "checkpoints")
    assert "the run has no checkpoint" in refused(copy)


def test_load_names_a_broken_best_and_the_newest_whole_checkpoint(copy):
    folder = copy / "checkpoints"
    whole = (folder / "update_00000002.ckpt").read_bytes()
    (folder / "best.ckpt").write_bytes(whole[: len(whole) // 2])
    (folder / "update_00000003.ckpt").write_bytes(b"half")
    message = refused(copy)
    assert "best.ckpt is cut off, or damaged at its end." in message
    assert "newest whole checkpoint" in message
    assert "is update_00000002.ckpt: checkpoint=last" in message
    (folder / "update_00000002.ckpt").write_bytes(whole[:-100])
    assert "There is no whole checkpoint" in refused(copy)


def test_last_checkpoint_is_the_newest_whole_one(copy, caplog):
    folder = copy / "checkpoints"
    whole = (folder / "update_00000002.ckpt").read_bytes()
    for name in ("update_00000010.ckpt", "update_00000004.ckpt"):
        (folder / name).write_bytes(whole[:20_000] + b"?" + whole[20_001:])
    assert limner.load(copy).update == 2
    (ten, four) = caplog.messages
    assert "Skipped" in ten
    assert "update_00000010.ckpt is damaged" in ten
    assert "update_00000004.ckpt is damaged" in four
    (folder / "update_00000002.ckpt").unlink()
    message = refused(copy, checkpoint="last")
    assert "update_00000010.ckpt is damaged" in message
    assert "update_00000004.ckpt is damaged" in message
    assert "There is no whole checkpoint" in message


def test_load_refuses_a_hostile_checkpoint(copy, tmp_path):
    torch.save(
        {"state_dict": {"w": Hostile(f"touch {tmp_path / 'hacked'}")}}, last_checkpoint(copy)
    )
    assert "this checkpoint asks for posix.system, which was not run." in refused(copy)
    assert not (tmp_path / "hacked").exists()


def test_load_names_a_few_of_the_keys_that_differ(copy):
    edit(copy, model__decoder__width=16, model__encoder__width=16)
    message = refused(copy)
    assert "update_00000002.ckpt does not fit the config.yaml beside it" in message
    assert "network.encoder.layers.0.weight (8x1x3x3 instead of 16x1x3x3)" in message
    assert "more have another shape" in message
    edit(copy, model__ema_half_life=None)
    message = refused(copy)
    assert "ema.network.encoder.layers.0.weight" in message
    assert "are not in the model" in message
    assert len(message) < 1000


def test_load_names_a_checkpoint_of_another_program(copy):
    last = last_checkpoint(copy)
    torch.save({"weights": torch.zeros(1)}, last)
    assert "no state_dict in it" in refused(copy)
    torch.save([1], last)
    assert "no state_dict in it" in refused(copy)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model__decoder___target_": "os.system"}, "model.decoder._target_=os.system is refused"),
        ({"model___target_": "torch.nn.modules.module.torch.load"}, "torch.load is refused"),
        ({"model__optimizer___target_": "torch.optim.lr_scheduler.partial"}, "is refused"),
        ({"run_dir": "${oc.env:HOME}"}, "run_dir=${oc.env:HOME} is refused"),
        ({"model": {"_target_": "limner.losses.adversarial.Hinge"}}, "Hinge is no model"),
        ({"model": None}, "there is no model in it"),
        ({"data": {}}, "data.image_shape and data.num_classes are missing"),
        ({"data__image_shape": "large"}, "data.image_shape=large: must be [C, H, W]"),
        ({"data__num_classes": None}, "data.num_classes=None: must be a whole number"),
        ({"model__depth": 3}, "VAE cannot be made from this config"),
    ],
)
def test_load_refuses_forbidden_values_of_a_config(copy, changes, message):
    edit(copy, **changes)
    assert message in refused(copy)


def test_load_reads_only_files_inside_an_export_folder(finished, tmp_path, capsys):
    export_command.run([f"run={finished['gan']}", f"to={tmp_path / 'export'}"])
    (tmp_path / "export" / "model.safetensors").rename(tmp_path / "outside")
    edit(tmp_path / "export", weights="../outside")
    assert "'../outside' is refused" in refused(tmp_path / "export")
    edit(tmp_path / "export", weights="inside")
    assert "missing, corrupt or only half written" in refused(tmp_path / "export")
    assert "has only one checkpoint" in refused(tmp_path / "export", checkpoint="last")
    (tmp_path / "export" / "inside").symlink_to(tmp_path / "outside")
    assert "leads out of the folder" in refused(tmp_path / "export")


def test_load_names_a_device_that_does_not_exist(finished):
    for device in ("quantum", "cuda:77"):
        with pytest.raises(UserError, match=f"device={device}: torch cannot use it here"):
            limner.load(finished["gan"], device=device)


def test_import_of_limner_does_not_import_torch():
    code = "import sys, limner; assert 'torch' not in sys.modules; assert not hasattr(limner, 'x')"
    subprocess.run([sys.executable, "-c", code], check=True)
