"""A config from an untrusted file executes nothing."""

import os
import sys

import pytest
import safetensors.torch
import torch
from torch import nn

from limner.errors import UserError
from limner.losses.adversarial import Hinge
from limner.pretrained.safe_build import build, read_config, read_safetensors, within


@pytest.fixture
def never(tmp_path):
    """Return a file that hostile content would create."""
    path = tmp_path / "hacked"
    yield path
    assert not path.exists(), "hostile code was run"


@pytest.mark.parametrize(
    "target",
    [
        "os.system",
        "builtins.exec",
        "subprocess.Popen",
        "torch.nn.parallel.distributed.os.system",
        "torch.nn.modules.module.torch.load",
        "torch.optim.lr_scheduler.partial",
        "torch.optim.optimizer.functools.partial",
        "torch.load",
        "torch.hub.load",
        "torch.nn.init.normal_",
        "torch.nn.Parameter",
        "torch.nn",
        "torch.optim.lr_scheduler.LambdaLR",
        "limner.cli.main",
        "limner.cli.os.system",
        "limner.callbacks.checkpoint_io.AtomicCheckpointIO",
        "limner.data.ImageFolder",
        "limner.models.gan.AdversarialLoss",
        "limner.models.gan.Callable",
        "limner.models..GAN",
        "limner.models.Nothing",
        "limner_evil.Part",
        "torch.nn/../os.system",
        "",
        None,
        ["os.system"],
    ],
)
@pytest.mark.parametrize("partial", [False, True])
def test_build_refuses_unknown_classes(target, partial, never, monkeypatch):
    monkeypatch.setattr(os, "system", lambda *_: never.touch())
    node = {"part": {"_target_": target, "_partial_": partial, "command": f"touch {never}"}}
    with pytest.raises(UserError, match=r"model\.part\._target_=.* is refused"):
        build(node, "model")


@pytest.mark.parametrize(
    ("node", "message"),
    [
        (
            {"_target_": "torch.nn.Linear", "_partial_": True},
            "model._partial_ is only for optimizers",
        ),
        (
            {"_target_": "torch.nn.Linear", "_args_": [1, 2]},
            "model._args_: limner does not read this key",
        ),
        ({"_target_": "torch.nn.Linear", "size": 1}, "Linear cannot be made from this config"),
        ({"_target_": "torch.nn.Linear", "in_features": -1, "out_features": 1}, "cannot be made"),
    ],
)
def test_build_refuses_invalid_arguments(node, message):
    with pytest.raises(UserError) as error:
        build(node, "model")
    assert message in str(error.value)


def test_build_accepts_known_classes():
    node = {
        "network": {"_target_": "torch.nn.Linear", "in_features": 2, "out_features": 1},
        "losses": [{"_target_": "limner.losses.adversarial.Hinge"}],
        "optimizer": {"_target_": "torch.optim.SGD", "_partial_": True, "lr": 0.1},
        "depth": 3,
    }
    made = build(node, "model")
    assert isinstance(made["network"], nn.Linear)
    assert isinstance(made["losses"][0], Hinge)
    assert made["optimizer"](made["network"].parameters()).defaults["lr"] == 0.1
    assert made["depth"] == 3


def test_build_accepts_classes_that_the_caller_trusts(tmp_path, monkeypatch):
    text = "import os\nfrom torch import nn\nclass Mine(nn.Identity): pass\nclass Loss: pass\n"
    (tmp_path / "trusted_parts.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    nodes = [{"_target_": f"trusted_parts.{name}"} for name in ("Mine", "Loss")]
    with pytest.raises(UserError, match=r"trusted_parts\.Mine is refused.*trust="):
        build(nodes, "model")
    assert "trusted_parts" not in sys.modules, "an untrusted module was imported"
    made = build(nodes, "model", trust=["trusted_parts"])
    assert [type(part).__name__ for part in made] == ["Mine", "Loss"]
    for target in ("trusted_parts.os.system", "trusted_parts.os._Environ", "trusted_parts_2.Mine"):
        with pytest.raises(UserError, match=r"is refused|cannot be imported"):
            build({"_target_": target}, "model", trust=["trusted_parts"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model: {key: '${oc.env:HOME}'}", "model.key=${oc.env:HOME} is refused"),
        ("model: [a, 'b ${now:}']", "model.1=b ${now:} is refused"),
        ("'${oc.env:HOME}': 1", "is refused"),
        ("model: !!python/object/apply:os.system ['true']", "not plain YAML"),
        ("a: &a [1]\nb: [*a, *a]", "anchors and aliases"),
        ("a: " + "[" * 5000, "not plain YAML"),
        ("- a\n- b", "a mapping of keys to values"),
        ("a: " + "x" * 1_000_000, "too large"),
        ("a: [", "not plain YAML"),
        ("a: \xff", "not UTF-8"),
    ],
)
def test_config_must_be_plain_values(tmp_path, text, message):
    path = tmp_path / "config.yaml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(UserError) as error:
        read_config(path)
    assert message in str(error.value)


def test_truncated_file_of_tensors_is_noticed(tmp_path):
    path = tmp_path / "a.safetensors"
    safetensors.torch.save_file({"w": torch.arange(5000)}, path)
    assert read_safetensors(path)["w"][7] == 7
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError, match="corrupt or only half written"):
        read_safetensors(path)


@pytest.mark.parametrize("name", ["../../x", "/etc/passwd", "a/../b", "..", "", None, 3])
def test_file_name_stays_in_its_folder(tmp_path, name):
    with pytest.raises(UserError, match="is refused"):
        within(tmp_path, name, root=tmp_path)


def test_link_stays_in_its_folder(tmp_path):
    folder = tmp_path / "export"
    folder.mkdir()
    (tmp_path / "secret").touch()
    (folder / "weights").symlink_to(tmp_path / "secret")
    with pytest.raises(UserError, match="leads out of the folder"):
        within(folder, "weights", root=folder)
    assert within(folder, "weights", root=tmp_path) == folder / "weights"


def test_within_refuses_a_loop_of_links_in_one_line(tmp_path):
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(UserError, match="cannot be read") as refusal:
        within(tmp_path, "a", root=tmp_path)
    assert len(str(refusal.value).splitlines()) == 1
