"""A model loads only if its weights match its config, and are weights that training leaves."""

import os
import zipfile
from pathlib import Path

import pytest
import safetensors.torch
import torch
import yaml
from omegaconf import OmegaConf
from torch import nn

import limner
from limner.errors import UserError
from limner.pretrained import bounded_build, load
from limner.pretrained.bounded_build import MIN_BYTES, build_within
from limner.pretrained.safe_build import build
from limner.runs.checkpoints import update_path, write

LINEAR = {"_target_": "torch.nn.Linear", "in_features": 4, "out_features": 3}
WEIGHTS = {"weight": torch.ones(3, 4), "bias": torch.zeros(3)}
DATA = {"image_shape": [1, 8, 8], "num_classes": 0}


def export(folder: Path, *, model=LINEAR, tensors=WEIGHTS, **config) -> Path:
    """Write a folder as `limner export` writes it."""
    folder.mkdir(exist_ok=True)
    content = {"weights": "model.safetensors", "update": 1, "data": DATA, "model": model} | config
    (folder / "config.yaml").write_text(yaml.safe_dump(content))
    safetensors.torch.save_file(tensors, folder / "model.safetensors")
    return folder


def run_of(folder: Path, weights) -> Path:
    """Write a folder as training leaves it, with these weights in its checkpoint."""
    folder.mkdir(exist_ok=True)
    (folder / "config.yaml").write_text(yaml.safe_dump({"data": DATA, "model": LINEAR}))
    write({"state_dict": weights, "global_step": 1}, update_path(folder, 1))
    return folder


def refused(source, **options) -> str:
    with pytest.raises(UserError) as error:
        limner.load(source, device="cpu", **options)
    return str(error.value)


@pytest.fixture
def built_on(monkeypatch):
    """Return the devices on which models were built."""
    devices = []

    def spied(node, path, **options):
        devices.append(torch.empty(0).device.type)
        return build(node, path, **options)

    monkeypatch.setattr(load, "build", spied)
    return devices


FAMILIES = [
    ("model=vae", "network=mlp", "model/prior=vamp", "model.ema_half_life=100"),
    ("model=vae", "network=conv", "model/prior=flow"),
    ("model=vae", "network=residual", "model/likelihood=logistic"),
    ("model=gan", "network=dcgan", "model.ema_half_life=100"),
    (
        "model=gan", "network=resnet", "model/condition=projection", "network.generator.width=16",
        "network.discriminator.width=16",
    ),
    ("model=gan", "network=mlp", "model/augmentation=ada", "model/penalty=lecam"),
    ("model=vqvae",),
    ("model=classifier",),
    ("model=pixelcnn", "network.pixelcnn.width=8", "model.ema_half_life=100"),
]  # fmt: skip


QUICK = FAMILIES[0], FAMILIES[3], FAMILIES[6]


@pytest.mark.parametrize(
    "overrides",
    [pytest.param(f, marks=[] if f in QUICK else [pytest.mark.slow]) for f in FAMILIES],
    ids=" ".join,
)
def test_load_gives_the_buffers_of_the_constructors_and_the_weights_of_the_file(
    tmp_path, composed, built_on, overrides
):
    """Weights come from the file; everything else equals a model that is built in memory."""
    node = OmegaConf.to_container(composed(*overrides, "data=digits").model, resolve=True)
    torch.manual_seed(1)
    expected = build(node, "model")
    folder = export(tmp_path / "export", model=node, tensors={
        key: value.detach().clone().contiguous() for key, value in expected.state_dict().items()
    })  # fmt: skip
    model = limner.load(folder, device="cpu").module
    assert built_on == ["meta", "cpu"]
    for kind in ("named_parameters", "named_buffers"):
        found, wanted = dict(getattr(model, kind)()), dict(getattr(expected, kind)())
        assert found.keys() == wanted.keys()
        for key, value in wanted.items():
            assert found[key].dtype == value.dtype
            assert torch.equal(found[key], value), key


def test_load_allocates_no_memory_for_a_model_that_does_not_fit(tmp_path, built_on):
    model = LINEAR | {"in_features": 20_000, "out_features": 20_000}
    message = refused(export(tmp_path, model=model))
    assert "more memory than the weights beside it account for" in message
    model = LINEAR | {"in_features": 40, "out_features": 30}
    assert "weight (3x4 instead of 30x40)" in refused(export(tmp_path, model=model))
    assert built_on == ["meta", "meta"]


@pytest.fixture
def few_calls(monkeypatch):
    """Allow fewer function calls, so that an endless constructor is stopped sooner."""
    monkeypatch.setattr(bounded_build, "MIN_CALLS", 50_000)


@pytest.mark.usefixtures("few_calls")
@pytest.mark.parametrize("number", [10**9, 10**40, "0x1" + 6000 * "0"], ids=lambda n: str(n)[:5])
@pytest.mark.parametrize(
    "model",
    [
        {"_target_": "torch.nn.LSTM", "input_size": 1, "hidden_size": 1, "num_layers": ...},
        {
            "_target_": "torch.nn.TransformerEncoder",
            "encoder_layer": {
                "_target_": "torch.nn.TransformerEncoderLayer", "d_model": 2, "nhead": 1,
            },
            "num_layers": ...,
        },
        {"_target_": "torch.nn.Linear", "in_features": ..., "out_features": 10**9},
    ],
    ids=["loop", "copies", "size"],
)  # fmt: skip
def test_load_ends_soon_for_any_numbers_in_a_config(tmp_path, built_on, model, number):
    model = {key: number if value is ... else value for key, value in model.items()}
    export(tmp_path)
    text = yaml.safe_dump({"weights": "model.safetensors", "data": DATA, "model": model})
    text = text.replace(f"'{number}'", str(number))  # The number itself is too long to be printed.
    (tmp_path / "config.yaml").write_text(text)
    message = refused(tmp_path)
    reasons = (
        "than the weights beside it account for", "beyond 2,147,483,647", "a number of 6,003 char",
    )  # fmt: skip
    assert any(reason in message for reason in reasons)
    assert "cpu" not in built_on


class Reads(nn.Module):
    """A module whose constructor reads values, which tensors on the meta device do not have."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.total = self.weight.sum().item()
        self.register_buffer("table", torch.linalg.inv(2 * torch.eye(2)), persistent=False)
        self.more = torch.arange(size).repeat(2)


def test_constructor_that_reads_values_is_measured_in_memory():
    model = build_within(lambda: Reads(3), file_bytes=100, check=lambda _: None)
    assert model.total == 3
    assert torch.equal(model.table, torch.eye(2) / 2)
    with pytest.raises(UserError, match="more memory than the weights"):
        build_within(lambda: Reads(MIN_BYTES), file_bytes=100, check=lambda _: None)


@pytest.mark.usefixtures("few_calls")
def test_endless_constructor_that_reads_values_is_stopped():
    def make():
        torch.ones(1).item()
        return [nn.ReLU() for _ in range(10**12)]

    with pytest.raises(UserError, match="more layers than the weights"):
        build_within(make, file_bytes=100, check=lambda _: None)


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (torch.full((3, 4), torch.nan), "weight have infinite numbers or nan"),
        (torch.tensor([[1.0] * 4, [2.0] * 4, [-torch.inf] * 4]), "infinite numbers or nan"),
        (torch.ones(3, 4, dtype=torch.int8), "weight (int8 instead of floating point)"),
        (torch.ones(3, 4, dtype=torch.complex64), "weight (complex64 instead of floating point)"),
        (torch.ones(3, 4).to(torch.float8_e5m2), "weight (float8_e5m2 instead of"),
        (torch.ones(3, 4).to_sparse(), "weight are no plain tensors"),
        (torch.ones(3, 4, device="meta"), "weight are no plain tensors"),
        (torch.quantize_per_tensor(torch.ones(3, 4), 0.1, 0, torch.qint8), "no plain tensors"),
        (torch.ones(1).expand(10**9, 10**9), "weight (1000000000x1000000000 instead of 3x4)"),
        ("weight", "weight are no plain tensors"),
        ([torch.ones(3, 4)], "weight are no plain tensors"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_load_refuses_weights_that_training_does_not_leave(tmp_path, weight, message):
    found = refused(run_of(tmp_path, WEIGHTS | {"weight": weight}))
    assert message in found or "is damaged, or no checkpoint" in found or "is refused" in found


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_load_reads_weights_of_another_precision(tmp_path, dtype):
    weights = {key: value.to(dtype) for key, value in WEIGHTS.items()}
    for folder in (run_of(tmp_path / "run", weights), export(tmp_path / "x", tensors=weights)):
        model = limner.load(folder, device="cpu").module
        assert model.weight.dtype == torch.float32
        assert torch.equal(model.weight, WEIGHTS["weight"])


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            {"data": DATA | {"image_shape": [3, 10**9, 10**9]}},
            "data.image_shape: each size must lie between 1 and",
        ),
        (
            {"data": DATA | {"image_shape": [1, 0, 8]}},
            "data.image_shape: each size must lie between 1 and",
        ),
        (
            {"data": DATA | {"input_shape": [1, 8, 10**9]}},
            "data.input_shape: each size must lie between 1 and",
        ),
        ({"data": DATA | {"input_shape": 8}}, "data.input_shape=8: must be "),
        ({"data": DATA | {"num_classes": 10**12}}, "between 0 and 1,000,000"),
        ({"data": DATA | {"num_classes": -1}}, "between 0 and 1,000,000"),
        ({"update": "7"}, "its update must be a whole number"),
        ({"weights": "a\0b"}, "is not a file name"),
        ({"weights": "a" * 5000}, "missing, corrupt or only half written"),
    ],
)
def test_load_refuses_absurd_facts(tmp_path, config, message):
    assert message in refused(export(tmp_path, **config))


def test_load_refuses_an_impossible_path_in_one_line():
    assert r"run\x00: no path has a NUL in it." in refused("run\0")
    assert "there is no such user here" in refused("~nobody-of-this-name/run")
    assert "cannot be read" in refused("a" * 5000)


@pytest.mark.parametrize("name", ["best", "update", "safetensors"])
def test_load_does_not_wait_for_a_pipe(tmp_path, name):
    if name == "safetensors":
        file = export(tmp_path) / "model.safetensors"
    else:
        file = update_path(run_of(tmp_path, WEIGHTS), 1)
    file.unlink()
    os.mkfifo(file if name != "best" else file.with_name("best.ckpt"))
    message = refused(tmp_path)
    first = message.splitlines()[0]
    assert "no regular file" in first or "the run has no checkpoint" in first


def test_load_reports_a_lack_of_memory_in_one_line(tmp_path, monkeypatch):
    def fail(self, device):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.")

    monkeypatch.setattr(nn.Module, "to", fail)
    assert "there is not enough memory for the model" in refused(export(tmp_path))


def test_load_does_not_report_a_lack_of_memory_as_another_version(tmp_path, monkeypatch):
    def fail(self, *args, **kwargs):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried 9 bytes")

    monkeypatch.setattr(nn.Linear, "__init__", fail)
    message = refused(export(tmp_path))
    assert "there is not enough memory for the model" in message
    assert "another version" not in message


@pytest.mark.parametrize(
    ("pickled", "compression", "message"),
    [
        (None, zipfile.ZIP_DEFLATED, "is refused: its parts are compressed"),
        (b"\x80\x02cbuiltins\nbytearray\nJ\0\0\0\x7f\x85R.", 0, "it asks for a bytearray"),
    ],
    ids=["compressed", "bytearray"],
)
def test_load_of_an_archive_takes_no_more_memory_than_its_size(
    tmp_path, pickled, compression, message
):
    path = update_path(run_of(tmp_path, WEIGHTS), 1)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in parts.items():
            replaced = pickled is not None and name.endswith("data.pkl")
            archive.writestr(name, pickled if replaced else content)
    assert message in refused(tmp_path)
