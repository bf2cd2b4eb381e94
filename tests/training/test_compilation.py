"""Every model compiles: each loss function is one graph, and training computes the same losses."""

import copy
import csv
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import lightning as L
import pytest
import torch
from omegaconf import DictConfig, open_dict
from torch import Tensor, nn
from torch._dynamo.utils import counters

from limner.models import CodePrior, LatentPrior
from limner.networks.flow import FlowPrior
from limner.networks.transformer import CausalTransformer
from limner.training import train as train_module
from limner.training.compilation import CompiledMethod, compile_training
from support import fakes
from test_configs import ALONE, COMBINATIONS, data_of

ROOT = Path(__file__).parents[2]
NUM_UPDATES = 4
SOME = [row for row in COMBINATIONS if not hasattr(row, "marks")]
"""The rows that the quick tests train; the slow rows are further cases of these."""
EXTRA = [
    ("vae", "mlp", "kl_schedule=linear likelihood=optimal_gaussian"),
    ("gan", "mlp", "penalty=r1 loss=wasserstein"),
]
"""Further rows, which compile in a few seconds."""


@pytest.fixture
def compiler(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let torch.compile capture graphs and derive their gradients, without a C++ compiler."""
    compile_ = torch.compile

    def captured(function, *, mode: str, fullgraph: bool = False):
        return compile_(function, backend="aot_eager", fullgraph=fullgraph)

    torch._dynamo.reset()
    counters.clear()
    monkeypatch.setattr(torch, "compile", captured)
    yield
    torch._dynamo.reset()


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in caplog.records if each.name.endswith("compilation")]


def row(model: str, network: str, choices: str):
    marks = [] if (model, network, choices) in EXTRA else [pytest.mark.slow]
    return pytest.param(model, network, choices, marks=marks)


def train(made: DictConfig, folder: Path) -> tuple[list[dict[str, float]], L.LightningModule]:
    """Train a composed config; return the logged values of each update, and the model."""
    made.run_dir = str(folder)
    folder.mkdir()
    with open_dict(made):
        run = train_module.prepare(made)
        train_module.train(run)
    return logged(folder), run.model


def logged(folder: Path) -> list[dict[str, float]]:
    """Return the logged values of each update."""
    with open(folder / "metrics.csv", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["train/images_seen"]]
    assert len(rows) == NUM_UPDATES
    names = [name for name, value in rows[0].items() if name.startswith("train/") and value]
    return [{name: float(row[name]) for name in names if row[name]} for row in rows]


def assert_equal(before: list[dict[str, float]], after: list[dict[str, float]]) -> None:
    """Assert that all values are equal up to rounding, which the second update enlarges.

    On a processor without AVX-512 a norm of a gradient differed by 2.4e-4 of its value, and a
    loss near 0, the mean of larger logits, by 2.3e-4.
    """
    for first, other in zip(before, after, strict=True):
        for name, value in first.items():
            allowed = 0.13 if "accuracy" in name else 1e-3  # one of 8 images may have a logit of 0
            assert other[name] == pytest.approx(value, rel=1e-3, abs=allowed), name
        assert other.keys() == first.keys()


@pytest.mark.parametrize(("model", "network", "choices"), [row(*r) for r in [*SOME, *EXTRA]])
def test_every_loss_is_compiled_as_one_graph_with_equal_values(
    composed, compiler, caplog, tmp_path, model, network, choices
):
    for folder in ("pictures", "pairs/before", "pairs/after", "styles"):
        fakes.images(tmp_path / folder, 2 if folder == "styles" else 20, size=(36, 41))
    made = composed(
        f"model={model}", f"network={network}", *(f"model/{word}" for word in choices.split()),
        *data_of(model, network, choices, tmp_path),
        "metrics=none", f"trainer.max_steps={NUM_UPDATES}", "trainer.limit_val_batches=1",
        "data.batch_size=8", "callbacks.log.every_num_updates=1", *ALONE, "logger=csv",
    )  # fmt: skip
    normal, eager = train(copy.deepcopy(made), tmp_path / "eager")
    assert not counters["stats"]
    made.compile = "default"
    values, compiled = train(made, tmp_path / "compiled")
    assert warnings(caplog) == []
    assert not counters["graph_break"]
    names = {name.rpartition(".")[2] for name in compiled.loss_functions}  # alike in both domains
    if "path_length" not in choices:
        names -= {"values"}  # of the generator's penalties
    assert counters["stats"]["unique_graphs"] >= len(names)
    assert_equal(normal, values)
    assert eager.state_dict().keys() == compiled.state_dict().keys()


class Breaking(nn.Module):
    """A user's model whose network has code that torch cannot capture."""

    loss_functions = ("losses",)

    def __init__(self) -> None:
        super().__init__()
        self.network = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
        self.num_calls = 0

    def losses(self, x: Tensor) -> Tensor:
        self.num_calls += 1
        torch._dynamo.graph_break()
        y = self.network(x)
        if not x.requires_grad:
            return y.square().mean()
        (gradient,) = torch.autograd.grad(y.sum(), x, create_graph=True)
        return gradient.square().mean()


@pytest.mark.parametrize(
    ("is_penalised", "outcome"), [(False, "compiled in pieces"), (True, "not compiled")]
)
def test_model_that_cannot_be_captured_trains_with_a_warning(
    compiler, caplog, is_penalised, outcome
):
    """A gradient of a gradient cannot cross the border of two graphs, so nothing is compiled."""
    eager, compiled = Breaking(), Breaking()
    compiled.load_state_dict(eager.state_dict())
    compile_training(compiled, "default")
    x = torch.randn(5, 3)
    for _ in range(2):
        losses = []
        for model in (eager, compiled):
            losses.append(model.losses(x.clone().requires_grad_(is_penalised)))
            losses[-1].backward()
        assert losses[0] == losses[1]
    for before, after in zip(eager.parameters(), compiled.parameters(), strict=True):
        assert (before.grad is None) == (after.grad is None)
        assert before.grad is None or torch.allclose(before.grad, after.grad)
    assert compiled.num_calls == 2
    (warning,) = warnings(caplog)
    assert outcome in warning


def test_validation_is_not_compiled(compiler):
    model = Breaking()
    compile_training(model, "default")
    with torch.no_grad():
        model.losses(torch.zeros(5, 3))
    assert not counters["stats"]


def test_copy_of_a_compiled_model_uses_its_own_weights(compiler):
    model = Breaking()
    compile_training(model, "default")
    copied = copy.deepcopy(model)
    nn.init.zeros_(copied.network[2].weight)
    nn.init.ones_(copied.network[2].bias)
    assert copied.losses(torch.randn(5, 3)) == 1
    assert model.losses(torch.zeros(5, 3)) != 1


def test_networks_of_a_model_from_outside_are_compiled_by_themselves(compiler):
    model = L.LightningModule()
    model.network = nn.Linear(3, 1)
    names = list(model.state_dict())
    compile_training(model, "default")
    model.network(torch.randn(5, 3)).sum().backward()
    assert counters["stats"]["unique_graphs"] == 1
    assert list(model.state_dict()) == names


def test_compile_null_changes_nothing():
    model = Breaking()
    compile_training(model, None)
    assert not isinstance(model.losses, CompiledMethod)


@pytest.mark.slow  # two processes each compile all losses
@pytest.mark.usefixtures("compiler", "forking")
@pytest.mark.parametrize(
    "words",
    [
        ["model=vae", "network=mlp", "model/likelihood=optimal_gaussian"],
        ["model=vqvae"],
        ["model=gan", "network=mlp", "model/penalty=gradient"],
        ["model=vaegan", "network=mlp"],
        ["model=pixelcnn", "network.pixelcnn.width=8"],
    ],
    ids=" ".join,
)
def test_two_processes_compute_the_same_losses_when_compiled(tmp_path, words):
    found = []
    for mode in ("null", "default"):
        done = subprocess.run(
            [
                sys.executable, str(ROOT / "train.py"), *words, f"compile={mode}",
                "accelerator=ddp_cpu", "trainer.devices=2", f"hydra.run.dir=run_{mode}",
                "metrics=none", "logger=csv", f"trainer.max_steps={NUM_UPDATES}",
                "trainer.limit_val_batches=0", "callbacks.log.every_num_updates=1",
                "data.batch_size=8", "~callbacks.pictures", "~callbacks.codes",
            ],
            cwd=tmp_path, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert "torch cannot compile" not in done.stderr
        found.append(logged(tmp_path / f"run_{mode}"))
    assert_equal(*found)


@pytest.mark.parametrize("kind", ["latent_prior", "code_prior"])
def test_loss_of_a_second_stage_is_compiled_as_one_graph(compiler, caplog, kind):
    """The first stage runs outside of the graph."""
    common = {"optimizer": None, "gradients": None, "ema_half_life": None}
    first_stage = nn.Linear(1, 1)
    first_stage.num_classes = None
    if kind == "latent_prior":
        prior = FlowPrior(latent_dim=4, num_layers=2, hidden_dim=8)
        model = LatentPrior(first_stage=first_stage, prior=prior, latent_dim=4, **common)
        inputs = (torch.randn(5, 4),)
    else:
        prior = CausalTransformer(
            num_codes=6, length=4, width=8, num_layers=1, num_heads=2, dropout=0.0,
            num_classes=None,
        )  # fmt: skip
        model = CodePrior(
            first_stage=first_stage, prior=prior, temperature=1.0, top_k=None, num_classes=None,
            **common,
        )  # fmt: skip
        inputs = torch.randint(6, (5, 4)), None
    expected = model._loss(model.network, *inputs)
    compile_training(model, "default")
    assert torch.allclose(model._loss(model.network, *inputs), expected)
    assert counters["stats"]["unique_graphs"] == 1
    assert warnings(caplog) == []
