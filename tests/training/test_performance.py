"""Optimisations do not change results, and an update does not wait for the device."""

import csv
import shutil
import subprocess
import sys
from pathlib import Path

import lightning as L
import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from limner.callbacks.signals import SeedPerUpdate
from limner.data import batches
from limner.models.ema import EMA
from limner.training import performance
from limner.training import run as run_module
from limner.training import trainer as trainer_module

NUM_UPDATES = 12
COMMON = (
    "data.batch_size=16", "metrics=none", "logger=csv", "callbacks.log.every_num_updates=1",
    "accelerator=cpu", "model.ema_half_life=500", "~callbacks.checkpoints", "~callbacks.pictures",
    "~callbacks.codes", "trainer.limit_val_batches=0",
)  # fmt: skip
SMALL = {
    "vae": ("model=vae", "network.encoder.width=8", "network.decoder.width=8"),
    "gan": ("model=gan", "network.generator.width=8", "network.discriminator.width=8"),
}


TINY = {
    "vae": (
        "model=vae", "network=mlp", "network.encoder.hidden_dims=[16]",
        "network.decoder.hidden_dims=[16]",
    ),
    "gan": SMALL["gan"],
}  # fmt: skip
"""Small networks, because compiling many layers takes long."""


def losses(run, *words: str, updates: int = NUM_UPDATES) -> dict[str, list[float]]:
    """Return the values that a run logged for each update."""
    result = run(*COMMON, *words, f"trainer.max_steps={updates}", f"hydra.run.dir={len(seen)}")
    assert result.code == 0, result.err
    with open(Path(str(len(seen)), "metrics.csv")) as file:
        rows = [row for row in csv.DictReader(file) if row["train/images_seen"]]
    seen.append(words)
    names = [name for name in rows[0] if name.startswith("train/") and rows[0][name]]
    assert len(rows) == updates
    return {name: [float(row[name]) for row in rows] for name in names}


@pytest.fixture(autouse=True)
def _none_seen() -> None:
    seen.clear()


seen: list[tuple[str, ...]] = []


def assert_close(first: dict[str, list[float]], other: dict[str, list[float]], rel: float) -> None:
    """Assert that losses agree up to rounding, which grows with the updates.

    The losses of another loss function differ from the first update on.
    """
    assert first.keys() == other.keys()
    for name, values in first.items():
        early = slice(0, 10)
        assert other[name][early] == pytest.approx(values[early], rel=rel / 10, abs=rel / 10), name
        assert other[name] == pytest.approx(values, rel=rel, abs=rel), name


@pytest.mark.parametrize("model", ["vae", pytest.param("gan", marks=pytest.mark.slow)])
def test_fused_optimizers_and_channels_last_change_only_rounding(run, model):
    """Both are switched on and off."""
    normal = losses(run, *SMALL[model])
    for word in ("optimizer.fused=false", "channels_last=false"):
        assert_close(normal, losses(run, *SMALL[model], word), rel=0.02)
    other = losses(run, *SMALL[model], "seed=1")
    with pytest.raises(AssertionError):
        assert_close(normal, other, rel=0.02)


@pytest.mark.slow  # compiling takes long
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a compiler")
@pytest.mark.parametrize("model", SMALL)
def test_compiled_networks_compute_the_same_losses(run, model):
    words = TINY[model]
    normal = losses(run, *words)
    assert_close(normal, losses(run, *words, "compile=default"), rel=0.02)


@pytest.mark.parametrize("model", ["gan", pytest.param("vae", marks=pytest.mark.slow)])
def test_python_level_optimisations_do_not_change_losses(run, monkeypatch, model):
    """Without any of the optimisations, the losses of a run are equal bit for bit."""
    normal = losses(run, *SMALL[model])
    with monkeypatch.context() as patch:
        patch.setattr(trainer_module, "Unprofiled", L.pytorch.profilers.PassThroughProfiler)
        patch.setattr(run_module, "keep_freed_memory", lambda: None)
        patch.setattr(trainer_module, "skip_gpu_checks", lambda: None)
        patch.setattr(EMA, "update", plain_update)
        assert losses(run, *SMALL[model]) == normal


def test_read_ahead_does_not_change_losses(run):
    """A thread reads ahead from a mapped store and from a streamed store."""
    normal = losses(run, *SMALL["vae"])
    for store in ("mapped", "streamed"):
        assert losses(run, *SMALL["vae"], f"data.store={store}") == normal


def plain_update(self: EMA, network, *, num_images: int, update: int) -> None:
    """Update the average by its formula."""
    decay = min(0.5 ** (num_images / self.half_life), (1 + update) / (10 + update))
    with torch.no_grad():
        for mine, theirs in zip(self.network.parameters(), network.parameters(), strict=True):
            mine.lerp_(theirs, 1 - decay)
        for mine, theirs in zip(self.network.buffers(), network.buffers(), strict=True):
            mine.copy_(theirs)


def test_read_ahead_makes_batches_while_one_is_used():
    made = []

    def make(number: int) -> int:
        made.append(number)
        return number

    ahead = batches.read_ahead(make, ((i,) for i in range(100)))
    assert next(ahead) == 0
    while len(made) < 1 + batches.NUM_AHEAD:  # This loop would not end if nothing were read ahead.
        pass
    assert list(ahead) == list(range(1, 100))
    assert made == list(range(100))


def test_read_ahead_raises_the_error_of_a_batch_in_its_turn():
    def make(number: int) -> float:
        return 1 / (3 - number)

    ahead = batches.read_ahead(make, ((i,) for i in range(9)))
    assert [next(ahead), next(ahead), next(ahead)] == [1 / 3, 1 / 2, 1]
    with pytest.raises(ZeroDivisionError):
        next(ahead)


@pytest.mark.slow  # only a new process has the default allocator
def test_keep_freed_memory_keeps_the_memory_of_large_tensors(tmp_path):
    """The memory of a large tensor is reused without a page fault for each of its pages."""
    code = f"""
import importlib.util, resource, sys, types, torch
profilers = types.SimpleNamespace(PassThroughProfiler=object)
sys.modules["lightning.pytorch.profilers"] = profilers  # its import takes seconds
spec = importlib.util.spec_from_file_location("performance", {performance.__file__!r})
performance = importlib.util.module_from_spec(spec)
spec.loader.exec_module(performance)
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        torch.ones(4 * 2**20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
normal = faults()
performance.keep_freed_memory()
faults()
print(normal, faults())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    normal, kept = map(int, done.stdout.split())
    assert kept < normal / 10


def test_memory_layout_follows_device_and_precision():
    cpu, cuda, mps = (torch.device(name) for name in ("cpu", "cuda", "mps"))
    last, usual = torch.channels_last, torch.contiguous_format
    for device, precision, layout in (
        (cpu, "32-true", last), (cuda, "32-true", usual), (cuda, "bf16-mixed", last),
        (cuda, "16-mixed", last), (mps, "16-mixed", usual),
    ):  # fmt: skip
        assert performance.layout_for("auto", device=device, precision=precision) is layout
        assert performance.layout_for(True, device=device, precision=precision) is last
        assert performance.layout_for(False, device=device, precision=precision) is usual


@pytest.mark.parametrize(
    ("word", "message"),
    [
        (
            "compile=fast",
            "compile=fast: choose one of default, reduce-overhead, max-autotune, or null",
        ),
        ("channels_last=first", "channels_last=first: choose true, false or auto"),
    ],
)
def test_unknown_value_of_an_optimisation_is_refused(run, word, message):
    result = run(word)
    assert result.code == 1
    assert message in result.err


WAITING = {"item", "tolist", "numpy", "__bool__", "__float__", "__int__", "__repr__", "__format__"}
"""Methods of tensors that pass a number to Python, which waits for a GPU."""


class NoWaiting(TorchFunctionMode):
    """A mode that refuses to read a tensor's numbers in Python."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        name = getattr(function, "__name__", "")
        if name in WAITING and isinstance(args[0], Tensor):
            raise AssertionError(f"Tensor.{name} waits for the device")
        return function(*args, **(kwargs or {}))


class NoReading(TorchDispatchMode):
    """A mode that refuses operators whose result torch itself has to read."""

    FORBIDDEN = ("_local_scalar_dense", "is_nonzero", "nonzero", "masked_select", "unique")

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.overloadpacket.__name__
        assert name not in self.FORBIDDEN, f"aten::{name} waits for the device"
        return function(*args, **(kwargs or {}))


def watch(monkeypatch, model: type) -> list[int]:
    """Make every `training_step` refuse to wait, and count the steps."""
    steps, step = [], model.training_step

    def watched(self, batch, batch_idx):
        steps.append(batch_idx)
        with NoWaiting(), NoReading():
            return step(self, batch, batch_idx)

    monkeypatch.setattr(model, "training_step", watched)
    return steps


MODELS = [
    ["model=vae"],
    ["model=vae", "network=mlp", "model/likelihood=bernoulli"],
    ["model=gan"],
    ["model=gan", "model/loss=wasserstein"],
    ["model=gan", "model/loss=relativistic", "network=mlp"],
    ["model=gan", "model/penalty=[lecam,consistency]"],
    ["model=gan", "network=resnet"],
    ["model=classifier"],
]


@pytest.mark.parametrize("words", MODELS, ids=" ".join)
def test_training_step_does_not_wait_for_the_device(run, monkeypatch, words):
    from limner import models

    names = {"vae": "VAE", "gan": "GAN", "classifier": "Classifier"}
    kind = getattr(models, names[words[0].partition("=")[2]])
    steps = watch(monkeypatch, kind)
    small = [f"network.{part}.width=8" for part in ("generator", "discriminator")]
    result = run(
        *words, *(small if "network=resnet" in words else []), "metrics=none",
        "logger=none", "data.batch_size=8", "trainer.max_steps=2", "accelerator=cpu",
        "trainer.limit_val_batches=0", "~callbacks.pictures", "~callbacks.codes",
        "~callbacks.checkpoints",
    )  # fmt: skip
    assert result.code == 0, result.err
    assert len(steps) == 2


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("words", MODELS, ids=" ".join)
def test_training_step_does_not_synchronise_a_gpu(run, monkeypatch, words):
    """The batch of the step is made without waiting, too."""

    def on_train_batch_start(self, *args):
        start(self, *args)
        torch.cuda.set_sync_debug_mode("error")

    def count_and_stop(model, *args):
        torch.cuda.set_sync_debug_mode("default")

    start = SeedPerUpdate.on_train_batch_start
    monkeypatch.setattr(SeedPerUpdate, "on_train_batch_start", on_train_batch_start)
    monkeypatch.setattr(L.LightningModule, "on_train_batch_end", count_and_stop)
    result = run(
        *words, "metrics=none", "logger=none", "data.batch_size=8", "trainer.max_steps=3",
        "accelerator=gpu", "~callbacks.pictures", "~callbacks.checkpoints",
    )  # fmt: skip
    torch.cuda.set_sync_debug_mode("default")
    assert result.code == 0, result.err


def test_training_step_that_waits_is_noticed(run, monkeypatch):
    from limner.models import VAE

    step = VAE.training_step

    def waiting(self, batch, batch_idx):
        values = step(self, batch, batch_idx)
        return values | {"loss": values["loss"] * float(values["loss"].item() > 0)}

    monkeypatch.setattr(VAE, "training_step", waiting)
    watch(monkeypatch, VAE)
    with pytest.raises(AssertionError, match="waits for the device"):
        run("metrics=none", "logger=none", "trainer.max_steps=1", "debug=true")


@pytest.mark.parametrize(
    ("precision", "supported", "kind", "warns"),
    [
        ("bf16-mixed", False, "cpu", True),
        ("bf16-true", False, "cpu", True),
        ("bf16-mixed", True, "cpu", False),
        ("32-true", False, "cpu", False),
        ("bf16-mixed", False, "cuda", False),
    ],
)
def test_a_processor_that_only_imitates_bfloat16_is_warned_of(
    monkeypatch: pytest.MonkeyPatch, precision: str, supported: bool, kind: str, warns: bool
) -> None:
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: supported)
    warning = performance.slow_bfloat16(precision, device=torch.device(kind))
    assert (warning is not None) == warns
    assert warning is None or precision in warning
